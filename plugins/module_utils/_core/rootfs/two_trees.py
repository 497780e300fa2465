# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Two trees beside each other: what has the same path in both, and whether it is the same.

What is in them was packed by others, or written from inside: it is found from the top on, by
descriptor; no link is followed, no mount point crossed, nothing but a regular file opened.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t

from ..errors import KernelError
from ..syscalls import files, regular_files

_BENEATH = (
    files.RESOLVE_BENEATH
    | files.RESOLVE_NO_SYMLINKS
    | files.RESOLVE_NO_MAGICLINKS
    | files.RESOLVE_NO_XDEV
)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
# A program inside that has a lease on its file would let us wait (fcntl(2), F_SETLEASE).
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
# No directory is there, a mount point is, or what no program could reach by its path either.
_NONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.ENAMETOOLONG)
_CHUNK = 1 << 20
# What lies between two holes may be one block.
_SPARSE_CHUNK = 1 << 16


class Tree:
    """A directory with all that it holds. For a with statement, which raises OSError."""

    def __init__(self, top: str) -> None:
        self._path, self._top = top, -1

    def __enter__(self) -> Tree:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        self._top = os.open(self._path, flags)
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._top)

    @contextlib.contextmanager
    def directory(self, below: str) -> t.Iterator[int]:
        """The directory of this path from the top on, open for the block; -1 where there is none.

        Raises KernelError.
        """
        fd = -1
        try:
            fd = files.openat2(self._top, below or ".", flags=_DIRECTORY, resolve=_BENEATH)
        except KernelError as error:
            if error.errno not in _NONE:
                raise
        try:
            yield fd
        finally:
            if fd >= 0:
                os.close(fd)


def status_of(directory: int, name: str) -> os.stat_result | None:
    """What has the name in the open directory; None where nothing has, or there is no directory."""
    if directory < 0:
        return None
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def opened(directory: int, name: str) -> t.Iterator[int]:
    """The regular file in the open directory, open for reading, for the block. Raises OSError."""
    try:
        fd = regular_files.open_regular(name, _FILE, dir_fd=directory, resolve=_BENEATH)
    except KernelError as error:
        if error.errno != errno.EXDEV:
            raise
        raise regular_files.NotRegular(errno.EINVAL, "a mount point", name) from error
    try:
        yield fd
    finally:
        os.close(fd)


def has_equal_content(one: int, other: int) -> bool:
    """Whether both open files hold the same; what is a hole in both is not read. Raises OSError."""
    found = os.fstat(one), os.fstat(other)
    size = found[0].st_size
    if size != found[1].st_size:
        return False
    is_sparse = any(status.st_blocks * 512 < size for status in found)
    chunk = _SPARSE_CHUNK if is_sparse else min(_CHUNK, size)
    offset = 0
    while offset < size:
        if is_sparse:
            # Of exabytes without a block, perhaps, which would take for ever.
            offset = min(_next_data(fd, offset, size) for fd in (one, other))
            if offset == size:
                break
        data = os.pread(one, chunk, offset)
        if not data or data != os.pread(other, chunk, offset):
            return False
        offset += len(data)
    return True


def _next_data(fd: int, offset: int, size: int) -> int:
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:  # which says that there is none
            raise
    return size


def is_same(
    directories: tuple[int, int], name: str, found: tuple[os.stat_result, os.stat_result]
) -> bool:
    """Whether both things of this name are of one kind and owner, with one mode, and hold the same.

    What is in a directory does not count. ``found`` is what status_of() says of them. Raises OSError.
    """
    one, other = found
    if owner_and_mode(one) != owner_and_mode(other):
        return False
    kind = stat.S_IFMT(one.st_mode)
    if kind == stat.S_IFREG:
        if os.path.samestat(one, other):
            return True
        if one.st_size != other.st_size:
            return False
        with opened(directories[0], name) as first, opened(directories[1], name) as second:
            return has_equal_content(first, second)
    if kind == stat.S_IFLNK:
        first_target, second_target = (os.readlink(name, dir_fd=each) for each in directories)
        return first_target == second_target
    return kind not in (stat.S_IFCHR, stat.S_IFBLK) or one.st_rdev == other.st_rdev


def owner_and_mode(status: os.stat_result) -> tuple[int, int, int]:
    """The kind and the permissions, the user and the group."""
    return status.st_mode, status.st_uid, status.st_gid
