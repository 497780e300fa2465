# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""statmount(2), Linux 6.8: what the kernel knows of one mount.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import ctypes
import errno
import struct

from ..errors import KernelError
from .call import invoke
from .files import unique_mount_id

_MNT_UIDMAP = 0x2000  # Linux 6.15
_MNT_GIDMAP = 0x4000
_MASK_AT = 8
_MAPS_AT = 152
_TEXTS_AT = 512

Ranges = tuple[tuple[int, int, int], ...]


class _MountIdRequest(ctypes.Structure):
    # struct mnt_id_req, its first version (24 bytes).
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("spare", ctypes.c_uint32),
        ("mnt_id", ctypes.c_uint64),
        ("param", ctypes.c_uint64),
    ]


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
        if error.errno in (errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.ENOENT):
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
