# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The content of a root from the archive that is kept of it, which is made where it is missing or damaged.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
import typing as t

from ...errors import Refused
from ...storage import atomic, lock, removal
from .. import workspace
from . import archive, cache
from .source import Content

# So that what is somebody else's stays.
_OURS = re.compile(r"[0-9a-f]{64}\.tar\Z")


@contextlib.contextmanager
def content(
    digest: str,
    *,
    patience: float,
    make: t.Callable[[str, str], None],
    until: contextlib.ExitStack,
) -> t.Iterator[Content]:
    """The archive of what has this digest; one that is missing or damaged is made.

    ``make(workspace, archive)`` makes the tar archive, for which it may use the directory
    ``workspace``. Nobody clears the archive away before ``until`` ends. Raises what it raises,
    Refused where another run makes it for longer than ``patience`` seconds.
    """
    path = cache.path_of(digest)
    above = until.enter_context(_held())
    if not cache.is_sound(path):
        _make(above, path, patience, make)
    with archive.open_file(path) as fd:
        yield Content(name=path, fd=fd, digest=lambda: digest)


def _make(above: int, path: str, patience: float, make: t.Callable[[str, str], None]) -> None:
    name = f".{os.path.basename(path)}.new"
    ask = workspace.Locks().ask
    with workspace.held(above, name, ask=ask, patience=patience, what_for=path) as work:
        removal.empty(work.fd, except_for=(workspace.MARK,))
        if not cache.is_sound(path):
            made = f"{cache.DIRECTORY}/{name}/archive.tar"
            make(f"{cache.DIRECTORY}/{name}", made)
            cache.put(made, path)


@contextlib.contextmanager
def _held() -> t.Iterator[int]:
    """The directory, open; nothing in it is cleared away before the block ends. Raises OSError."""
    while True:
        atomic.make_directory(cache.DIRECTORY, mode=0o700)
        try:
            fd = os.open(cache.DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:  # another run has just removed it
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            if lock.is_at(fd, cache.DIRECTORY):
                yield fd
                return
        finally:
            os.close(fd)


def clear_away(needed: t.Callable[[], t.Collection[str]]) -> None:
    """Remove what no live run uses, and of the archives those that are not needed.

    ``needed`` is asked for their paths, and raises Refused where that is not known. The directory
    goes with the last of them. Raises KernelError, OSError.
    """
    try:
        fd = os.open(cache.DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        for name in cache.left():
            ask = workspace.Locks().ask
            with (
                contextlib.suppress(workspace.Busy),
                workspace.held(fd, name, ask=ask, patience=0, what_for=f"{cache.DIRECTORY}/{name}"),
            ):
                pass
        if not lock.take(fd, deadline=time.monotonic()):
            return  # who makes one has not recorded it yet
        there = {f"{cache.DIRECTORY}/{name}" for name in filter(_OURS.match, removal.names_in(fd))}
        with contextlib.suppress(Refused):
            wanted = needed() if there else ()
            for path in there.difference(wanted):
                atomic.remove(path)
        atomic.remove_directory(cache.DIRECTORY)
    finally:
        os.close(fd)
