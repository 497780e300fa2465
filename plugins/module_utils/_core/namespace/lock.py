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

from ..errors import KernelError, Refused
from ..host_paths import BASE, checked_name, is_kept
from ..storage import lock
from ..syscalls import files, mounts
from . import pins

_PAUSE = 0.02
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
    fd = _take(name, time.monotonic() + timeout)
    _held.add(name)
    try:
        yield
    finally:
        _held.remove(name)
        _drop(name, fd)


def _take(name: str, deadline: float) -> int:
    path = f"{BASE}/.locks/{name}"
    while True:
        _make_base(deadline)
        try:
            fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # the last user of BASE has just removed it
        if not lock.take(fd, deadline=deadline):
            os.close(fd)
            raise lock.held_by_another(f"the lock of namespace {name!r}", path)
        # Who waited may hold the lock of a file that was removed meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
        os.close(fd)


def _drop(name: str, fd: int) -> None:
    if not is_kept(name):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{BASE}/.locks/{name}")
    os.close(fd)
    if not is_kept(name):
        _remove_base()


def _guard(deadline: float) -> t.ContextManager[None]:
    """One at a time makes or removes BASE: whoever has locked the directory above it."""
    return lock.directory(os.path.dirname(BASE), deadline=deadline)


def _is_base_mounted() -> bool:
    try:
        fd = os.open(BASE, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return files.place_of(fd).is_mount_root
    finally:
        os.close(fd)


def _make_base(deadline: float) -> None:
    if _is_base_mounted() and os.path.isdir(f"{BASE}/.locks"):
        return
    with _guard(deadline):
        if not _is_base_mounted():
            os.makedirs(BASE, mode=0o755, exist_ok=True)
            flags = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC
            mounts.mount("linux-namespaces", BASE, fstype="tmpfs", flags=flags, data="mode=755")
        # Also after a run that was killed between the two: pins need it private.
        mounts.mount("none", BASE, flags=mounts.MS_PRIVATE)
        os.makedirs(f"{BASE}/.locks", mode=0o700, exist_ok=True)


def _remove_base() -> None:
    """Remove BASE when nothing is kept in it and nobody waits for a lock in it."""
    deadline = time.monotonic() + 1
    # Who cannot have the guard now leaves BASE to the one who has it, or to a later run.
    with contextlib.suppress(Refused, FileNotFoundError), _guard(deadline):
        while os.listdir(BASE) == [".locks"] and not os.listdir(f"{BASE}/.locks"):
            try:
                # Without MNT_DETACH: EBUSY says that somebody has a file open there, which may
                # become a lock.
                mounts.umount(BASE, flags=mounts.UMOUNT_NOFOLLOW)
            except KernelError:
                if time.monotonic() > deadline:
                    return
                time.sleep(_PAUSE)
            else:
                os.rmdir(BASE)
