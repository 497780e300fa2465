# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The file system as a process sees it that has joined a target's mount namespace.

Everything is found by descriptor, inside the target's root; the host's /proc, opened before,
answers for /proc, since the target's may be missing or a lie.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import typing as t

from .. import kinds
from ..definition.layout import Layout
from ..errors import KernelError, Refused
from ..patience import Patience
from ..storage import root_mark
from ..syscalls import files, mounts, namespaces
from . import host_view, resolve, table
from .table import Mount, Table
from .where import NAMED, Where

# What ends a way as it does for the kernel, which then says it.
_NO_WAY = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG)


def open_host_proc() -> int:
    """The host's /proc, to be opened before a target is entered, for TargetView."""
    return os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _open_root() -> int:
    return os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


class Found(t.NamedTuple):
    """What a path names, and where that lies. It is open."""

    fd: int
    place: files.Place
    # The mount that it lies on; None where the table has no row of it, as in a chroot.
    mount: Mount | None
    # The mount table, read since it was opened or found to have that mount.
    table: Table


class TargetView:
    """What a target looks like from inside. Create it in the process that has joined the target."""

    def __init__(
        self,
        host_proc: int,
        layout: Layout,
        where: Where = NAMED,
        mounts: list[table.Mount] | None = None,
    ) -> None:
        self.host_proc = host_proc
        # What this look at the host has read of its mounts already; None where nobody has.
        self._mounts = mounts
        # For people.
        self.where = where
        self._self_fd = os.open(
            "self/fd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=host_proc
        )
        # The root of the target, open.
        self.root = _open_root()
        if self._covers_new_root(layout):
            self._finish_pivot()
        # Which of the pivots that were noted were made, is settled.
        self.layout = layout.settled(files.unique_mount_id(self.root))

    def _covers_new_root(self, layout: Layout) -> bool:
        """Whether a pivot was killed half way: the old root still lies on the new one."""
        if not layout.noted or layout.noted[-1].mount == files.unique_mount_id(self.root):
            return False
        if layout.noted[-1].old not in ("", self.identity_of(self.root)):
            return False  # somebody has mounted it
        root = files.place_of(self.root).mount_id
        new_root = layout.noted[-1].listed
        return any(row.id == root and row.parent == new_root for row in self.mounts())

    def _finish_pivot(self) -> None:
        self.let_go(self.root)
        os.close(self.root)
        flags = os.O_RDONLY | os.O_CLOEXEC
        own = os.open("self/ns/mnt", flags, dir_fd=self.host_proc)
        try:
            # What was detached is still the root of this process: joining anew leads to the root
            # that the namespace has now.
            namespaces.setns(own, kinds.KINDS["mnt"].flag)
        finally:
            os.close(own)
        self.root = _open_root()

    def mounts(self) -> list[table.Mount]:
        """The mount table, as read now, or before in the same look."""
        if self._mounts is not None:
            return [*self._mounts]
        return table.read("self/mountinfo", dir_fd=self.host_proc)

    def keep_mounts(self) -> list[table.Mount]:
        """The mount table, as read now and known from here on: for who changes nothing meanwhile."""
        self._mounts = self.mounts()
        return self._mounts

    def identity_of(self, fd: int) -> str:
        """What tells the mount that ``fd`` lies on from all others, also from later ones at its path.

        Its number in the table comes first. Before Linux 6.8 a later mount may get its numbers: what
        it shows is compared as well. Raises KernelError.
        """
        listed = files.place_of(fd).mount_id
        shows = [f"{row.device} {row.root}" for row in self.mounts() if row.id == listed]
        return " ".join([str(listed), str(files.unique_mount_id(fd)), *shows])

    def let_go(self, fd: int) -> None:
        """Detach everything mounted at ``fd``, the root of a mount, and below. Raises KernelError.

        Cut off from its peers first: an unmount below a mount that the host shares would reach
        the host (mount_namespaces(7)).
        """
        self.part(fd)
        mounts.umount(self.name(fd), flags=mounts.MNT_DETACH)

    def part(self, fd: int) -> None:
        """Have the mount at ``fd``, its root, and those below leave their peers. Raises KernelError."""
        mounts.mount("none", self.name(fd), flags=mounts.MS_REC | mounts.MS_PRIVATE)

    @contextlib.contextmanager
    def base(self, path: str) -> t.Iterator[tuple[int, str]]:
        """The root for resolving ``path``, and the path from there. Raises Refused."""
        name = self.layout.now(path)
        base = self.layout.base_of(name)
        if base == "/":
            fd, rest = self._unpacked_on_way(name)
            try:
                yield fd, rest
            finally:
                os.close(fd)
            return
        with resolve.opened_in(self.root, base) as base_fd:
            if not files.place_of(base_fd).is_mount_root:
                # Resolving below the host's directory instead would write to the host.
                raise Refused(
                    f"{path} lies below {base}, where the definition mounts something, but "
                    "nothing is mounted there now",
                    f"Run the task that mounts {base} first.",
                )
            yield base_fd, name[len(base) :] or "/"

    def _unpacked_on_way(self, name: str) -> tuple[int, str]:
        """The root of others that ``name`` leads into, open, and the path from there.

        Links in it are those of an image, and lead nowhere out of it, also where it is not yet the
        root, as on the host. Where it leads into none, it is the root of the target.
        """
        try:
            fd, rest = host_view.walked(
                name,
                is_marked=lambda fd: root_mark.is_on(fd, name=self.name(fd)),
                trusts_proc=False,
            )
        except OSError as error:
            if error.errno not in _NO_WAY:
                raise
        else:
            if rest:
                return fd, "/" + "/".join(reversed(rest))
            os.close(fd)
        return os.dup(self.root), name

    @contextlib.contextmanager
    def opened(self, path: str, *, flags: int = os.O_PATH) -> t.Iterator[int]:
        """Open what ``path`` names now, resolved inside its root.

        Raises KernelError, Refused.
        """
        with self.base(path) as (base_fd, rest):
            fd = resolve.open_in(base_fd, rest, flags=flags | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def found(self, path: str, there: Table | None = None) -> t.Iterator[Found]:
        """What ``path`` names now, with its mount as a table has it: ``there``, or one read now.

        While it is open nothing else gets the number of its mount, so that a table read since then has
        this mount by that number, or it was taken away meanwhile. Raises KernelError, Refused,
        Changing.
        """
        patience = Patience(path)
        while True:
            with self.opened(path) as fd:
                place = files.place_of(fd)
                mount = there.by_id.get(place.mount_id) if there is not None else None
                if there is None or mount is None or not self._is_row_of(mount, place, fd):
                    there = Table(self.mounts())
                    mount = there.by_id.get(place.mount_id)
                if mount is not None or self._is_still_at(path, place):
                    yield Found(fd, place, mount, there)
                    return
            there = None
            patience.look_again()

    def _is_row_of(self, mount: Mount, place: files.Place, fd: int) -> bool:
        # The number in an older table may be that of a mount that is gone.
        return not place.is_mount_root or mount.path == self.path_of(fd)

    def _is_still_at(self, path: str, place: files.Place) -> bool:
        with contextlib.suppress(KernelError), self.opened(path) as fd:
            return files.place_of(fd) == place
        return False

    def exists(self, path: str) -> bool:
        """Whether ``path`` names something. Raises KernelError, Refused."""
        try:
            with self.opened(path):
                return True
        except KernelError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return False
            raise

    def name(self, fd: int) -> str:
        """A name of ``fd`` for the calls that take only a path: mount(2), umount2(2), pivot_root(2).

        It is "N" with the host's /proc/self/fd as the working directory, so it is good until
        the working directory changes, and no link inside the target can turn it elsewhere.
        """
        os.fchdir(self._self_fd)
        return str(fd)

    def path_of(self, fd: int) -> str:
        """The path of the open file, from the root of the target. Raises OSError."""
        return os.readlink(str(fd), dir_fd=self._self_fd)

    def names_of(self, path: str, fd: int) -> list[str]:
        """The names that the kernel may have for ``path``, which is open. Raises OSError.

        It keeps those from before a pivot, as layouts do. Only before one, below a mount that the
        definition made, would it come to another place by the path than is meant by it.
        """
        found = self.layout.earlier_names(self.path_of(fd))
        is_below = self.layout.base_of(self.layout.now(path)) != "/"
        return found if is_below else [*found, path]
