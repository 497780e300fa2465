# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A directory to build something in, of which nothing is left when it ends or is killed.

The lock is a file on the host, named after the directory: whoever works in a target may be able to
open what lies there, and so to lock it. Only where nobody else can it is the directory itself. It
ends with the process that holds it, and a directory that nobody holds is left over from a killed
run. That it is one tells a file in it, which comes first and goes last: somebody may have given the
same name to what is his own.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import stat
import time
import typing as t
import zlib

from .. import actions
from ..errors import Refused
from ..host_paths import LOCKS
from ..storage import lock, modes, removal

# The step that failed where all was done, and what was left of the work could not be removed.
CLEAR_AWAY = "clear away what was built beside"
# What tells that a directory is one of these.
MARK = ".linux-namespaces.work"
# By it those that version 0.1.0 has left are known.
_MARK_OF_0_1_0 = "root"
# How long another run may take to remove a new directory that it takes for one that is left over, in seconds.
_PATIENCE = 10.0
_SCRATCH = re.compile(r"linux-namespaces-[0-9a-f]{16}")


class Busy(Refused):
    """Another run holds the directory, or it is somebody's own."""


def _busy(what_for: str, held_by: str) -> Busy:
    return Busy(
        f"another run is at work on {what_for}: {held_by}",
        "Wait for it to end, or end it, and run again.",
    )


class Workspace(t.NamedTuple):
    """A directory that is ours."""

    # The open directory.
    fd: int
    # A killed run left it, with what it holds.
    found: bool


class Locks:
    """The locks of workspaces, for the process that has not joined the target."""

    def __init__(self) -> None:
        self._held = contextlib.ExitStack()

    def answers(self) -> dict[str, t.Callable[..., t.Any]]:
        """What held() asks for, where it runs in another process: see ask_parent.py."""
        return {"lock": self._lock, "unlock": self._held.close}

    def ask(self, name: str, *arguments: t.Any) -> t.Any:
        """The same, where held() runs in this process."""
        return self.answers()[name](*arguments)

    def _lock(self, name: str, patience: float, what_for: str) -> bool:
        """Take the lock; False where the caller is a plain user, who has no place for it."""
        if os.geteuid() != 0:
            return False
        deadline = time.monotonic() + patience
        busy = functools.partial(_busy, what_for)
        self._held.enter_context(lock.file(f"{LOCKS}/{name}", deadline=deadline, or_raise=busy))
        return True


@contextlib.contextmanager
def held(
    parent_fd: int, name: str, *, ask: t.Callable[..., t.Any], patience: float, what_for: str
) -> t.Iterator[Workspace]:
    """Make the directory ``name`` in the open directory, for the caller alone.

    It is removed at the end. ``ask`` asks Locks. Raises Busy where another run holds it for longer
    than ``patience`` seconds, or it is none that a run has left; OSError.
    """
    is_locked = ask("lock", lock_name(parent_fd, name), patience, what_for)
    try:
        with _made(parent_fd, name, is_locked, patience, what_for) as made:
            yield made
    finally:
        ask("unlock")


@contextlib.contextmanager
def _made(
    parent_fd: int, name: str, is_locked: bool, patience: float, what_for: str
) -> t.Iterator[Workspace]:
    """See held(). Unless it ``is_locked`` the directory itself is."""
    taken = _take(parent_fd, name, is_locked, time.monotonic() + patience, what_for)
    failed: BaseException | None = None
    try:
        yield taken
    except BaseException as error:
        failed = error
        raise
    finally:
        try:
            _clear_away(functools.partial(remove, parent_fd, name, taken.fd), what_for, failed)
        finally:
            os.close(taken.fd)


def _clear_away(part: t.Callable[[], None], what_for: str, failed: BaseException | None) -> None:
    """Carry out ``part``; what it raises is not to hide why the work has ``failed``, if it has."""
    if failed is not None:
        actions.undo(failed, [part])
        return
    with actions.Step(f"{CLEAR_AWAY} {what_for}"):
        part()


def remove(parent_fd: int, name: str, fd: int) -> None:
    """Remove the directory ``name`` that is open as ``fd``. Raises KernelError, OSError."""
    removal.empty(fd, except_for=(MARK,))
    removal.remove(parent_fd, name)


def is_one(fd: int) -> bool:
    """Whether a run has made the open directory: one that holds nothing may be any. Raises OSError."""
    there = os.listdir(fd)
    return not there or MARK in there or _MARK_OF_0_1_0 in there


@contextlib.contextmanager
def scratch(above: str) -> t.Iterator[str]:
    """The path of a new directory in ``above``, which may be open to all; it goes at the end.

    With it go those that runs of the same user were killed over. Raises OSError.
    """
    above_fd = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in os.listdir(above_fd):
            if _SCRATCH.fullmatch(name) and _is_own(above_fd, name):
                with contextlib.suppress(Busy), _scratch(above_fd, name, patience=0):
                    pass
        name = f"linux-namespaces-{os.urandom(8).hex()}"
        with _scratch(above_fd, name, patience=_PATIENCE):
            yield f"{above}/{name}"
    finally:
        os.close(above_fd)


def _scratch(above_fd: int, name: str, *, patience: float) -> t.ContextManager[Workspace]:
    # Nobody else can open it, so that it is its own lock: who reaches it may have another /run, as a
    # container that has this directory in common with the host.
    return _made(above_fd, name, False, patience, name)


def _is_own(above_fd: int, name: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        found = os.stat(name, dir_fd=above_fd, follow_symlinks=False)
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return False


def lock_name(parent_fd: int, name: str) -> str:
    """The name of the lock of the directory ``name`` in the open directory."""
    above = os.fstat(parent_fd)
    return (
        f"linux-namespaces.root-{above.st_dev}-{above.st_ino}-{zlib.crc32(os.fsencode(name))}.lock"
    )


def _take(parent_fd: int, name: str, is_locked: bool, deadline: float, what_for: str) -> Workspace:
    while True:
        try:
            with modes.exact():
                os.mkdir(name, 0o700, dir_fd=parent_fd)
            found = False
        except FileExistsError:
            found = True
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(name, flags, dir_fd=parent_fd)
        except FileNotFoundError:
            continue
        except OSError:
            _leave_nothing(parent_fd, name, found)
            raise
        try:
            # Only of what nobody else can open: a plain user's, and what is in a directory for all.
            if not is_locked and not lock.take(fd, deadline=deadline):
                raise _busy(what_for, lock.held_by(fd))
            if lock.is_at(fd, name, dir_fd=parent_fd):
                if os.fstat(fd).st_uid == os.geteuid():
                    if not is_one(fd):
                        raise Busy(
                            f"{name}, where {what_for} would be built, is not what a run has left",
                            "Move it to another name, or remove it.",
                        )
                    os.fchmod(fd, 0o700)
                    _mark(fd)
                    return Workspace(fd, found)
                # Somebody else could turn to what he likes whatever is built in it.
                removal.remove(parent_fd, name)
        except BaseException:
            os.close(fd)
            _leave_nothing(parent_fd, name, found)
            raise
        os.close(fd)  # who held it has removed it


def _mark(fd: int) -> None:
    """Mark the open directory as one of ours, on disk before anything is in it. Raises OSError.

    A file system may keep a file that is synced later without the one that was made before it.
    """
    mark = os.open(MARK, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=fd)
    try:
        os.fsync(mark)
    finally:
        os.close(mark)
    os.fsync(fd)


def _leave_nothing(parent_fd: int, name: str, found: bool) -> None:
    if not found:
        with contextlib.suppress(OSError):  # a later run clears it
            removal.remove(parent_fd, name)
