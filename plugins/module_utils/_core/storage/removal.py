# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Removing a directory with all that it holds, however deep, and never through a mount.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os

from ..errors import KernelError, Refused
from ..syscalls import files
from . import modes

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def remove_path(path: str) -> None:
    """Remove what is at the path, be it a directory with all that it holds; fine where nothing is.

    Links are not followed. Raises Refused where somebody has mounted something on it or below it,
    KernelError, OSError.
    """
    try:
        above = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        if not _unlinked(above, os.path.basename(path)):
            remove(above, os.path.basename(path))
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EBUSY):
            raise
        raise Refused(
            f"somebody has mounted something on {path} or below it, which so stays",
            "Unmount it, and run again.",
        ) from error
    finally:
        os.close(above)


def remove(parent_fd: int, name: str) -> None:
    """Remove the directory ``name`` in the open directory; fine where it is missing.

    Raises KernelError: EXDEV at a mount point, which is left alone with what holds it.
    """
    try:
        top = files.openat2(parent_fd, name, flags=_FLAGS, resolve=files.RESOLVE_NO_XDEV)
    except KernelError as error:
        if error.errno == errno.ENOENT:
            return
        raise
    try:
        empty(top, except_for=())
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent_fd)


def empty(top_fd: int, *, except_for: tuple[str, ...]) -> None:
    """Remove what the open directory holds, apart from these names. Raises KernelError, OSError.

    Directories are moved to the top before they are emptied, so that neither the depth of a
    hostile tree nor its paths can get too long for us.
    """
    number = 0
    while True:
        waiting = []
        for name in names_in(top_fd):
            if name not in except_for and not _unlinked(top_fd, name):
                waiting.append(name)
        if not waiting:
            return
        for name in waiting:
            fd = files.openat2(top_fd, name, flags=_FLAGS, resolve=files.RESOLVE_NO_XDEV)
            try:
                for inner in os.listdir(fd):
                    if _unlinked(fd, inner):
                        continue
                    while True:
                        number += 1
                        with contextlib.suppress(FileExistsError), modes.exact():
                            os.mkdir(f".removed-{number}", 0o700, dir_fd=top_fd)
                            break
                    os.rename(inner, f".removed-{number}", src_dir_fd=fd, dst_dir_fd=top_fd)
            finally:
                os.close(fd)
            os.rmdir(name, dir_fd=top_fd)


def names_in(fd: int) -> list[str]:
    """What the open directory holds now. Raises OSError.

    By a descriptor of its own: that of a btrfs shows nothing that was made since it was opened, or
    since a listing by it ended (Linux 6.5).
    """
    again = os.open(".", _FLAGS | os.O_CLOEXEC, dir_fd=fd)
    try:
        return os.listdir(again)
    finally:
        os.close(again)


def _unlinked(dir_fd: int, name: str) -> bool:
    """Unlink the name unless it is a directory; whether it was unlinked. Raises OSError."""
    try:
        os.unlink(name, dir_fd=dir_fd)
    except IsADirectoryError:
        return False
    except FileNotFoundError:
        pass
    return True
