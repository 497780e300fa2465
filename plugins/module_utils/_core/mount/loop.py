# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Images in files: the loop devices that show them (loop(4)).

What is in an image is shown by one device at a time that is written to: the kernel takes two devices
for two disks, and two file systems on them would each overwrite what the other one writes. So a
device that shows the image already is used again, whoever has attached it, as mount(8) does it
(THE LOOP-DEVICE SUPPORT; losetup(8), --nooverlap).
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
import typing as t

from .. import host_paths
from ..errors import KernelError
from ..storage import lock
from ..syscalls import loop_devices, regular_files
from . import block_names, loop_conflict
from .compare import LoopDevice, Part

_TRIES = 64
_DEVICES = "/sys/block"
# How long others may take to attach a device, in seconds.
_PATIENCE = 30.0


class Image(t.NamedTuple):
    """What a loop device is to show."""

    # The file, open with O_PATH, and its path.
    fd: int
    path: str
    read_only: bool
    # Which part of it, in bytes; a size of 0 is all up to the end.
    offset: int = 0
    size: int = 0
    # A device that can only be read shows it as well, on a mount that is about to go.
    replaces_read_only: bool = False


@contextlib.contextmanager
def device_of(image: Image) -> t.Iterator[str]:
    """A loop device that shows the image; its path, good for the block.

    A new one ends with its last user: whoever mounted it meanwhile, or else the block. Raises
    KernelError; Refused where another device shows a part of it that is not the same.
    """
    with _only_here():
        path, device = _found_or_made(image)
    try:
        yield path
    finally:
        os.close(device)


@contextlib.contextmanager
def _only_here() -> t.Iterator[None]:
    """Nobody else of ours looks for a device meanwhile: both would find none, and make one each."""
    with contextlib.ExitStack() as stack:
        # Who may not make it is no root of the host, and cannot attach a device either: that says why.
        with contextlib.suppress(PermissionError):
            deadline = time.monotonic() + _PATIENCE
            stack.enter_context(lock.file(host_paths.LOOP_LOCK, deadline=deadline))
        yield


def _found_or_made(image: Image) -> tuple[str, int]:
    """The path of a device, and it, open. Raises KernelError, Refused."""
    part = part_of(image.fd, image.offset, image.size)
    for _attempt in range(_TRIES):
        there = loop_conflict.overlapping(devices_of(image.fd), part)
        loop_conflict.check(
            there, part, image.path, may_be_read=image.read_only or image.replaces_read_only
        )
        usable = [each for each in there if image.read_only or not each.read_only]
        found = _opened(usable[0], image) if usable else _configured(image, part)
        if found is not None:
            return found
    raise KernelError("ioctl LOOP_CONFIGURE", errno.EBUSY, {"image": image.path})


def _opened(device: LoopDevice, image: Image) -> tuple[str, int] | None:
    """The device, open; None where it shows the image no longer: its last user has gone."""
    try:
        fd = os.open(device.path, os.O_CLOEXEC | os.O_RDONLY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENXIO):
            return None
        raise KernelError("open", error.errno or errno.EIO, {"path": device.path}) from error
    # From here on it stays.
    with contextlib.suppress(KernelError):
        if _seen(fd, device.path, os.fstat(image.fd)) == device:
            return device.path, fd
    os.close(fd)
    return None


def _configured(image: Image, part: Part) -> tuple[str, int] | None:
    """A new device; None where somebody else took it, or attached the image as well, since."""
    try:
        backing = regular_files.reopen(image.fd, _mode(image), path=image.path)
    except OSError as error:
        raise KernelError("open", error.errno or errno.EIO, {"image": image.path}) from error
    path = f"/dev/loop{loop_devices.free_number()}"
    try:
        device = os.open(path, os.O_CLOEXEC | _mode(image))
    except OSError as error:
        os.close(backing)
        raise KernelError("open", error.errno or errno.EIO, {"path": path}) from error
    try:
        loop_devices.configure(
            device,
            backing,
            name=image.path,
            read_only=image.read_only,
            offset=image.offset,
            size=image.size,
        )
        # mount(8) and losetup(8) do not know our lock.
        there = loop_conflict.overlapping(devices_of(image.fd), part)
        if any(each.path != path and not each.read_only for each in there):
            os.close(device)
            return None
    except KernelError as error:
        os.close(device)
        if error.errno != errno.EBUSY:
            raise
        return None
    finally:
        os.close(backing)
    return path, device


def _mode(image: Image) -> int:
    return os.O_RDONLY if image.read_only else os.O_RDWR


def part_of(fd: int, offset: int, size: int) -> Part:
    """These bytes of the open file; a size of 0 is all up to the end."""
    return _part(os.fstat(fd).st_size, offset, size)


def _part(total: int, offset: int, size: int) -> Part:
    # What ends with the file is all up to its end, however it was put.
    return Part(offset, 0 if offset + size >= total else size)


def devices_of(fd: int) -> list[LoopDevice]:
    """The loop devices that show the open file ``fd``, or a part of it."""
    status = os.fstat(fd)
    found = []
    for name in sorted(os.listdir(_DEVICES)):
        if not os.path.exists(f"{_DEVICES}/{name}/loop/backing_file"):
            continue
        with contextlib.suppress(OSError):  # it has gone since
            path = f"/dev/{name}"
            device = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                shows = _seen(device, path, status)
            finally:
                os.close(device)
            if shows is not None:
                found.append(shows)
    return found


def _seen(device: int, path: str, image: os.stat_result) -> LoopDevice | None:
    """What the open device is, where it shows the image. Raises KernelError where it shows nothing."""
    shows = loop_devices.status_of(device)
    if shows.backing != (image.st_dev, image.st_ino):
        return None
    return LoopDevice(
        block_names.number_of(os.fstat(device).st_rdev),
        path,
        shows.read_only,
        shows.autoclear,
        _part(image.st_size, shows.offset, shows.size),
    )
