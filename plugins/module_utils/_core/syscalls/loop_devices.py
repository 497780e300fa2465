# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The calls of loop(4), which show a file as a block device.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import typing as t

from ..errors import KernelError
from .call import to_bytes

_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_GET_STATUS64 = 0x4C05
_LOOP_CONFIGURE = 0x4C0A  # Linux 5.8
_LO_FLAGS_READ_ONLY = 1
_LO_FLAGS_AUTOCLEAR = 4

# struct loop_info64: device, inode, rdevice, offset, sizelimit; number, encrypt type and key size,
# flags; file name, crypt name, key; init.
_INFO = struct.Struct("=5Q4I64s64s32s2Q")
# struct loop_config: fd, block size, the info, reserved.
_CONFIG = struct.Struct(f"=II{_INFO.size}s64x")


def free_number() -> int:
    """The number of a loop device that nobody uses; it is made when there is none.

    Raises KernelError.
    """
    path = "/dev/loop-control"
    try:
        control = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            return fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
        finally:
            os.close(control)
    except OSError as error:
        raise _failed("LOOP_CTL_GET_FREE", error, path=path) from error


def configure(
    device: int, backing: int, *, name: str, read_only: bool, offset: int = 0, size: int = 0
) -> None:
    """Have the loop device show the file ``backing``, until nobody uses it any more.

    It shows ``size`` bytes from ``offset`` on; 0 is all up to the end. Raises KernelError: EBUSY
    where it shows another one already.
    """
    flags = _LO_FLAGS_AUTOCLEAR | (_LO_FLAGS_READ_ONLY if read_only else 0)
    shown = to_bytes(name)[:63]
    info = _INFO.pack(0, 0, 0, offset, size, 0, 0, 0, flags, shown, b"", b"", 0, 0)
    try:
        fcntl.ioctl(device, _LOOP_CONFIGURE, _CONFIG.pack(backing, 0, info))
    except OSError as error:
        raise _failed("LOOP_CONFIGURE", error, image=name) from error


class Status(t.NamedTuple):
    """What a loop device shows, and how."""

    # The device and the inode of the file.
    backing: tuple[int, int]
    # Which part of it, in bytes; a size of 0 is all up to the end.
    offset: int
    size: int
    read_only: bool
    # Whether it ends with its last user; one without stays until it is detached (losetup(8)).
    autoclear: bool


def status_of(device: int) -> Status:
    """What the loop device shows. Raises KernelError: ENXIO where that is nothing."""
    buffer = bytearray(_INFO.size)
    try:
        fcntl.ioctl(device, _LOOP_GET_STATUS64, buffer)
    except OSError as error:
        raise _failed("LOOP_GET_STATUS64", error) from error
    fields = _INFO.unpack(buffer)
    flags = fields[8]
    # As huge_encode_dev() of the kernel: the C library's makedev() for numbers of this size.
    return Status(
        backing=(fields[0], fields[1]),
        offset=fields[3],
        size=fields[4],
        read_only=bool(flags & _LO_FLAGS_READ_ONLY),
        autoclear=bool(flags & _LO_FLAGS_AUTOCLEAR),
    )


def _failed(name: str, error: OSError, **shown: str) -> KernelError:
    return KernelError(f"ioctl {name}", error.errno or errno.EIO, shown)
