# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The lock of a named namespace, and the directory that pins and locks lie in.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from ..actions import Step, undo
from ..errors import Refused, StepFailed
from ..host_paths import BASE, BASE_LOCK, CLOSED, checked_name, is_kept
from ..storage import atomic, lock
from ..syscalls import files, mounts
from . import pins

_LOCKS = f"{BASE}/.locks"
# What lies in BASE whichever names there are.
_FOR_ALL = (_LOCKS, CLOSED)
_NAMES_FOR_ALL = {os.path.basename(each) for each in _FOR_ALL}
_held: set[str] = set()


@contextlib.contextmanager
def held(name: str, *, timeout: float) -> t.Iterator[None]:
    """Hold the lock of ``name``; a second run waits for up to ``timeout`` seconds.

    Within it the same process can ask for it again, and has it. BASE is made when it is
    missing, and removed afterwards when nothing is kept in it. Raises Refused when the wait was
    too long, or the caller is not root.
    """
    checked_name(name)
    pins.check_rights()
    if name in _held:
        yield
        return
    try:
        with Step(f"take the lock of namespace {name!r}"):
            fd = _take(name, time.monotonic() + timeout)
    except StepFailed as error:
        undo(error, [_remove_base])
        raise
    _held.add(name)
    try:
        yield
    finally:
        _held.remove(name)
        _drop(name, fd)


def is_held(name: str) -> bool:
    """Whether this process holds the lock of ``name``."""
    return name in _held


def _take(name: str, deadline: float) -> int:
    path = f"{_LOCKS}/{name}"
    while True:
        with _guard(deadline):
            _make_base()
            if os.path.lexists(path) and not lock.is_own(os.lstat(path)):
                from ..storage import removal  # not loaded where all is in order

                removal.remove_path(path)  # no run of ours made it, so none holds it
            # Under the guard as well: BASE stays where a lock lies in it.
            fd = lock.opened(path)
        try:
            title = f"the lock of namespace {name!r}"
            if not lock.take(fd, deadline=deadline, name=title):
                raise lock.held_by_another(title, fd)
            if lock.is_at(fd, path):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _drop(name: str, fd: int) -> None:
    # What stays of it is no reason to fail, at the end of all: a later run removes it.
    with contextlib.suppress(OSError):
        if not is_kept(name):
            os.unlink(f"{_LOCKS}/{name}")
    os.close(fd)
    if not is_kept(name):
        _remove_base()


def _guard(deadline: float) -> t.ContextManager[None]:
    """One at a time makes or removes BASE."""
    return lock.file(BASE_LOCK, deadline=deadline)


def _is_base_mounted() -> bool:
    try:
        fd = os.open(BASE, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return files.place_of(fd).is_mount_root
    finally:
        os.close(fd)


def _make_base() -> None:
    if _is_base_mounted() and all(os.path.isdir(each) for each in _FOR_ALL):
        return
    atomic.make_directory(BASE, mode=0o755)
    if not _is_base_mounted():
        flags = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC
        mounts.mount("linux-namespaces", BASE, fstype="tmpfs", flags=flags, data="mode=755")
    # Also after a run that was killed between the two: pins need it private.
    mounts.mount("none", BASE, flags=mounts.MS_PRIVATE)
    for each in _FOR_ALL:
        atomic.make_directory(each, mode=0o700)


def _remove_base() -> None:
    """Remove BASE when nothing is kept in it and nobody wants a lock in it."""
    # Who cannot have the guard now leaves BASE to the one who has it, or to a later run.
    with contextlib.suppress(Refused, OSError), _guard(time.monotonic() + 1):
        if not _is_base_mounted():
            os.rmdir(BASE)
        while not any(map(_listed, _FOR_ALL)) and {*os.listdir(BASE)} <= _NAMES_FOR_ALL:
            # Somebody may look at it, or work in it: that is no reason for it to stay.
            mounts.umount(BASE, flags=mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)
            os.rmdir(BASE)


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:  # who made it has failed
        return []
