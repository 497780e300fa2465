# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Where a root file system lies, and how a new one gets there: whole, or not at all.

    /srv/web            the root, with its marker (digest.py)
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
import stat
import typing as t

from .. import mount_table, paths
from ..errors import KernelError, Refused
from ..inside import Inside
from ..mount_table import Mount
from ..syscalls import files, trees
from . import digest, removal, workspace

WITHIN = ".linux-namespaces.new"
_ROOT = "root"
_ALWAYS_THERE = ("lost+found",)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class Location(t.NamedTuple):
    """A directory as the kernel knows it: ``path`` is its name now, from the target's root.

    ``device`` and ``root`` are as in mountinfo: the file system and the path in that.
    ``number`` is the device as stat(2) has it, which some file systems have otherwise.
    """

    path: str
    device: str
    root: str
    number: int


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


class Stage(t.NamedTuple):
    """A new root that is being built.

    ``work`` is the open directory around it, with the path ``path``, to be used for what its
    making needs beside; ``root`` is the root itself, ``path``/root.
    """

    work: int
    root: int
    path: str


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
    def workspace(self) -> tuple[int, str]:
        """Where a new root is built: the open directory above, and the name in it."""
        return (self.fd, WITHIN) if self.is_mount else (self.parent, f".{self.name}.new")

    def path_above(self) -> str:
        """The path of the directory that a workspace is in, as the kernel knows it."""
        return self._inside.path_of(self.workspace[0]).rstrip("/")

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
        left = _left_over(spot)
        seen = Seen("absent", old=tuple(old), unfinished=left is not None)
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
        if spot.is_mount and left:
            return seen._replace(state="interrupted")
        if marker is not None:
            return seen._replace(state="root", marker=marker)
        names = set(os.listdir(spot.fd)) - {*_ALWAYS_THERE, WITHIN, digest.FILE}
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


def _left_over(spot: Spot) -> bool | None:
    """Whether what a killed run left beside was complete; None where nothing was left."""
    above, name = spot.workspace
    try:
        fd = os.open(f"{name}/{_ROOT}", _DIRECTORY | os.O_CLOEXEC, dir_fd=above)
    except OSError:
        with contextlib.suppress(OSError):
            os.stat(name, dir_fd=above, follow_symlinks=False)
            return False
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
            root = mount.root.rstrip("/") + rest or "/"
            return Location(path, mount.device, root, os.fstat(fd).st_dev)
    return Location(path, "", "", 0)


@contextlib.contextmanager
def staged(spot: Spot, *, patience: float) -> t.Iterator[Stage]:
    """A new root to be filled, empty; what is left of it afterwards is removed.

    Raises Refused when another run is at work there for longer than ``patience`` seconds.
    """
    above, name = spot.workspace
    with workspace.held(above, name, patience=patience, what_for=spot.path) as work:
        path = f"{spot.path_above()}/{name}"
        _rescue(spot, work)
        removal.empty(work, except_for=())
        os.mkdir(_ROOT, 0o700, dir_fd=work)
        fd = os.open(_ROOT, _DIRECTORY | os.O_CLOEXEC, dir_fd=work)
        try:
            os.chown(fd, 0, 0)
            for attribute in ("system.posix_acl_access", "system.posix_acl_default"):
                with contextlib.suppress(OSError):
                    os.removexattr(fd, attribute)  # what the directory above hands down
            os.chmod(fd, 0o700)
            yield Stage(work, fd, path)
        finally:
            os.close(fd)


def _rescue(spot: Spot, work: int) -> None:
    """See to the complete root that a killed run left: it may be the one in use."""
    try:
        fd = os.open(_ROOT, _DIRECTORY | os.O_CLOEXEC, dir_fd=work)
    except OSError:
        return
    try:
        if digest.read(fd) is None:
            return
        if spot.is_mount:
            # Partly moved up, perhaps: what is there belongs to it.
            removal.empty(spot.fd, except_for=(WITHIN, *_ALWAYS_THERE))
            digest.remove(fd)
        else:
            # The old one, when it was killed after the exchange.
            os.rename(_ROOT, spot.free_old_name(), src_dir_fd=work, dst_dir_fd=spot.parent)
    finally:
        os.close(fd)


def put(spot: Spot, stage: Stage, marker: digest.Marker) -> None:
    """Put what was built into its place; what was there is beside as an old one afterwards.

    Raises KernelError, OSError; then what was there before is still there.
    """
    digest.write(stage.root, marker)
    trees.sync_filesystem(stage.root)
    if spot.is_mount:
        _move_up(spot, stage, marker)
        return
    names = {"src_dir_fd": stage.work, "dst_dir_fd": spot.parent}
    try:
        os.rename(_ROOT, spot.name, **names)
    except OSError as error:
        # Onto an empty directory, or nothing, it is a plain rename.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        old_name = spot.free_old_name()
        try:
            trees.exchange(stage.work, _ROOT, spot.parent, spot.name)
        except KernelError as refused:
            if refused.errno not in (errno.EINVAL, errno.ENOSYS):
                raise
            os.rename(spot.name, old_name, src_dir_fd=spot.parent, dst_dir_fd=spot.parent)
            os.rename(_ROOT, spot.name, **names)
        else:
            os.rename(_ROOT, old_name, **names)
    os.fsync(spot.parent)


def _move_up(spot: Spot, stage: Stage, marker: digest.Marker) -> None:
    digest.remove(spot.fd)
    removal.empty(spot.fd, except_for=(WITHIN, *_ALWAYS_THERE))
    status = os.fstat(stage.root)
    for name in set(os.listdir(stage.root)) - {digest.FILE}:
        os.rename(name, name, src_dir_fd=stage.root, dst_dir_fd=spot.fd)
    os.chown(spot.fd, status.st_uid, status.st_gid)
    os.chmod(spot.fd, stat.S_IMODE(status.st_mode))
    # From here on the root counts as whole, and what is beside it no more.
    digest.remove(stage.root)
    digest.write(spot.fd, marker)
    removal.remove(spot.fd, WITHIN)
    os.utime(spot.fd, ns=(status.st_mtime_ns, status.st_mtime_ns))


def take_away(spot: Spot) -> None:
    """Take the root from its name: what was there is beside as an old one. Raises OSError."""
    os.rename(spot.name, spot.free_old_name(), src_dir_fd=spot.parent, dst_dir_fd=spot.parent)


def clear(spot: Spot) -> None:
    """Empty a root that is a mount point. Raises KernelError, OSError."""
    removal.empty(spot.fd, except_for=(WITHIN, *_ALWAYS_THERE))
    digest.remove(spot.fd)
