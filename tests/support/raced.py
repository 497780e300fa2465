# SPDX-License-Identifier: GPL-3.0-or-later
"""A racer: two names of one directory that change places as fast as they can."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import signal
import typing as t

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
