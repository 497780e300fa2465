# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Getting a root file system to its place: whole, or not at all. See site.py for what lies where.

Runs in the process that has joined the target.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
import typing as t

from .. import actions
from ..errors import KernelError
from ..storage import removal
from ..syscalls import trees
from . import ask_parent, marker, workspace
from .marker import Marker
from .site import ALWAYS_THERE, DIRECTORY, ROOT, WITHIN, Spot


class Stage(t.NamedTuple):
    """A new root that is being built."""

    # The open directory around it, for what its making needs beside.
    work: int
    # The root itself, open: the directory ROOT in it.
    root: int
    # The path of the directory around it.
    path: str
    # Something was removed there that a killed run had left.
    cleared: bool


@contextlib.contextmanager
def staged(spot: Spot, *, ask: ask_parent.Ask, patience: float) -> t.Iterator[Stage]:
    """A new root to be filled, empty; what is left of it afterwards is removed.

    ``ask`` asks workspace.Locks. Raises Busy when another run is at work there for longer than ``patience`` seconds.
    """
    above, name = spot.workspace
    with workspace.held(above, name, ask=ask, patience=patience, what_for=spot.path) as (
        work,
        found,
    ):
        path = f"{spot.path_above()}/{name}"
        _rescue(spot, work)
        removal.empty(work, except_for=(workspace.MARK,))
        os.mkdir(ROOT, 0o700, dir_fd=work)
        fd = os.open(ROOT, DIRECTORY, dir_fd=work)
        try:
            os.chown(fd, 0, 0)
            for attribute in ("system.posix_acl_access", "system.posix_acl_default"):
                with contextlib.suppress(OSError):
                    os.removexattr(fd, attribute)  # what the directory above hands down
            os.chmod(fd, 0o700)
            yield Stage(work, fd, path, cleared=found)
        finally:
            os.close(fd)


def _rescue(spot: Spot, work: int) -> None:
    """See to the complete root that a killed run left: it may be the one in use."""
    try:
        fd = os.open(ROOT, DIRECTORY, dir_fd=work)
    except OSError:
        return
    try:
        if spot.marker_of(fd) is None:
            return
        if spot.is_mount:
            # Partly moved up, perhaps: what is there belongs to it.
            removal.empty(spot.fd, except_for=(WITHIN, *ALWAYS_THERE))
            marker.remove(fd)
        else:
            # The old one, when it was killed after the exchange.
            os.rename(ROOT, spot.free_old_name(), src_dir_fd=work, dst_dir_fd=spot.parent)
    finally:
        os.close(fd)


def put(spot: Spot, stage: Stage, made_of: Marker) -> None:
    """Put what was built into its place; what was there is beside as an old one afterwards.

    Raises KernelError, OSError; then what was there before is still there, but for an empty directory.
    """
    made_of.write(stage.root)
    trees.sync_filesystem(stage.root)
    if spot.is_mount:
        _move_up(spot, stage, made_of)
        return
    done: list[t.Callable[[], object]] = []
    try:
        _rename(spot, stage, done)
        os.fsync(spot.parent)
    except OSError as error:
        # Else an old root that is in use would be cleared away with the directory around it.
        actions.undo(error, reversed(done))
        raise


def _rename(spot: Spot, stage: Stage, done: list[t.Callable[[], object]]) -> None:
    """Have the new root at the name; into ``done`` goes what takes back each change that was made."""
    into_place = functools.partial(_move, (stage.work, ROOT), (spot.parent, spot.name))
    out_of_place = functools.partial(_move, (spot.parent, spot.name), (stage.work, ROOT))
    try:
        into_place()
        done.append(out_of_place)
        return
    except OSError as error:
        # Onto an empty directory, or nothing, it is a plain rename.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    old = (spot.parent, spot.free_old_name())
    exchange = functools.partial(trees.exchange, stage.work, ROOT, spot.parent, spot.name)
    try:
        exchange()
    except KernelError as refused:
        if refused.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        _mark_as_old((spot.parent, spot.name), done)
        _move((spot.parent, spot.name), old)
        done.append(functools.partial(_move, old, (spot.parent, spot.name)))
        into_place()
        done.append(out_of_place)
    else:
        done.append(exchange)
        _mark_as_old((stage.work, ROOT), done)
        _move((stage.work, ROOT), old)
        done.append(functools.partial(_move, old, (stage.work, ROOT)))


def _move(source: tuple[int, str], target: tuple[int, str]) -> None:
    """Rename; both are a name in an open directory."""
    os.rename(source[1], target[1], src_dir_fd=source[0], dst_dir_fd=target[0])


def _mark_as_old(place: tuple[int, str], done: list[t.Callable[[], object]]) -> None:
    with _opened(place) as fd:
        if not marker.is_marked(fd):
            done.append(functools.partial(_unmark, place))
            marker.mark_as_old(fd)


def _unmark(place: tuple[int, str]) -> None:
    with _opened(place) as fd:
        marker.remove(fd)


@contextlib.contextmanager
def _opened(place: tuple[int, str]) -> t.Iterator[int]:
    above, name = place
    fd = os.open(name, DIRECTORY, dir_fd=above)
    try:
        yield fd
    finally:
        os.close(fd)


def _move_up(spot: Spot, stage: Stage, made_of: Marker) -> None:
    marker.remove(spot.fd)
    removal.empty(spot.fd, except_for=(WITHIN, *ALWAYS_THERE))
    status = os.fstat(stage.root)
    for name in set(os.listdir(stage.root)) - {marker.FILE}:
        os.rename(name, name, src_dir_fd=stage.root, dst_dir_fd=spot.fd)
    os.chown(spot.fd, status.st_uid, status.st_gid)
    os.chmod(spot.fd, stat.S_IMODE(status.st_mode))
    trees.sync_filesystem(spot.fd)
    made_of.write(spot.fd)
    os.utime(spot.fd, ns=(status.st_mtime_ns, status.st_mtime_ns))
    # What is beside it counts no more: from here on the root is whole.
    trees.sync_filesystem(spot.fd)
    marker.remove(stage.root)
    workspace.remove(spot.fd, WITHIN, stage.work)
    os.utime(spot.fd, ns=(status.st_mtime_ns, status.st_mtime_ns))
    trees.sync_filesystem(spot.fd)


def take_away(spot: Spot) -> None:
    """Take the root from its name: what was there is beside as an old one. Raises OSError."""
    _mark_as_old((spot.parent, spot.name), [])
    _move((spot.parent, spot.name), (spot.parent, spot.free_old_name()))
    os.fsync(spot.parent)


def clear(spot: Spot, stage: Stage) -> None:
    """Empty a root that is a mount point. Raises KernelError, OSError."""
    there = spot.marker_of(spot.fd)
    if there is not None:
        # So what is left of it, where this run ends early, does not pass for a whole root.
        there.write(stage.root)
        trees.sync_filesystem(spot.fd)
    removal.empty(spot.fd, except_for=(WITHIN, *ALWAYS_THERE))
    marker.remove(spot.fd)
