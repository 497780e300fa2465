# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""System calls on mounts: mount(2), umount2(2), pivot_root(2). Those by descriptor: detached.py.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno

from ..errors import KernelError
from .call import invoke, to_bytes

# mount(2)
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
MS_MANDLOCK = 64
MS_DIRSYNC = 128
MS_NOSYMFOLLOW = 256
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_REC = 16384
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_STRICTATIME = 1 << 24
MS_LAZYTIME = 1 << 25
# The words of mount(8) for it.
PROPAGATION = {
    "private": MS_PRIVATE,
    "slave": MS_SLAVE,
    "shared": MS_SHARED,
    "unbindable": MS_UNBINDABLE,
}

# umount2(2)
MNT_DETACH = 2
MNT_EXPIRE = 4
UMOUNT_NOFOLLOW = 8

# mount_setattr(2), fsmount(2)
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR__ATIME = 0x70
MOUNT_ATTR_RELATIME = 0x0
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_IDMAP = 0x100000
MOUNT_ATTR_NOSYMFOLLOW = 0x200000


def mount(source: str, target: str, *, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2). Raises KernelError."""
    invoke(
        "mount",
        to_bytes(source),
        to_bytes(target),
        to_bytes(fstype) if fstype else None,
        flags,
        to_bytes(data) if data else None,
        shown={"source": source, "target": target, "fstype": fstype, "flags": hex(flags)},
    )


def set_propagation_of_all(word: str) -> None:
    """mount(2): the propagation of all mounts in the caller's mount namespace. Raises KernelError."""
    mount("none", "/", flags=MS_REC | PROPAGATION[word])


def umount(target: str, *, flags: int = 0) -> None:
    """umount2(2). Raises KernelError."""
    invoke("umount2", to_bytes(target), flags, shown={"target": target, "flags": hex(flags)})


def detach(path: str) -> None:
    """Detach what is mounted on the path, no link to it; fine where others have just done so.

    Raises KernelError.
    """
    try:
        umount(path, flags=MNT_DETACH | UMOUNT_NOFOLLOW)
    except KernelError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):  # no mount point any more
            raise


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2): the caller's mount namespace gets ``new_root`` as its root.

    With the same path for both, the old root lands on top of the new one, ready to be detached
    (the recipe of pivot_root(2), NOTES). Raises KernelError.
    """
    invoke(
        "pivot_root",
        to_bytes(new_root),
        to_bytes(put_old),
        shown={"new_root": new_root, "put_old": put_old},
    )
