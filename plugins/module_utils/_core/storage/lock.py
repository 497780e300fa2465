# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Locks between runs: flock(2), which ends with the process that holds it.

Whoever can open a file can lock it, for reading as well, and hold up all that want its lock. So
these are files that only their owner can open, and not what everybody may look at.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
import typing as t

from ..errors import Refused

_PAUSE = 0.02


def take(fd: int, *, deadline: float) -> bool:
    """Lock the open file; False where another run had it until the deadline.

    ``deadline`` is in terms of time.monotonic(). Closing the file gives the lock back.
    """
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)


@contextlib.contextmanager
def file(
    path: str, *, deadline: float, dir_fd: int | None = None, or_raise: Refused | None = None
) -> t.Iterator[None]:
    """Hold the lock of the file at the path, which is there for as long as it is held.

    With ``dir_fd`` the path is a name in that open directory. Raises ``or_raise``, or one that
    names the file, where another run had it until the deadline; OSError, Refused.
    """
    while True:
        fd = opened(path, dir_fd=dir_fd)
        try:
            if not take(fd, deadline=deadline):
                raise or_raise or held_by_another(f"the lock {path}", path)
            if not is_at(fd, path, dir_fd=dir_fd):
                continue
            try:
                yield
            finally:
                # Before the lock ends: who waits for it looks for the name afterwards.
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path, dir_fd=dir_fd)
            return
        finally:
            os.close(fd)


def opened(path: str, *, dir_fd: int | None = None) -> int:
    """Open the file to be locked, which is made where it is missing.

    Raises Refused where others could open it as well, OSError.
    """
    flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600, dir_fd=dir_fd)
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
        os.fchmod(fd, 0o600)  # the umask may have taken of it
        return fd
    os.close(fd)
    raise Refused(
        f"{path} is no lock: others can open it, and so hold it for as long as they like",
        "Remove it, and look who made it.",
    )


def is_at(fd: int, path: str, *, dir_fd: int | None = None) -> bool:
    """Whether the open file is still the one at the path; who waited may have one removed since."""
    try:
        there = os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(fd), there)


def held_by_another(lock: str, path: str) -> Refused:
    """That another run holds the lock, which is on the file at the path."""
    return Refused(f"another run holds {lock}", f"Wait for it to end; `fuser -v {path}` names it.")
