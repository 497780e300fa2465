# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Images in files: the loop devices that show them (loop(4)).

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import typing as t

from ..errors import KernelError
from ..syscalls import loop_devices, regular_files
from .compare import LoopDevice

_TRIES = 64
_DEVICES = "/sys/block"


@contextlib.contextmanager
def device_of(image: int, *, path: str, read_only: bool) -> t.Iterator[str]:
    """A loop device that shows the file ``image``, open with O_PATH; its path, good for the block.

    ``path`` is that of the image. The device ends with its last user: whoever mounted it
    meanwhile, or else the block. Raises KernelError.
    """
    try:
        flags = os.O_RDONLY if read_only else os.O_RDWR
        backing = regular_files.reopen(image, flags, path=path)
    except OSError as error:
        raise KernelError("open", error.errno or errno.EIO, {"image": path}) from error
    try:
        name, device = _configured(backing, path, read_only=read_only)
    finally:
        os.close(backing)
    try:
        yield name
    finally:
        os.close(device)


def _configured(backing: int, image: str, *, read_only: bool) -> tuple[str, int]:
    for attempt in range(_TRIES):
        path = f"/dev/loop{loop_devices.free_number()}"
        try:
            device = os.open(path, os.O_CLOEXEC | (os.O_RDONLY if read_only else os.O_RDWR))
        except OSError as error:
            raise KernelError("open", error.errno or errno.EIO, {"path": path}) from error
        try:
            loop_devices.configure(device, backing, name=image, read_only=read_only)
        except KernelError as error:
            os.close(device)
            # EBUSY: somebody else took it since.
            if error.errno != errno.EBUSY or attempt == _TRIES - 1:
                raise
            continue
        return path, device
    raise AssertionError("unreachable")


def devices_of(fd: int) -> list[LoopDevice]:
    """The loop devices that show the open file ``fd``."""
    status = os.fstat(fd)
    found = []
    for name in sorted(os.listdir(_DEVICES)):
        if not os.path.exists(f"{_DEVICES}/{name}/loop/backing_file"):
            continue
        with contextlib.suppress(OSError):  # it has gone since
            path = f"/dev/{name}"
            device = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                shows = loop_devices.status_of(device)
                if shows.backing == (status.st_dev, status.st_ino):
                    rdev = os.fstat(device).st_rdev
                    number = f"{os.major(rdev)}:{os.minor(rdev)}"
                    found.append(LoopDevice(number, path, shows.read_only, shows.autoclear))
            finally:
                os.close(device)
    return found
