# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Why a file system was not mounted from its device or image: what that holds, and what the kernel says.

Each function answers (reason, hint), both empty where it found no cause.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os
import re
import typing as t

from ... import redact
from .. import by_page, probe, table
from . import holders, on_device
from .failure import NOTHING, Failure

if t.TYPE_CHECKING:
    from ...actions import Answer
    from ..blkid import Content

_OF_SUPERBLOCK = (
    errno.EINVAL, errno.EUCLEAN, errno.EIO, errno.EBADMSG, errno.ENOENT, errno.EEXIST,
    errno.EOPNOTSUPP, errno.EROFS, errno.EACCES, errno.EFBIG, errno.ENODATA,
)  # fmt: skip
_DAMAGED = (errno.EUCLEAN, errno.EIO, errno.EBADMSG, errno.EFBIG)
_CHECKS = {
    "btrfs": "btrfs check",
    "erofs": "fsck.erofs",
    "ext2": "e2fsck",
    "ext3": "e2fsck",
    "ext4": "e2fsck",
    "xfs": "xfs_repair -n",
}
# What the kernel says of a file system that is damaged, and of one that it would only read.
_DAMAGE = re.compile(
    "geometry|size of device|checksum|corrupt|beyond end|last sector", re.IGNORECASE
)
_READ_ONLY = re.compile(r"RDWR|read-write|must be read-only|\bro mount")
_SKIPS_JOURNAL = {"btrfs": "rescue=nologreplay", "xfs": "norecovery"}


def by_superblock(failed: Failure) -> Answer:
    """What the device holds, where the kernel could not mount it as what it was said to be."""
    wanted = failed.wanted
    if (
        not failed.is_making
        or not failed.is_any(*_OF_SUPERBLOCK)
        or "key" in failed.error.arguments
        or failed.view is not None
        or wanted.options.bind
        or not (wanted.options.loop or failed.device_name)
    ):
        return NOTHING
    asked = wanted.options
    found = on_device.content_at(wanted.src, offset=asked.loop_offset, size=asked.loop_sizelimit)
    src = redact.address(wanted.src)
    if found is None:
        return _unknown(failed, src)
    other = probe.no_filesystem(found, src)
    if other is not None:
        return other
    if not found.type:
        return (
            f"{src} holds no {wanted.fstype} file system, nor any other that blkid(8) knows",
            (
                f"Name another one, or make the file system first (mkfs.{wanted.fstype}). Correct opts where "
                "they say where it begins."
            ),
        )
    if wanted.fstype not in (found.type, *probe.READ_BY.get(found.type, ())):
        return _other_type(failed, src, found)
    return _refused_as_it_is(failed, src, found)


def _unknown(failed: Failure, src: str) -> Answer:
    said = failed.said()
    return (
        (
            f"{src} holds no {failed.wanted.fstype} file system that this kernel understands, or opts do "
            f"not fit it{_says(said)}"
        ),
        "Correct fstype (blkid shows what it holds), or opts." + _more(said),
    )


def _says(said: str) -> str:
    return f"; the kernel says: {said}" if said else ""


def _more(said: str) -> str:
    return "" if said else " The kernel's own log may say more: see dmesg."


def _other_type(failed: Failure, src: str, found: Content) -> Answer:
    hint = f"Use fstype: {found.type}."
    if not failed.is_known(found.type):
        hint = f"This kernel has no driver for that: load it (modprobe {found.type})."
    return f"{src} holds {_named(found.type)} file system, not {failed.wanted.fstype}", hint


def _named(fstype: str) -> str:
    """The type with its article."""
    # ext4, erofs, iso9660; and xfs by its first letter.
    return f"an {fstype}" if fstype[:1] in tuple("aeiox") else f"a {fstype}"


def _refused_as_it_is(failed: Failure, src: str, found: Content) -> Answer:
    wanted, said = failed.wanted, failed.said()
    what = f"{src} holds {_named(found.type)} file system"
    twin = _twin(failed, found)
    if twin is not None:
        return (
            (
                f"{what} with the UUID of another one, which is mounted already: "
                f"{twin.mount.src} is {twin}"
            ),
            _for_twin(wanted.fstype),
        )
    given = dict(wanted.options.filesystem)
    if failed.is_any(errno.ENOENT) and wanted.fstype == "btrfs":
        return _of_btrfs(what, given, said)
    if failed.is_any(errno.EROFS, errno.EACCES):
        if not wanted.options.reads_only:
            return f"{src} can only be read{_says(said)}", "Add ro to opts."
        word = _SKIPS_JOURNAL.get(wanted.fstype, "noload")
        return (
            (
                f"{what} whose journal has to be replayed, which cannot be done on what can only be read"
                f"{_says(said)}"
            ),
            f"Mount it once where it can be written, or add {word} to opts.",
        )
    if failed.is_any(*_DAMAGED):
        check = _CHECKS.get(wanted.fstype)
        return (
            f"{what} that is damaged or cut short{_says(said)}",
            (f"Check it ({check}), or take another copy." if check else "Take another copy.")
            + _more(said),
        )
    as_it_is = _as_it_is(failed, said)
    if not given or _DAMAGE.search(said):
        return f"{what} that this kernel does not mount{_says(said)}", as_it_is + _more(said)
    words = ",".join(
        key if value is None else f"{key}={redact.shown(key, value)}"
        for key, value in given.items()
    )
    spoken_of = [key for key in given if _is_spoken_of(key, said)]
    hint = "Correct opts."
    if spoken_of:
        hint = f"Correct {', '.join(spoken_of)} in opts, or leave it out."
    if not wanted.options.reads_only and _READ_ONLY.search(said):
        hint = "Add ro to opts, or leave out what asks for it."
    elif not spoken_of:
        hint = (
            "Correct opts. Where the kernel names a feature of the file system instead, make that "
            "without it, or use a kernel that has it."
        )
    return (
        f"{what}, which this kernel does not mount with these options: {words}{_says(said)}",
        hint + _more(said),
    )


def _as_it_is(failed: Failure, said: str) -> str:
    """What to do where it is nothing of opts."""
    check = _CHECKS.get(failed.wanted.fstype)
    checked = f"check it ({check}), or take another copy." if check else "take another copy."
    if _DAMAGE.search(said):
        return f"It is damaged or cut short: {checked}"
    if not failed.wanted.options.reads_only and _READ_ONLY.search(said):
        return "Add ro to opts, or use a kernel that has the feature."
    return (
        "Where the kernel names a feature, make the file system without it, or use a kernel that has "
        f"it; else {checked}"
    )


def _is_spoken_of(key: str, said: str) -> bool:
    """Whether the kernel speaks of the option: of pquota, where it names quota."""
    text = said.casefold().partition(": ")[2]
    return key in text or any(word in key for word in re.findall(r"[a-z]{4,}", text))


def _of_btrfs(what: str, given: t.Mapping[str, str | None], said: str) -> Answer:
    for key in ("subvol", "subvolid"):
        if given.get(key) and "missing" not in said:
            return (
                f"{what} that has no subvolume {given[key]} ({key}={given[key]}){_says(said)}",
                (
                    "Name one that there is: btrfs subvolume list shows them, once it is mounted with "
                    "subvolid=5."
                ),
            )
    return (
        f"{what} of several devices, of which one is missing{_says(said)}",
        "Attach the others, and name each in opts (device=/dev/...), or add degraded.",
    )


def _twin(failed: Failure, found: Content) -> holders.MountedAt | None:
    """The mount of another device with the same file system, where the kernel takes it only once."""
    fstype = failed.wanted.fstype
    if fstype not in ("xfs", "btrfs") or not found.uuid:
        return None
    if not failed.is_any(errno.EINVAL, errno.EEXIST):
        return None

    def is_twin(row: table.Mount) -> bool:
        name = holders.device_of(row) if row.fstype == fstype else ""
        if not name or name == failed.device_name:
            return False
        other = on_device.content_at(f"/dev/{name}")
        return other is not None and other.uuid == found.uuid

    with failed.host_proc() as host_proc:
        return next(iter(holders.mounts_of(is_twin, host_proc)), None)


def _for_twin(fstype: str) -> str:
    if fstype == "xfs":
        return (
            "Add nouuid to opts, or give it another UUID (xfs_admin -U generate) while it is not "
            "mounted."
        )
    return "Unmount that one first, or give this one another UUID (btrfstune -m)."


def by_kernel_log(failed: Failure) -> Answer:
    """What the kernel says about it itself: to who mounts (fsopen(2)), or in its own log."""
    said = failed.said()
    if "too revealing" in said:
        return NOTHING  # said better of rights
    if not said:
        return _silent(failed)
    hint = "Correct opts."
    if "reconfigured" in failed.error.arguments:
        hint = f"Correct opts. {MOUNT_ANEW}"
    elif said == "No source specified":
        hint = "Name a block device in src."
    return f"the kernel says: {said}", hint


MOUNT_ANEW = (
    "What a file system takes only when it is mounted needs it unmounted first (state: unmounted)."
)


def _silent(failed: Failure) -> Answer:
    """What is known of file systems that say nothing."""
    fstype, given = failed.wanted.fstype, failed.error.arguments
    if not failed.is_making:
        return NOTHING
    if fstype == "hugetlbfs" and failed.is_any(errno.ENOMEM):
        free = [
            line.split()[-1]
            for line in failed.text_in_proc("meminfo").splitlines()
            if line.startswith("HugePages_Free:")
        ]
        return (
            (
                "the host has not as many huge pages free as min_size asks for (of the default size: "
                f"{free[0] if free else 'none'})"
            ),
            "Reserve more (sysctl vm.nr_hugepages), or ask for less in min_size.",
        )
    if fstype.partition(".")[0] in ("fuse", "fuseblk") and failed.is_any(errno.EINVAL):
        return (
            f"a file system of the type {fstype} is mounted by the program that serves it (fuse(4))",
            "Run that program, on the host or in the namespace, and bind what it mounts.",
        )
    if "key" in given and failed.is_any(errno.EINVAL):
        value = str(given.get("value") or "")
        if len(os.fsencode(value)) > by_page.LONGEST_VALUE:
            return (
                (
                    f"the kernel takes no more than {by_page.LONGEST_VALUE} bytes in one option: "
                    f"{given['key']}={value}"
                ),
                "Use shorter paths, or fewer.",
            )
        word = str(given["key"]) + (f"={given['value']}" if given.get("value") is not None else "")
        return f"{fstype} does not take the option {word}", "Correct opts."
    return NOTHING
