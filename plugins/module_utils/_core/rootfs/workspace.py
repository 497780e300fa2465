# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A directory to build something in, of which nothing is left when it ends or is killed.

The lock is on the directory itself: it ends with the process that holds it, and a directory
that nobody holds is left over from a killed run.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from ..errors import Refused
from ..storage import lock
from . import removal


class Busy(Refused):
    """Another run holds the directory."""


class Workspace(t.NamedTuple):
    """A directory that is ours."""

    # The open directory.
    fd: int
    # A killed run left it, with what it holds.
    found: bool


@contextlib.contextmanager
def held(parent_fd: int, name: str, *, patience: float, what_for: str) -> t.Iterator[Workspace]:
    """Make the directory ``name`` in the open directory, for the caller alone.

    It is removed at the end. Raises Busy where another run holds it for longer than ``patience``
    seconds, OSError.
    """
    taken = _take(parent_fd, name, time.monotonic() + patience, what_for)
    try:
        yield taken
    finally:
        try:
            removal.remove(parent_fd, name)
        finally:
            os.close(taken.fd)


def _take(parent_fd: int, name: str, deadline: float, what_for: str) -> Workspace:
    while True:
        try:
            os.mkdir(name, 0o700, dir_fd=parent_fd)
            found = False
        except FileExistsError:
            found = True
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(name, flags, dir_fd=parent_fd)
        except FileNotFoundError:
            continue
        try:
            _lock(fd, deadline, what_for)
            if _is_named(fd, parent_fd, name):
                return Workspace(fd, found)
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # who held it has removed it


def _lock(fd: int, deadline: float, what_for: str) -> None:
    if not lock.take(fd, deadline=deadline):
        raise Busy(f"another run is at work on {what_for}", "Wait for it to end, and run again.")


def _is_named(fd: int, parent_fd: int, name: str) -> bool:
    try:
        there = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(fd), there)
