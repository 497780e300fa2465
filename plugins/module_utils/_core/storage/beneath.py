# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Files below a directory of ours of which a part may be mounted inside, where a program can write.

What it puts there is hostile: all of them are reached from that directory on, by descriptor, and no link
is followed.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os

from ..syscalls import files, regular_files
from . import atomic

_BENEATH = files.RESOLVE_BENEATH | files.RESOLVE_NO_SYMLINKS | files.RESOLVE_NO_MAGICLINKS
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_PARENTS_MODE = 0o755


def opened(top: str, below: str, *, is_directory: bool = False) -> int:
    """The regular file or directory of this path below ``top``, open for reading. Raises OSError."""
    fd = _top(top)
    try:
        if is_directory:
            return files.openat2(fd, below, flags=_DIRECTORY, resolve=_BENEATH)
        return regular_files.open_regular(
            below, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd, resolve=_BENEATH
        )
    finally:
        os.close(fd)


def content(top: str, below: str) -> bytes | None:
    """What is in the regular file; None where there is none."""
    try:
        fd = opened(top, below)
    except OSError:
        return None
    with open(fd, "rb") as file:
        return file.read()


def is_there(top: str, below: str) -> bool:
    """Whether anything has this name."""
    try:
        parent = _parent(top, below, make=False)
    except OSError:
        return False
    try:
        os.stat(os.path.basename(below), dir_fd=parent, follow_symlinks=False)
    except OSError:
        return False
    finally:
        os.close(parent)
    return True


def make_directory(top: str, below: str, *, mode: int, owner: tuple[int, int]) -> None:
    """Have a directory there, with those above it. Raises OSError."""
    parent, name = _parent(top, below, make=True), os.path.basename(below)
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
        fd = files.openat2(parent, name, flags=_DIRECTORY, resolve=_BENEATH)
        try:
            os.fchown(fd, *owner)
            os.fchmod(fd, mode)
        finally:
            os.close(fd)
        atomic.sync_above(name, parent)
    finally:
        os.close(parent)


def make_parents(top: str, below: str) -> None:
    """Have the directories above it there. Raises OSError."""
    os.close(_parent(top, below, make=True))


class Beside:
    """A file that is finished, but for its name: see atomic.Beside. It must be put or dropped."""

    def __init__(
        self, top: str, below: str, data: bytes, *, mode: int, owner: tuple[int, int]
    ) -> None:
        self._parent = _parent(top, below, make=True)
        try:
            self._file = atomic.Beside(
                os.path.basename(below), data, mode=mode, dir_fd=self._parent, owner=owner
            )
        except BaseException:
            os.close(self._parent)
            raise

    def put(self) -> None:
        """Give it its name. Raises OSError."""
        try:
            self._file.put()
        finally:
            os.close(self._parent)

    def drop(self) -> None:
        """Leave nothing of it."""
        self._file.drop()
        os.close(self._parent)


def remove(top: str, below: str, *, is_directory: bool) -> None:
    """Remove the file, or the directory where it is empty. Raises OSError."""
    parent, name = _parent(top, below, make=False), os.path.basename(below)
    try:
        if not is_directory:
            atomic.remove(name, dir_fd=parent)
            return
        with contextlib.suppress(OSError):  # what is in it is not ours
            os.rmdir(name, dir_fd=parent)
            atomic.sync_above(name, parent)
    finally:
        os.close(parent)


def _top(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _parent(top: str, below: str, *, make: bool) -> int:
    """The directory that it is in, opened; those that are missing are made. Raises OSError."""
    fd = _top(top)
    try:
        for name in below.split("/")[:-1]:
            try:
                found = files.openat2(fd, name, flags=_DIRECTORY, resolve=_BENEATH)
            except OSError as error:
                if not make or error.errno != errno.ENOENT:
                    raise
                os.mkdir(name, _PARENTS_MODE, dir_fd=fd)
                found = files.openat2(fd, name, flags=_DIRECTORY, resolve=_BENEATH)
                os.fchmod(found, _PARENTS_MODE)
            os.close(fd)
            fd = found
    except BaseException:
        os.close(fd)
        raise
    return fd
