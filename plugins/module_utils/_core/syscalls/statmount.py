# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""statmount(2) and listmount(2), Linux 6.8: what the kernel knows of mounts.

From Linux 6.11 on also of those of another mount namespace, which nobody has to enter for that.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import struct
import sys

from ..errors import KernelError
from .call import invoke
from .files import unique_mount_id

_MNT_UIDMAP = 0x2000  # Linux 6.15
_MNT_GIDMAP = 0x4000
_MASK_AT = 8
_MAPS_AT = 152
_CANNOT_TELL = (errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.ENOENT)
_TEXTS_AT = 512

_SB_BASIC = 0x1
_MNT_BASIC = 0x2
_MNT_ROOT = 0x8
_MNT_POINT = 0x10
_FS_TYPE = 0x20
_OF_A_MOUNT = _SB_BASIC | _MNT_BASIC | _MNT_ROOT | _MNT_POINT | _FS_TYPE
# In struct statmount up to mnt_point: see linux/mount.h.
_FIELDS = struct.Struct("=IIQIIQIIQQIIQQQQQII")
_LSMT_ROOT = (1 << 64) - 1
_AT_ONCE = 512
# ioctl_nsfs(2), Linux 6.11
_NS_GET_MNTNS_ID = 0x8008B705

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

Ranges = tuple[tuple[int, int, int], ...]


class _MountIdRequest(ctypes.Structure):
    # struct mnt_id_req, its first version (24 bytes).
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("spare", ctypes.c_uint32),
        ("mnt_id", ctypes.c_uint64),
        ("param", ctypes.c_uint64),
    ]


class _ForeignRequest(ctypes.Structure):
    # struct mnt_id_req of Linux 6.11 (32 bytes).
    _fields_ = [*_MountIdRequest._fields_, ("mnt_ns_id", ctypes.c_uint64)]


class Mounted:
    """A mount of a namespace. Paths are bytes, from the root of the namespace."""

    __slots__ = ("device", "fstype", "id", "listed", "parent", "path", "root")

    def __init__(self, answer: bytes) -> None:
        """``answer`` is what statmount(2) has written."""
        fields = _FIELDS.unpack_from(answer)

        def text(at: int) -> bytes:
            start = _TEXTS_AT + at
            return answer[start : answer.index(b"\0", start)]

        # Never given to another one.
        self.id = fields[8]
        # As in mountinfo, as that of the mount that it is on.
        self.listed, self.parent = fields[10], fields[11]
        self.device = f"{fields[3]}:{fields[4]}"
        self.fstype = text(fields[7])
        self.root, self.path = text(fields[17]), text(fields[18])


def mounts_of(namespace_fd: int) -> list[Mounted] | None:
    """The mounts of the mount namespace, in which the caller need not be.

    No file system is asked, so that none that does not answer is waited for. None where the kernel
    cannot tell (before Linux 6.11), or the caller may not know. Raises KernelError.
    """
    number = bytearray(8)
    try:
        fcntl.ioctl(namespace_fd, _NS_GET_MNTNS_ID, number)
    except OSError:
        return None
    request = _ForeignRequest(32, 0, _LSMT_ROOT, 0, int.from_bytes(number, sys.byteorder))
    ids = (ctypes.c_uint64 * _AT_ONCE)()
    buffer = ctypes.create_string_buffer(1 << 14)
    found = []
    try:
        while True:
            count = _call("listmount", request, ids, _AT_ONCE)
            asked = _ForeignRequest(32, 0, 0, _OF_A_MOUNT, request.mnt_ns_id)
            for each in ids[:count]:
                asked.mnt_id = each
                try:
                    _call("statmount", asked, buffer, len(buffer))
                except KernelError as error:
                    if error.errno != errno.ENOENT:  # it was unmounted meanwhile
                        raise
                    continue
                found.append(Mounted(buffer.raw))
            if count < _AT_ONCE:
                return found
            request.param = ids[count - 1]
    except KernelError as error:
        # EOVERFLOW: a path that is longer than all others.
        if error.errno in (*_CANNOT_TELL, errno.EOVERFLOW):
            return None
        raise


def _call(name: str, request: _ForeignRequest, answer: t.Any, size: int) -> int:
    return invoke(name, ctypes.byref(request), answer, size, 0, shown={"mnt_id": request.mnt_id})


def id_map_of(fd: int) -> tuple[Ranges, Ranges] | None:
    """The id maps of the mount that ``fd`` lies on, for uids and gids, or None.

    Each range is (in the file system, as it shows, count). None: the mount is not idmapped, or
    the kernel does not tell (before Linux 6.15). Raises KernelError.
    """
    asked = _MNT_UIDMAP | _MNT_GIDMAP
    request = _MountIdRequest(24, 0, unique_mount_id(fd), asked)
    size = 1 << 16
    buffer = ctypes.create_string_buffer(size)
    try:
        invoke(
            "statmount", ctypes.byref(request), buffer, size, 0, shown={"mnt_id": request.mnt_id}
        )
    except KernelError as error:
        # ENOENT: the number is one of before Linux 6.8, which names no mount here.
        if error.errno in _CANNOT_TELL:
            return None
        raise
    answer = buffer.raw
    (mask,) = struct.unpack_from("=Q", answer, _MASK_AT)
    if mask & asked != asked:
        return None
    uids, uids_at, gids, gids_at = struct.unpack_from("=4I", answer, _MAPS_AT)
    return _ranges(answer, uids, uids_at), _ranges(answer, gids, gids_at)


def _ranges(answer: bytes, count: int, at: int) -> Ranges:
    texts = answer[_TEXTS_AT + at :].split(b"\0", count)[:count]
    return tuple(tuple(map(int, text.split())) for text in texts)  # type: ignore[misc]
