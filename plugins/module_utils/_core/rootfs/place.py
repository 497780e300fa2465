# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Where a root file system lies, and how a new one gets there: whole, or not at all.

    /srv/web            the root, with its marker (digest.py)
    /srv/.web.new       being built; locked by who builds it, left over when it is not locked
    /srv/.web.old-1     a root that was replaced or removed while something used it

A path that is itself a mount point cannot be renamed: there the new root is built in a hidden
directory below it and moved up, and counts as unpacked only when its marker is set at the end.
Runs in the process that has joined the target.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import time
import typing as t

from .. import mount_table, paths
from ..errors import KernelError, Refused
from ..inside import Inside
from ..mount_table import Mount
from ..syscalls import files, trees
from . import digest, removal

WITHIN = ".linux-namespaces.new"
_ALWAYS_THERE = ("lost+found",)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_LOCK_PAUSE = 0.05


class Location(t.NamedTuple):
    """A directory as the kernel knows it: ``path`` is its name now, from the target's root.

    ``device`` and ``root`` are as in mountinfo: the file system and the path in that.
    """

    path: str
    device: str
    root: str


class Seen(t.NamedTuple):
    """What is at a path: ``state`` is absent, empty, root, interrupted or foreign.

    A root has a ``marker``; interrupted is one that was being moved up when its run was killed.
    ``old`` are roots that were replaced before, ``unfinished`` whether a killed run left
    something beside, ``mounts`` the paths of what is mounted below.
    """

    state: str
    marker: digest.Marker | None = None
    is_mount: bool = False
    is_target_root: bool = False
    unfinished: bool = False
    location: Location | None = None
    old: tuple[Location, ...] = ()
    mounts: tuple[str, ...] = ()


class Spot:
    """The place of a root: its name in the open directory above. Close it, or use a with."""

    def __init__(self, inside: Inside, path: str, *, make: bool) -> None:
        self._inside = inside
        self.path = path
        _above, _slash, self.name = inside.layout.now(path).rpartition("/")
        self.parent = self.fd = -1
        if not self.name:
            # After the pivot into it, a root is "/" and has nothing above it.
            self.fd = os.open("/", _DIRECTORY | os.O_CLOEXEC)
            return
        given_above = path.rpartition("/")[0] or "/"
        if make:
            with inside.base(given_above) as (base, rest):
                paths.make_directories(base, rest)
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
            self.fd = os.open(self.name, _DIRECTORY | os.O_CLOEXEC, dir_fd=self.parent)
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
    def stage_name(self) -> str:
        """The name of the directory that a new root is built in."""
        return WITHIN if self.is_mount else f".{self.name}.new"

    @property
    def stage_parent(self) -> int:
        """The open directory that holds it."""
        return self.fd if self.is_mount else self.parent

    @property
    def stage_path(self) -> str:
        """The path of that directory, as the kernel knows it."""
        return f"{self._inside.path_of(self.stage_parent).rstrip('/')}/{self.stage_name}"

    def old_names(self) -> list[str]:
        """The names of the roots that were replaced before and are still beside."""
        if self.parent < 0 or self.is_mount:
            return []
        pattern = re.compile(rf"\.{re.escape(self.name)}\.old-([0-9]+)\Z")
        found = [name for name in os.listdir(self.parent) if pattern.match(name)]
        return sorted(found)

    def free_old_name(self) -> str:
        """A name for one more of them."""
        taken = self.old_names()
        number = 1
        while f".{self.name}.old-{number}" in taken:
            number += 1
        return f".{self.name}.old-{number}"

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


def look(inside: Inside, path: str) -> Seen:
    """What is at ``path``. Raises Refused, KernelError."""
    with Spot(inside, path, make=False) as spot:
        if spot.parent < 0 and spot.fd < 0:
            return Seen("absent")
        table = inside.mounts()
        old = []
        for name in spot.old_names():
            with contextlib.suppress(FileNotFoundError):
                fd = os.open(name, _DIRECTORY | os.O_CLOEXEC, dir_fd=spot.parent)
                try:
                    old.append(_location(inside, fd, table))
                finally:
                    os.close(fd)
        stage = _stage_marker(spot)
        seen = Seen("absent", old=tuple(old), unfinished=stage is not None)
        if spot.fd < 0:
            return seen
        location = _location(inside, spot.fd, table)
        seen = seen._replace(
            is_mount=spot.is_mount,
            is_target_root=spot.parent < 0,
            location=location,
            mounts=_mounted_below(location.path, files.place_of(spot.fd).mount_id, table),
        )
        marker = digest.read(spot.fd)
        if spot.is_mount and stage:
            return seen._replace(state="interrupted")
        if marker is not None:
            return seen._replace(state="root", marker=marker)
        names = set(os.listdir(spot.fd)) - {*_ALWAYS_THERE, WITHIN}
        return seen._replace(state="foreign" if names else "empty")


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


def _stage_marker(spot: Spot) -> bool | None:
    """Whether what is being built beside was complete; None where there is nothing."""
    if spot.stage_parent < 0:
        return None
    try:
        fd = os.open(spot.stage_name, _DIRECTORY | os.O_CLOEXEC, dir_fd=spot.stage_parent)
    except OSError:
        return None
    try:
        return digest.read(fd) is not None
    finally:
        os.close(fd)


def _location(inside: Inside, fd: int, table: t.Sequence[Mount]) -> Location:
    path = inside.path_of(fd)
    mount_id = files.place_of(fd).mount_id
    for mount in table:
        if mount.id == mount_id:
            rest = path[len(mount.path.rstrip("/")) :]
            return Location(path, mount.device, mount.root.rstrip("/") + rest or "/")
    return Location(path, "", "")


def stage(spot: Spot, *, timeout: float) -> int:
    """Make the directory that a new root is built in, empty and locked; its descriptor.

    The lock is on the directory itself: it ends with the process, and what nobody holds is
    left over from a killed run. Raises Refused when another run holds it for too long.
    """
    deadline = time.monotonic() + timeout
    parent, name = spot.stage_parent, spot.stage_name
    while True:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
        try:
            fd = os.open(name, _DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
        except FileNotFoundError:
            continue
        if not _locked(fd, deadline):
            os.close(fd)
            raise Refused(
                f"another run is unpacking to {spot.path}", "Wait for it to end, and run again."
            )
        if not _is_named(fd, parent, name):
            os.close(fd)  # who held the lock has put it into its place, or removed it
            continue
        if digest.read(fd) is None:
            removal.empty(fd, except_for=())
            break
        if spot.is_mount:
            # Complete, and perhaps partly moved up: what is there belongs to it.
            removal.empty(spot.fd, except_for=(name, *_ALWAYS_THERE))
            digest.remove(fd)
            removal.empty(fd, except_for=())
            break
        # It was complete, and may be a root that was in use before the names were exchanged.
        os.rename(name, spot.free_old_name(), src_dir_fd=parent, dst_dir_fd=parent)
        os.close(fd)
    os.chown(fd, 0, 0)
    for attribute in ("system.posix_acl_access", "system.posix_acl_default"):
        with contextlib.suppress(OSError):
            os.removexattr(fd, attribute)  # what the directory above hands down
    os.chmod(fd, 0o700)
    return fd


def _locked(fd: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOCK_PAUSE)


def _is_named(fd: int, parent: int, name: str) -> bool:
    try:
        there = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(fd), there)


def unstage(spot: Spot) -> None:
    """Remove what was built. Raises OSError."""
    removal.remove(spot.stage_parent, spot.stage_name)


def put(spot: Spot, stage_fd: int, marker: digest.Marker) -> None:
    """Put what was built into its place; what was there is beside as an old one afterwards.

    Raises KernelError, OSError; then what was there before is still there.
    """
    digest.write(stage_fd, marker)
    trees.sync_filesystem(stage_fd)
    if spot.is_mount:
        _move_up(spot, stage_fd, marker)
        return
    parent, name, stage_name = spot.parent, spot.name, spot.stage_name
    try:
        os.rename(stage_name, name, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError as error:
        # Onto an empty directory, or nothing, it is a plain rename.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        old_name = spot.free_old_name()
        try:
            trees.exchange(parent, stage_name, name)
        except KernelError as refused:
            if refused.errno not in (errno.EINVAL, errno.ENOSYS):
                raise
            os.rename(name, old_name, src_dir_fd=parent, dst_dir_fd=parent)
            os.rename(stage_name, name, src_dir_fd=parent, dst_dir_fd=parent)
        else:
            os.rename(stage_name, old_name, src_dir_fd=parent, dst_dir_fd=parent)
    os.fsync(parent)


def _move_up(spot: Spot, stage_fd: int, marker: digest.Marker) -> None:
    digest.remove(spot.fd)
    removal.empty(spot.fd, except_for=(spot.stage_name, *_ALWAYS_THERE))
    for name in os.listdir(stage_fd):
        os.rename(name, name, src_dir_fd=stage_fd, dst_dir_fd=spot.fd)
    status = os.fstat(stage_fd)
    os.chown(spot.fd, status.st_uid, status.st_gid)
    os.chmod(spot.fd, stat.S_IMODE(status.st_mode))
    digest.write(spot.fd, marker)
    os.rmdir(spot.stage_name, dir_fd=spot.fd)
    os.utime(spot.fd, ns=(status.st_mtime_ns, status.st_mtime_ns))


def take_away(spot: Spot) -> None:
    """Take the root from its name: what was there is beside as an old one. Raises OSError."""
    os.rename(spot.name, spot.free_old_name(), src_dir_fd=spot.parent, dst_dir_fd=spot.parent)


def clear(spot: Spot) -> None:
    """Empty a root that is a mount point. Raises KernelError, OSError."""
    removal.empty(spot.fd, except_for=_ALWAYS_THERE)
    digest.remove(spot.fd)
