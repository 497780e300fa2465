# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Writing files so that after a power cut each is there as it was, or as it is to be, and whole.

A name is on disk when its directory is (fsync(2), NOTES), so that is synced as well. Modes are
set, not left to the umask.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os


def write(path: str, content: str, *, mode: int) -> None:
    """Write the file, in place of what was there; nothing where it has this content and mode.

    Characters that are no text are written as they were read (surrogateescape). Raises OSError.
    """
    data = content.encode("utf-8", "surrogateescape")
    if _is_written(path, data, mode):
        return
    beside = _beside(path)
    flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(beside, flags, 0o600), "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(beside, path)
    _sync_above(path)


def _is_written(path: str, data: bytes, mode: int) -> bool:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            return os.fstat(file.fileno()).st_mode & 0o7777 == mode and file.read() == data
    except OSError:
        return False


def link(target: str, path: str) -> None:
    """Have a symbolic link to ``target`` at the path, in place of what was there. Raises OSError."""
    beside = _beside(path)
    _unlink(beside)
    os.symlink(target, beside)
    os.rename(beside, path)
    _sync_above(path)


def remove(path: str) -> None:
    """Remove the file or link, and what a killed run was writing in its place.

    An empty directory that somebody has put there goes as well. Raises OSError.
    """
    removed = [_unlink(each) for each in (path, _beside(path))]
    if any(removed):
        _sync_above(path)


def is_there(path: str) -> bool:
    """Whether remove() has something to do."""
    return os.path.lexists(path) or os.path.lexists(_beside(path))


def make_directory(path: str, *, mode: int) -> None:
    """Make the directory, and those above it, which are open to all. Raises OSError.

    One that is there keeps its mode.
    """
    if os.path.isdir(path):
        return
    make_directory(os.path.dirname(path), mode=0o755)
    try:
        os.mkdir(path, mode)
    except FileExistsError:  # another run has just made it
        return
    os.chmod(path, mode)
    _sync_above(path)


def remove_directory(path: str) -> bool:
    """Remove the directory where it is empty; whether it is gone. Raises OSError."""
    try:
        os.rmdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # something is in it
        return False
    _sync_above(path)
    return True


def _beside(path: str) -> str:
    return f"{path}.new"


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (IsADirectoryError, PermissionError):  # a directory: EISDIR on Linux, EPERM by POSIX
        os.rmdir(path)
    return True


def _sync_above(path: str) -> None:
    fd = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
