# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Writing files so that after a power cut each is there as it was, or as it is to be, and whole.

A name is on disk when its directory is (fsync(2), NOTES), so that is synced as well. Modes are
set, not left to the umask.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os
import stat

from ..host_paths import is_directory
from ..syscalls import files, regular_files, trees

# Why a directory stays: something is in it, or on it, or it is not the caller's to remove.
_STAYS = (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.EROFS, errno.EPERM, errno.EACCES)


def write(path: str, content: str | bytes, *, mode: int, dir_fd: int | None = None) -> None:
    """Write the file, in place of what was there; nothing where it has this content and mode.

    With ``dir_fd`` the path is a name in that open directory, and written in any case: it may be one
    of others, where nothing is to be opened. Characters that are no text are
    written as they were read (surrogateescape). Raises OSError.
    """
    Beside(path, content, mode=mode, dir_fd=dir_fd).put()


class Beside:
    """A file that is finished, but for its name: write() in two phases. It must be put or dropped.

    So it is known that there is room for it before what it tells of is begun. ``owner`` is a user and a
    group, where they are not the caller's. Making it raises OSError, after which nothing is left of it.
    """

    __slots__ = ("_dir_fd", "_is_there", "_path")

    def __init__(
        self,
        path: str,
        content: str | bytes,
        *,
        mode: int,
        dir_fd: int | None = None,
        owner: tuple[int, int] | None = None,
    ) -> None:
        data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        self._path, self._dir_fd = path, dir_fd
        self._is_there = dir_fd is not None or not _is_written(path, data, mode)
        if not self._is_there:
            return
        beside = beside_of(path)
        _unlink(beside, dir_fd)  # what a killed run left, or somebody else put there
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        try:
            with open(os.open(beside, flags, 0o600, dir_fd=dir_fd), "wb") as file:
                if owner is not None:
                    os.fchown(file.fileno(), *owner)
                os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self.drop()
            error.filename = path  # a call by descriptor names none
            raise

    def put(self) -> None:
        """Give it its name, in place of what had it. Raises OSError; then nothing is left of it."""
        if not self._is_there:
            # By a run that may have been killed before it came to that.
            sync_above(self._path, self._dir_fd)
            return
        try:
            if self._dir_fd is None and is_directory(self._path):
                _remove_directory(self._path)  # no file can be renamed to it
            os.rename(
                beside_of(self._path), self._path, src_dir_fd=self._dir_fd, dst_dir_fd=self._dir_fd
            )
        except OSError:
            self.drop()
            raise
        self._is_there = False
        sync_above(self._path, self._dir_fd)

    def drop(self) -> None:
        """Leave nothing of it, where it was not put."""
        if not self._is_there:
            return
        self._is_there = False
        try:
            _unlink(beside_of(self._path), self._dir_fd)
        except OSError:  # the next one who writes the file removes it
            pass


def _is_written(path: str, data: bytes, mode: int) -> bool:
    try:
        fd = regular_files.open_regular(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        found = os.fstat(fd)
        is_like_it = found.st_mode == stat.S_IFREG | mode and found.st_size == len(data)
        return is_like_it and os.read(fd, len(data)) == data
    finally:
        os.close(fd)


def put(made: str, path: str) -> None:
    """Move the finished file ``made`` to the path, in place of what was there. Raises OSError."""
    fd = os.open(made, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(made, path)
    sync_above(path)


def put_directory(made: str, path: str) -> None:
    """Move the finished directory ``made``, with all that it holds, to the path.

    One that is there goes beside, to the name ``made``; the path names one of both at every
    instant. Raises OSError.
    """
    fd = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        trees.sync_filesystem(fd)
    finally:
        os.close(fd)
    try:
        os.rename(made, path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        trees.exchange(files.AT_FDCWD, made, files.AT_FDCWD, path)
    sync_above(path)


def link(target: str, path: str) -> None:
    """Have a symbolic link to ``target`` at the path, in place of what was there. Raises OSError."""
    beside = beside_of(path)
    _unlink(beside)
    os.symlink(target, beside)
    try:
        os.rename(beside, path)
    except OSError:
        os.unlink(beside)
        raise
    sync_above(path)


def remove(path: str, *, dir_fd: int | None = None) -> None:
    """Remove the file or link, and what a killed run was writing in its place.

    What somebody has put there goes as well: a directory with all that is in it. With ``dir_fd`` the
    path is a name in that open directory, which may be one of others: there only an empty one goes.
    Raises OSError.
    """
    removed = [_unlink(each, dir_fd) for each in (path, beside_of(path))]
    if any(removed):
        _sync_what_is_left(path, dir_fd)


def is_there(path: str) -> bool:
    """Whether remove() has something to do."""
    return os.path.lexists(path) or os.path.lexists(beside_of(path))


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
    try:
        os.chmod(path, mode)
        sync_above(path)
    except OSError:
        try:
            os.rmdir(path)
        except OSError:
            pass
        raise


def close(path: str, *, mode: int) -> None:
    """Take the permissions from the file or directory that ``mode`` does not have, if that may be.

    People and their tools, or earlier versions, have left it more open than what is in it allows.
    """
    try:
        found = os.lstat(path).st_mode
        if not stat.S_ISLNK(found) and stat.S_IMODE(found) & ~mode:
            os.chmod(path, stat.S_IMODE(found) & mode)
    except OSError:  # it is not there, or not the caller's
        pass


def remove_directory(path: str) -> bool:
    """Remove the directory where it is empty and can be removed; whether it is gone. Raises OSError."""
    try:
        os.rmdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as error:
        if error.errno not in _STAYS:
            raise
        return False
    _sync_what_is_left(path)
    return True


def beside_of(path: str) -> str:
    """Where the file of this path is written, before it gets its name."""
    return f"{path}.new"


def _unlink(path: str, dir_fd: int | None = None) -> bool:
    try:
        os.unlink(path, dir_fd=dir_fd)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except IsADirectoryError:
        if dir_fd is not None:
            os.rmdir(path, dir_fd=dir_fd)
        else:
            _remove_directory(path)
    except OSError as error:
        # On a file system that can only be read so is told of what is not there.
        if error.errno == errno.EROFS and not _exists(path, dir_fd):
            return False
        raise
    return True


def _exists(path: str, dir_fd: int | None) -> bool:
    try:
        os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
    except OSError:
        return False
    return True


def _remove_directory(path: str) -> None:
    from . import removal  # 2 ms to compile, for what is not in order

    removal.remove_path(path)


def _sync_what_is_left(path: str, dir_fd: int | None = None) -> None:
    try:
        sync_above(path, dir_fd)
    except FileNotFoundError:  # another run has removed the directory above, which was empty then
        pass


def sync_above(path: str, dir_fd: int | None = None) -> None:
    """Have the directory of the path on disk, and so that there is this name in it, or none.

    For names that others have made. Raises OSError.
    """
    above = os.path.dirname(path) or "."
    fd = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
