# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Looking at the place of a root file system.

    /srv/web            the root, with its marker (marker.py)
    /srv/.web.new/root  a new one that is being built (workspace.py)
    /srv/.web.old-1     one that was replaced or removed while something used it

A path that is itself a mount point cannot be renamed: there the new root is built in a hidden
directory below it and moved up, and counts as unpacked only when its marker is set at the end.
Runs in the process that has joined the target.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import typing as t

from ..definition.layout import Layout
from ..errors import KernelError, Refused
from ..mount import make_path
from ..mount import table as mount_table
from ..mount.table import Mount
from ..mount.view import TargetView
from ..namespace import enter
from ..namespace.target import Handles
from ..process import proc
from ..storage import removal
from ..syscalls import files
from . import marker, workspace
from .marker import Marker

# The hidden directory on a mount point in which a new root is built.
WITHIN = ".linux-namespaces.new"
# The new root in its workspace.
ROOT = "root"
# What an empty file system may hold.
ALWAYS_THERE = ("lost+found",)
# The modes of directories that roots lie in: only root can enter them, or everybody.
CLOSED, OPEN = 0o700, 0o755
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Location(t.NamedTuple):
    """A directory as the kernel knows it."""

    # Its name now, from the target's root.
    path: str
    # The file system, as in mountinfo: major:minor. Empty where that is not known.
    device: str
    # The path in the file system, as in mountinfo.
    root: str
    # The device as stat(2) has it, which some file systems have otherwise.
    number: int


class Above(t.NamedTuple):
    """By which directory a root is reached: the one that it lies in, or is to lie in."""

    # Of the nearest one that is there; of the root itself where that is a mount point.
    location: Location
    inode: int
    # It is a directory above the root, and not the root itself.
    is_above: bool
    # It is the one that the root lies in, which is not still to be made.
    is_there: bool = False
    # Root has it for this alone, so that closing it takes nothing from anybody.
    is_for_it_alone: bool = False
    # What is made there can belong to root of the host, as it cannot in most user namespaces.
    can_be_roots: bool = True


class Seen(t.NamedTuple):
    """What is at a path."""

    # absent, empty, root (which has a marker), interrupted (a root that was being moved up when
    # its run was killed) or foreign (anything else).
    state: str
    # Of a root.
    marker: Marker | None = None
    # Something is mounted exactly there.
    is_mount: bool = False
    # After the pivot into it: it is / in the target.
    is_target_root: bool = False
    # A killed run left something beside.
    unfinished: bool = False
    # None where nothing is there.
    location: Location | None = None
    # Roots that were replaced before and are still beside.
    old: tuple[Location, ...] = ()
    # The paths of what is mounted below.
    mounts: tuple[str, ...] = ()
    # None where it is not known: what would make the target has not been run.
    above: Above | None = None

    @property
    def is_none(self) -> bool:
        """Whether nothing is there that could be removed: at a mount point its root stays."""
        return self.state == "absent" or (self.state == "empty" and self.is_mount)

    def __str__(self) -> str:
        if self.marker is not None:
            return str(self.marker)
        return "half made" if self.state == "interrupted" else self.state


class Spot:
    """The place of a root: its name in the open directory above. Close it, or use a with."""

    def __init__(self, inside: TargetView, path: str, *, make: int = 0) -> None:
        """``make`` is the mode with which a missing directory is made that the root lies in.

        Those further above are open to all. Raises Refused, KernelError, OSError.
        """
        self._inside = inside
        # As the task calls it.
        self.path = path
        # The last part of its path now; empty where it is the root of the target.
        _above, _slash, self.name = inside.layout.now(path).rpartition("/")
        # The open directories above, and of the root; -1 where they are not there.
        self.parent = self.fd = -1
        if not self.name:
            # After the pivot into it, a root is "/" and has nothing above it.
            self.fd = os.open("/", DIRECTORY)
            return
        given_above = path.rpartition("/")[0] or "/"
        if make:
            with inside.base(given_above) as (base, rest):
                make_path.directories(base, rest.rpartition("/")[0])
                make_path.directories(base, rest, mode=make)
        try:
            with inside.opened(given_above, flags=os.O_RDONLY | os.O_DIRECTORY) as fd:
                self.parent = os.dup(fd)
        except KernelError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
            return
        self.reopen()

    def reopen(self) -> None:
        """Look again what the name names. Raises Refused where it is no directory."""
        if self.parent < 0 or self.is_mount:
            return
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        try:
            self.fd = os.open(self.name, DIRECTORY, dir_fd=self.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            raise Refused(
                f"{self.path} is there and is no directory",
                "Name a directory itself, not a link to it; or remove what is there.",
            ) from error

    @property
    def is_mount(self) -> bool:
        """Whether something is mounted exactly there."""
        return self.fd >= 0 and files.place_of(self.fd).is_mount_root

    @property
    def workspace(self) -> tuple[int, str]:
        """Where a new root is built: the open directory above, and the name in it."""
        return (self.fd, WITHIN) if self.is_mount else (self.parent, f".{self.name}.new")

    def path_above(self) -> str:
        """The path of the directory that a workspace is in, as the kernel knows it."""
        return self._inside.path_of(self.workspace[0]).rstrip("/")

    def old_names(self) -> list[str]:
        """The names of the roots that were replaced before and are still beside."""
        return [name for name in self._named_like_old() if self._is_old(name)]

    def _named_like_old(self) -> list[str]:
        if self.parent < 0 or self.is_mount:
            return []
        pattern = re.compile(rf"\.{re.escape(self.name)}\.old-([0-9]+)\Z")
        return sorted(name for name in os.listdir(self.parent) if pattern.match(name))

    def _is_old(self, name: str) -> bool:
        """Whether it is one of ours, and not somebody's own of that name."""
        try:
            fd = os.open(name, DIRECTORY, dir_fd=self.parent)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
            return False
        try:
            return marker.is_marked(fd)
        finally:
            os.close(fd)

    def free_old_name(self) -> str:
        """A name for one more of them."""
        taken = self._named_like_old()
        number = 1
        while f".{self.name}.old-{number}" in taken:
            number += 1
        return f".{self.name}.old-{number}"

    def marker_of(self, fd: int) -> Marker | None:
        """The marker of the open directory, or None where it has none. Raises OSError."""
        return Marker.read(fd, self._inside.host_proc)

    def close(self) -> None:
        """Close the directories."""
        for fd in (self.parent, self.fd):
            if fd >= 0:
                os.close(fd)
        self.parent = self.fd = -1

    def __enter__(self) -> Spot:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def look(inside: TargetView, path: str) -> Seen:
    """What is at ``path``. Raises Refused, KernelError."""
    seen = _look(inside, path)
    # Another run may just put its root there, which has no marker while it is moved up.
    return _look(inside, path) if seen.state == "foreign" else seen


def _look(inside: TargetView, path: str) -> Seen:
    with Spot(inside, path) as spot:
        table = inside.mounts()
        above = _above(inside, spot, table)._replace(can_be_roots=_has_root_of_host(inside))
        if spot.parent < 0 and spot.fd < 0:
            return Seen("absent", above=above)
        old = []
        for name in spot.old_names():
            with contextlib.suppress(FileNotFoundError):
                fd = os.open(name, DIRECTORY, dir_fd=spot.parent)
                try:
                    old.append(_location(inside, fd, table))
                finally:
                    os.close(fd)
        left = _left_over(spot)
        seen = Seen("absent", old=tuple(old), unfinished=left is not None, above=above)
        if spot.fd < 0:
            return seen
        location = _location(inside, spot.fd, table)
        seen = seen._replace(
            is_mount=spot.is_mount,
            is_target_root=spot.parent < 0,
            location=location,
            mounts=_mounted_below(location.path, files.place_of(spot.fd).mount_id, table),
        )
        found = spot.marker_of(spot.fd)
        if spot.is_mount and left:
            return seen._replace(state="interrupted")
        if found is not None:
            return seen._replace(state="root", marker=found)
        names = set(os.listdir(spot.fd)) - {*ALWAYS_THERE, WITHIN, marker.FILE}
        return seen._replace(state="foreign" if names else "empty")


def _above(inside: TargetView, spot: Spot, table: t.Sequence[Mount]) -> Above:
    if spot.fd >= 0 and (spot.parent < 0 or spot.is_mount):
        return Above(_location(inside, spot.fd, table), os.fstat(spot.fd).st_ino, is_above=False)
    if spot.parent >= 0:
        there = _location(inside, spot.parent, table)
        # A directory right below / is everybody's, whatever is in it now.
        alone = there.path.count("/") > 1 and _is_for_it_alone(spot)
        number = os.fstat(spot.parent).st_ino
        return Above(there, number, is_above=True, is_there=True, is_for_it_alone=alone)
    path = spot.path
    while True:
        path = path.rpartition("/")[0]
        with contextlib.suppress(KernelError), inside.opened(path or "/") as fd:
            return Above(_location(inside, fd, table), os.fstat(fd).st_ino, is_above=True)


def _has_root_of_host(inside: TargetView) -> bool:
    ranges = proc.text_of("self/uid_map", dir_fd=inside.host_proc)
    # A kernel without user namespaces has no such file.
    return not ranges or any(line.split()[1] == "0" for line in ranges.splitlines())


def _is_for_it_alone(spot: Spot) -> bool:
    """Whether the directory above is root's, and holds no more than roots and empty mount points."""
    if os.fstat(spot.parent).st_uid != 0:
        return False
    ours = {spot.name, spot.workspace[1], *spot.old_names()}
    return all(
        name in ours or _is_empty(name, spot.parent) for name in removal.names_in(spot.parent)
    )


def _is_empty(name: str, above: int) -> bool:
    try:
        fd = os.open(name, DIRECTORY, dir_fd=above)
    except OSError:
        return False
    try:
        return not os.listdir(fd)
    finally:
        os.close(fd)


def _mounted_below(path: str, mount_id: int, table: t.Sequence[Mount]) -> tuple[str, ...]:
    """What can be seen mounted below the path, which lies on the mount with this id.

    What the host has mounted there is covered by a mount made on the path since.
    """
    on_it = {mount_id}
    found: list[str] = []
    more = True
    while more:
        more = False
        for mount in mount_table.below(table, path):
            if mount.parent in on_it and mount.id not in on_it:
                on_it.add(mount.id)
                found.append(mount.path)
                more = True
    return tuple(found)


def _left_over(spot: Spot) -> bool | None:
    """Whether what a killed run left beside was complete; None where nothing was left."""
    above, name = spot.workspace
    try:
        work = os.open(name, DIRECTORY, dir_fd=above)
    except FileNotFoundError:
        return None
    except OSError:
        return False
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, work)
        if not workspace.is_one(work):
            return None
        try:
            fd = os.open(ROOT, DIRECTORY, dir_fd=work)
        except OSError:
            return False
        stack.callback(os.close, fd)
        return spot.marker_of(fd) is not None


def _location(inside: TargetView, fd: int, table: t.Sequence[Mount]) -> Location:
    path = inside.path_of(fd)
    mount_id = files.place_of(fd).mount_id
    for mount in table:
        if mount.id == mount_id:
            rest = path[len(mount.path.rstrip("/")) :]
            root = mount.root.rstrip("/") + rest or "/"
            return Location(path, mount.device, root, os.fstat(fd).st_dev)
    return Location(path, "", "", 0)


class Site(t.NamedTuple):
    """Where the work is done: a path in a target that was opened."""

    path: str
    # The namespaces of the target.
    handles: Handles
    # The host's /proc, open.
    host_proc: int
    # What was done to the tree of the target.
    layout: Layout
    # The mode with which the directory is made that the root lies in, where it is missing.
    made_with: int
    # How long to wait for another run that works on the same path, in seconds.
    patience: float

    def inside(self) -> TargetView:
        """The view of the target, for the process that has joined it."""
        return TargetView(self.host_proc, self.layout)

    def look(self) -> Seen:
        """What is there. Raises Refused, KernelError."""
        seen: Seen = enter.run_inside(lambda: look(self.inside(), self.path), joins=self.handles)
        return seen
