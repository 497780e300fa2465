# SPDX-License-Identifier: GPL-3.0-or-later
"""Racers: processes that change something as fast as they can, while a test does its work."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import mmap
import os
import pathlib
import signal
import typing as t

from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
    mounts,
    namespaces,
)

_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def changing_places(one: pathlib.Path, other: pathlib.Path) -> t.Iterator[None]:
    """Within the block a process exchanges the two, again and again (renameat2(2))."""
    racer = os.fork()
    if not racer:
        names = os.fsencode(one), os.fsencode(other)
        while not _libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE):
            pass
        os._exit(1)
    try:
        yield
    finally:
        os.kill(racer, signal.SIGKILL)
        _pid, status = os.waitpid(racer, 0)
    assert os.WIFSIGNALED(status), "the racer could not exchange them"


@contextlib.contextmanager
def mounting(pid: int, *paths: str, unmounts: bool = True) -> t.Iterator[t.Callable[[], int]]:
    """Within the block a process in the mount namespace of ``pid`` mounts and unmounts on the paths.

    One that is named twice has two mounts at once. Without ``unmounts`` they only get more. Says how
    often it did so by now.
    """
    made = mmap.mmap(-1, 8)
    racer = os.fork()
    if not racer:
        try:
            with open(f"/proc/{pid}/ns/mnt", "rb") as target:
                namespaces.setns(target.fileno(), kinds.KINDS["mnt"].flag)
            for number in itertools.count(1):
                _mount_and_unmount(paths, unmounts)
                made[:] = number.to_bytes(8, "little")
        finally:
            os._exit(1)
    try:
        yield lambda: int.from_bytes(made[:], "little")
    finally:
        os.kill(racer, signal.SIGKILL)
        os.waitpid(racer, 0)


def _mount_and_unmount(paths: t.Sequence[str], unmounts: bool) -> None:
    for path in paths:
        with contextlib.suppress(OSError):  # what it is on was taken away
            mounts.mount("racer", path, fstype="tmpfs")
    for path in reversed(paths if unmounts else ()):
        with contextlib.suppress(OSError):
            mounts.umount(path)
