# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""System calls on files: openat2(2), statx(2) and fstatfs(2).

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import time

from ..errors import KernelError
from ..values import Value
from .call import invoke, is_absent, to_bytes

AT_FDCWD = -100

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

_AT_EMPTY_PATH = 0x1000
_STATX_MNT_ID = 0x1000  # Linux 5.8
_STATX_MNT_ID_UNIQUE = 0x4000  # Linux 6.8
_STATX_ATTR_IMMUTABLE = 0x10
_STATX_ATTR_MOUNT_ROOT = 0x2000  # Linux 5.8
_PROC_SUPER_MAGIC = 0x9FA0
# Of file systems whose regular files are questions to the kernel: proc, sysfs, debugfs, tracefs.
_OF_KERNEL = (_PROC_SUPER_MAGIC, 0x62656572, 0x64626720, 0x74726163)
# How long openat2(2) is tried again, and the pauses between, in seconds.
_RACING = 10.0
_FIRST_PAUSE, _LAST_PAUSE = 0.0001, 0.001


class _OpenHow(ctypes.Structure):
    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


class _Statx(ctypes.Structure):
    # struct statx (256 bytes); only the fields that are read have names.
    _fields_ = [
        ("mask", ctypes.c_uint32),
        ("blksize", ctypes.c_uint32),
        ("attributes", ctypes.c_uint64),
        ("_ids", ctypes.c_uint32 * 4),
        ("ino", ctypes.c_uint64),
        ("_sizes", ctypes.c_uint64 * 2),
        ("attributes_mask", ctypes.c_uint64),
        ("_times", ctypes.c_uint64 * 8),
        ("_rdev", ctypes.c_uint32 * 2),
        ("dev_major", ctypes.c_uint32),
        ("dev_minor", ctypes.c_uint32),
        ("mnt_id", ctypes.c_uint64),
        ("_spare", ctypes.c_uint64 * 13),
    ]


class Place(Value):
    """Where an open file lies."""

    __slots__ = ("device", "inode", "is_mount_root", "mount_id")

    def __init__(self, *, mount_id: int, is_mount_root: bool, device: int, inode: int) -> None:
        # Of its mount, as in mountinfo.
        self.mount_id = mount_id
        # Whether it is the root of that mount.
        self.is_mount_root = is_mount_root
        # Both together tell one file from another.
        self.device = device
        self.inode = inode


def openat2(dir_fd: int, path: str, *, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2), Linux 5.6, close-on-exec.

    It fails with EAGAIN where ".." was walked while something was renamed or mounted anywhere on the
    machine (openat2(2)), and is tried again then, for some seconds. Raises KernelError.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    begun, pause = time.monotonic(), _FIRST_PAUSE
    while True:
        try:
            return invoke(
                "openat2",
                dir_fd,
                to_bytes(path),
                ctypes.byref(how),
                ctypes.sizeof(how),
                shown={"path": path, "resolve": hex(resolve)},
            )
        except KernelError as error:
            if error.errno != errno.EAGAIN or time.monotonic() - begun > _RACING:
                raise
        time.sleep(pause)
        pause = min(2 * pause, _LAST_PAUSE)


def _statx(fd: int, mask: int) -> _Statx:
    answer = _Statx()
    invoke("statx", fd, b"", _AT_EMPTY_PATH, mask, ctypes.byref(answer), shown={"fd": fd})
    return answer


def place_of(fd: int) -> Place:
    """Where the open file ``fd`` lies (statx(2), Linux 5.8). Raises KernelError."""
    answer = _statx(fd, _STATX_MNT_ID)
    return Place(
        mount_id=answer.mnt_id,
        is_mount_root=bool(answer.attributes & _STATX_ATTR_MOUNT_ROOT),
        device=os.makedev(answer.dev_major, answer.dev_minor),
        inode=answer.ino,
    )


def unique_mount_id(fd: int) -> int:
    """An id of the mount ``fd`` lies on, never given to another one from Linux 6.8 on.

    Before that it is the id in mountinfo, which a later mount can get. Raises KernelError.
    """
    answer = _statx(fd, _STATX_MNT_ID_UNIQUE)
    if not is_absent("statx_mnt_id_unique") and answer.mask & _STATX_MNT_ID_UNIQUE:
        return int(answer.mnt_id)
    return int(_statx(fd, _STATX_MNT_ID).mnt_id)


def is_immutable(fd: int) -> bool:
    """Whether nothing may be made in the open directory, by anybody: chattr(1), i. Raises KernelError."""
    return bool(_statx(fd, 0).attributes & _STATX_ATTR_IMMUTABLE)


def is_on_proc(fd: int) -> bool:
    """Whether the open file ``fd`` lies on a proc (fstatfs(2)). Raises KernelError."""
    return _type_of(fd) == _PROC_SUPER_MAGIC


def is_of_kernel(fd: int) -> bool:
    """Whether the open file ``fd`` is one in which nobody keeps anything: the kernel answers.

    Reading it may wait for ever and take from others what is read, as /proc/kmsg does. Raises
    KernelError.
    """
    return _type_of(fd) in _OF_KERNEL


def _type_of(fd: int) -> int:
    # struct statfs: its first field is the type, a long on all but s390, where it is an int.
    answer = ctypes.create_string_buffer(256)
    invoke("fstatfs", fd, ctypes.byref(answer), shown={"fd": fd})
    size = 4 if os.uname().machine == "s390x" else ctypes.sizeof(ctypes.c_long)
    return int.from_bytes(answer.raw[:size], sys.byteorder)
