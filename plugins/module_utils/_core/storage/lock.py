# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Locks between runs: flock(2), which ends with the process that holds it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import typing as t

from ..errors import Refused

_PAUSE = 0.02


def take(fd: int, *, deadline: float) -> bool:
    """Lock the open file or directory; False where another run had it until the deadline.

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
def directory(path: str, *, deadline: float) -> t.Iterator[None]:
    """Hold the lock of a directory, which so needs no file of its own for it.

    Raises Refused where another run had it until the deadline, OSError.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not take(fd, deadline=deadline):
            raise held_by_another(f"the lock on {path}", path)
        yield
    finally:
        os.close(fd)


def held_by_another(lock: str, path: str) -> Refused:
    """That another run holds the lock, which is on the file at the path."""
    return Refused(f"another run holds {lock}", f"Wait for it to end; `fuser -v {path}` names it.")
