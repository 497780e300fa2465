# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk whose power can be cut: what the host keeps lies on it, and copies are what was written to it.

The disk is a loop device. Its file has what the file system has written to the device so far, as after
a power cut, and not what is still in the kernel's memory.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import typing as t

from reboots import reboot

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

# Of a host, whatever this collection keeps on disk.
_ON_DISK = ("/etc", "/usr/local", "/var/cache", "/var/log")
# What a file system of any kind needs.
_SIZE = 320 << 20


class Disk:
    """The disk, mounted; detach() at the end."""

    def __init__(self, home: pathlib.Path, make: t.Sequence[str]) -> None:
        """``make`` is the command that makes its file system, without the name of the device."""
        self.path = home / "disk"
        self._memory = home / "memory"
        for directory in (self.path, self._memory):
            directory.mkdir()
        # Copied within a few milliseconds.
        mounts.mount("tests", str(self._memory), fstype="tmpfs")
        self._image = self._memory / "image"
        with self._image.open("wb") as image:
            image.truncate(_SIZE)
        subprocess.run([*make, self._image], check=True, capture_output=True)
        self._empty = self._memory / "empty"
        _copy(self._image, self._empty)
        self.attach(self._empty)

    def attach(self, copy: pathlib.Path) -> None:
        """Have the host boot from this copy."""
        self._detach()
        _copy(copy, self._image)
        subprocess.run(["mount", "-o", "loop", self._image, self.path], check=True)
        for directory in _ON_DISK:
            changes = self.path / directory[1:].replace("/", "-")
            for name in ("upper", "work"):
                (changes / name).mkdir(parents=True, exist_ok=True)
            layers = f"lowerdir={directory},upperdir={changes}/upper,workdir={changes}/work"
            mounts.mount("tests", directory, fstype="overlay", data=layers)
        subprocess.run(["sync", "--file-system", self.path], check=True)

    def attach_empty(self) -> None:
        """Have the host begin anew."""
        self.attach(self._empty)

    def cut(self, number: int) -> pathlib.Path:
        """A copy of what is on the disk now: as it was at one instant, so two that follow are equal."""
        one, other = (self._memory / f"cut-{number}{end}" for end in ("", ".next"))
        _copy(self._image, one)
        while True:
            _copy(self._image, other)
            if _same(one, other):
                other.unlink()
                return one
            os.rename(other, one)

    def _detach(self) -> None:
        if os.path.isdir(host_paths.BASE):
            reboot()
        if os.path.ismount(self.path):
            for directory in reversed(_ON_DISK):
                mounts.umount(directory, flags=mounts.MNT_DETACH)
            subprocess.run(["umount", "--lazy", self.path], check=True)

    def detach(self) -> None:
        """Take it away."""
        self._detach()
        mounts.umount(str(self._memory), flags=mounts.MNT_DETACH)


def _data(file: t.BinaryIO) -> t.Iterator[tuple[int, bytes]]:
    """The pieces of a file that are no holes."""
    position, size = 0, os.fstat(file.fileno()).st_size
    with contextlib.suppress(OSError):  # ENXIO: nothing but a hole is left
        while position < size:
            begin = os.lseek(file.fileno(), position, os.SEEK_DATA)
            position = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            yield begin, os.pread(file.fileno(), position - begin, begin)


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
    with source.open("rb") as reader, target.open("wb") as writer:
        os.ftruncate(writer.fileno(), _SIZE)
        for begin, data in _data(reader):
            os.pwrite(writer.fileno(), data, begin)


def _same(one: pathlib.Path, other: pathlib.Path) -> bool:
    with one.open("rb") as first, other.open("rb") as second:
        return list(_data(first)) == list(_data(second))
