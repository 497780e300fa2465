# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The words of mount(8), by who understands them. Those that are in no table are the file system's.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

from ..syscalls import mounts

# word -> (attribute bits to set, attribute bits to clear). The atime words exclude each other:
# they share the field MOUNT_ATTR__ATIME, where 0 is relatime (mount_setattr(2)).
ATIME = mounts.MOUNT_ATTR__ATIME
_SECURE = mounts.MOUNT_ATTR_NOSUID | mounts.MOUNT_ATTR_NODEV
ATTRIBUTES: dict[str, tuple[int, int]] = {
    "ro": (mounts.MOUNT_ATTR_RDONLY, 0),
    "rw": (0, mounts.MOUNT_ATTR_RDONLY),
    "nosuid": (mounts.MOUNT_ATTR_NOSUID, 0),
    "suid": (0, mounts.MOUNT_ATTR_NOSUID),
    "nodev": (mounts.MOUNT_ATTR_NODEV, 0),
    "dev": (0, mounts.MOUNT_ATTR_NODEV),
    "noexec": (mounts.MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, mounts.MOUNT_ATTR_NOEXEC),
    "nosymfollow": (mounts.MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, mounts.MOUNT_ATTR_NOSYMFOLLOW),
    "nodiratime": (mounts.MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, mounts.MOUNT_ATTR_NODIRATIME),
    "relatime": (mounts.MOUNT_ATTR_RELATIME, ATIME),
    "noatime": (mounts.MOUNT_ATTR_NOATIME, ATIME),
    "strictatime": (mounts.MOUNT_ATTR_STRICTATIME, ATIME),
    "atime": (mounts.MOUNT_ATTR_RELATIME, ATIME),
    # Who may mount it is a word of fstab(5); what it implies is not (mount(8)).
    "user": (_SECURE | mounts.MOUNT_ATTR_NOEXEC, 0),
    "users": (_SECURE | mounts.MOUNT_ATTR_NOEXEC, 0),
    "owner": (_SECURE, 0),
    "group": (_SECURE, 0),
}
# word -> the attribute bits that hold no longer after it. Then the kernel's default holds.
ATIME_DEFAULTS = {
    "norelatime": mounts.MOUNT_ATTR_RELATIME,
    "nostrictatime": mounts.MOUNT_ATTR_STRICTATIME,
}
# What may follow the equals sign of an attribute: for the mounts below too; and for which of the two,
# the mount or the file system, it is. The latter two are for ro and rw.
RECURSIVE, OF_THE_MOUNT, OF_THE_FILE_SYSTEM = "recursive", "vfs", "fs"

# These say nothing about the mount itself. Some are for fstab(5) and its readers; whether the kernel
# tells its log, and whether it counts changes, is no property that a mount has.
IGNORED = frozenset(
    {"defaults", "auto", "noauto", "nofail", "_netdev", "nouser", "nousers", "noowner", "nogroup"}
    | {"silent", "loud", "iversion", "noiversion"}
)
# The same with a value or without: remarks, and what umount(8) is to run.
IGNORED_WITH_ANY_VALUE = frozenset({"comment", "helper", "uhelper"})
# Who has mounted it.
USER = "user"
# Whose file system has a word of that name: the user to log in as.
USER_OF_THE_FILE_SYSTEM = ("cifs", "smb3", "smbfs")
# Remarks of programs, but for X-mount.
REMARKS = ("x-", "X-")
OF_MOUNT, OF_MOUNT_ONCE = "X-mount.", "x-mount."

# Labels that only a security module knows: word -> the file system that is there with that.
LABELS = {
    **dict.fromkeys(("context", "fscontext", "defcontext", "rootcontext", "seclabel"), "selinuxfs"),
    **dict.fromkeys(
        ("smackfsdef", "smackfsfloor", "smackfshat", "smackfsroot", "smackfstransmute"), "smackfs"
    ),
}

# Of these the last one counts.
OPPOSITES = {"async": "sync", "nolazytime": "lazytime", "nomand": "mand"}
# Each names one more: a directory of an overlay, a device of btrfs or erofs.
REPEATED = frozenset({"lowerdir+", "datadir+", "device"})

# word -> (why not, what to do).
REFUSED: dict[str, tuple[str, str]] = {
    "remount": ("'remount' is not a mount option here", "Use state: remounted."),
    "move": (
        "'move' is not a mount option here",
        "Mount it on the other path, and use state: unmounted for this one.",
    ),
    "encryption": (
        "encryption= of a loop device is gone from the kernel",
        "Open the image with cryptsetup(8), and mount the device that it makes.",
    ),
    "X-mount.nocanonicalize": (
        (
            "X-mount.nocanonicalize is not for a path in a namespace: links in it are always followed, "
            "and never out of its root"
        ),
        "Name the path that the link leads to.",
    ),
    **{
        f"verity.{word}": (
            f"verity.{word}= is not supported: no device of dm-verity is made",
            "Open it with veritysetup(8), and mount the device that it makes.",
        )
        for word in (
            "hashdevice", "roothash", "hashoffset", "roothashfile", "fecdevice", "fecoffset",
            "fecroots", "roothashsig", "oncorruption",
        )
    },
}  # fmt: skip

FLAG_BITS = {
    "ro": mounts.MOUNT_ATTR_RDONLY,
    "nosuid": mounts.MOUNT_ATTR_NOSUID,
    "nodev": mounts.MOUNT_ATTR_NODEV,
    "noexec": mounts.MOUNT_ATTR_NOEXEC,
    "nosymfollow": mounts.MOUNT_ATTR_NOSYMFOLLOW,
    "nodiratime": mounts.MOUNT_ATTR_NODIRATIME,
    "noatime": mounts.MOUNT_ATTR_NOATIME,
}


# Those whose value is a user or a group, by its name or its id.
OF_USERS = ("uid", "X-mount.owner")
OF_GROUPS = ("gid", "X-mount.group")


def name_in(word: str) -> str:
    """The name of a user or a group that the word has; empty for an id, and for all other words."""
    key, _equals, value = word.partition("=")
    is_id = value.isascii() and value.isdigit()
    return value if key in OF_USERS + OF_GROUPS and not is_id else ""


def have_names(words: tuple[str, ...]) -> bool:
    """Whether any of the words has a user or a group by its name."""
    return any(name_in(word) for word in words)
