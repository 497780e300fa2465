# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Looking at the mounts inside a target, and carrying out the actions of a plan there.

Runs in the process that has joined the target. Every mount is built detached, set up, and then
moved onto the open descriptor of its place: nothing half made is ever seen.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t

from .. import mount_table, paths
from ..errors import KernelError
from ..inside import Inside
from ..syscalls import files, statmount
from ..syscalls import mounts as calls
from . import options
from .compare import Differences, Identity, Observed, Source, WantedMount
from .plan import Action

_PROPAGATION = {
    "private": calls.MS_PRIVATE,
    "slave": calls.MS_SLAVE,
    "shared": calls.MS_SHARED,
    "unbindable": calls.MS_UNBINDABLE,
}
_ALL_ATTRIBUTES = (
    calls.MOUNT_ATTR_RDONLY
    | calls.MOUNT_ATTR_NOSUID
    | calls.MOUNT_ATTR_NODEV
    | calls.MOUNT_ATTR_NOEXEC
    | calls.MOUNT_ATTR_NOSYMFOLLOW
    | calls.MOUNT_ATTR_NODIRATIME
    | calls.MOUNT_ATTR__ATIME
)
# Each mount of these is a file system of its own: one that the host has too was copied from it
# with its mount namespace, and belongs to the host.
# Those with an entry in SHOWS show one namespace of that kind, wherever they are mounted.
SHOWS = {
    "proc": "pid",
    "sysfs": "net",
    "mqueue": "ipc",
    "cgroup": "cgroup",
    "cgroup2": "cgroup",
}
_INSTANCES = ("tmpfs", "ramfs", "proc", "devpts", "overlay")


class Table:
    """The mount table of the target, indexed."""

    def __init__(self, mounts: t.Sequence[mount_table.Mount]) -> None:
        self.mounts = mounts
        self.by_id = {mount.id: mount for mount in mounts}
        self._on: dict[int, list[mount_table.Mount]] = {}
        for mount in mounts:
            if mount.parent != mount.id:
                self._on.setdefault(mount.parent, []).append(mount)

    def stacked_under(self, mount: mount_table.Mount) -> list[mount_table.Mount]:
        """The mounts at the same path beneath ``mount``, from the top down."""
        found = []
        lower = self.by_id.get(mount.parent)
        while lower is not None and lower.path == mount.path and lower.path != "/":
            found.append(lower)
            lower = self.by_id.get(lower.parent)
        return found

    def descendants(self, mount: mount_table.Mount) -> list[mount_table.Mount]:
        """What is mounted below ``mount``, a mount after the one it stands on.

        The table lists them by age: a mount can be older than the one that it was moved onto.
        """
        found = [mount]
        for lower in found:
            found += self._on.get(lower.id, [])
        return found[1:]


def observe(
    inside: Inside,
    wanted: WantedMount,
    table: Table,
    *,
    host_devices: t.Container[str],
    own_kinds: t.Container[str] = (),
) -> Observed:
    """What is at the place of ``wanted`` now.

    ``host_devices`` are the file systems of the host, ``own_kinds`` the kinds of namespace that
    the target has of its own. Raises KernelError, Refused.
    """
    try:
        with inside.opened(wanted.path) as fd:
            status = os.fstat(fd)
            is_directory = stat.S_ISDIR(status.st_mode)
            place = files.place_of(fd)
            name = inside.path_of(fd)
            if not place.is_mount_root or place.mount_id not in table.by_id:
                return Observed(exists=True, is_directory=is_directory, name=name)
            # In a user namespace of its own the kernel would tell only what is mapped there.
            tells = wanted.options.idmap and "user" not in own_kinds
            id_map = statmount.id_map_of(fd) if tells else None
    except KernelError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return Observed(exists=False)
        raise
    mount = table.by_id[place.mount_id]
    lower = table.stacked_under(mount)
    if "user" in own_kinds:
        # What came with a user namespace is locked: it stays at the bottom for ever.
        while lower and lower[-1].device in host_devices:
            del lower[-1]
    return Observed(
        exists=True,
        is_directory=is_directory,
        mount=mount,
        identity=Identity(place.device, place.inode),
        stacked=len(lower),
        children=tuple(table.descendants(mount)) if _looks_below(wanted) else (),
        is_hosts=_is_hosts(mount, host_devices, own_kinds),
        is_shared=mount.device in host_devices,
        name=name,
        id_map=id_map,
    )


def _is_hosts(
    mount: mount_table.Mount, host_devices: t.Container[str], own_kinds: t.Container[str]
) -> bool:
    """Whether it came with the copy of the host's mount namespace, and still is the host's."""
    if mount.fstype in _INSTANCES:
        return mount.device in host_devices
    if SHOWS.get(mount.fstype) not in own_kinds:
        return False
    if mount.fstype.startswith("cgroup"):
        # One file system for all; what lies outside of the own cgroup namespace has a root
        # above its own (cgroup_namespaces(7)).
        return mount.root.startswith("/..")
    return mount.device in host_devices


def _looks_below(wanted: WantedMount) -> bool:
    return wanted.options.recursive or wanted.propagation.startswith(("rp", "rs", "ru"))


def source_of(fd: int, table: t.Mapping[int, mount_table.Mount]) -> Source:
    """What a bind of the open file ``fd`` would show; ``table`` is of the namespace it is in."""
    place = files.place_of(fd)
    mount = table.get(place.mount_id)
    return Source(
        identity=Identity(place.device, place.inode),
        attributes=options.attributes_of(mount.flags) if mount else 0,
        is_directory=paths.is_directory(fd),
        is_idmapped=mount is not None and "idmapped" in mount.flags,
    )


class Tree(t.NamedTuple):
    """A mount that is not attached yet. ``settled``: its attributes and peers are as wanted."""

    fd: int
    settled: bool = True


def build(wanted: WantedMount, *, userns: int = -1) -> Tree:
    """A detached mount of the wanted file system. Raises KernelError.

    An image gets a loop device, which ends with the mount. ``userns`` is as in clone().
    """
    asked = wanted.options
    generic = (("ro", None),) if asked.read_only else ()
    with contextlib.ExitStack() as stack:
        source = wanted.src
        if asked.loop:
            from . import loop

            source = stack.enter_context(loop.device_of(source, read_only=asked.read_only))
        fd = calls.make_filesystem(
            wanted.fstype,
            source=source,
            options=(*asked.filesystem, *generic),
            attributes=asked.attr_set,
        )
    try:
        if userns >= 0:
            _set_id_map(fd, userns, recursive=False)
    except KernelError:
        os.close(fd)
        raise
    return Tree(fd)


def _set_id_map(fd: int, userns: int, *, recursive: bool) -> None:
    try:
        calls.mount_setattr(
            fd, attr_set=calls.MOUNT_ATTR_IDMAP, userns_fd=userns, recursive=recursive
        )
    except KernelError as error:
        error.arguments["idmap"] = True
        # What other attributes fall back to cannot do this: it is no reason for that.
        error.errno = errno.EOPNOTSUPP if error.errno == errno.ENOSYS else error.errno
        raise


def clone(fd: int, wanted: WantedMount, *, source: Source, userns: int = -1) -> Tree:
    """A detached bind of the open file ``fd``. Raises KernelError.

    ``userns`` is a user namespace whose id maps the mount gets (X-mount.idmap), or -1.
    Before Linux 5.12 (mount_setattr(2)) it is not settled until it is attached.
    """
    tree = calls.open_tree(fd, "", recursive=wanted.options.bind_recursive)
    try:
        if userns >= 0:
            _set_id_map(tree, userns, recursive=wanted.options.bind_recursive)
        if _cuts_peers(wanted):
            calls.mount_setattr(tree, propagation=calls.MS_PRIVATE, recursive=True)
        expected = source.attributes & ~wanted.options.attr_clr | wanted.options.attr_set
        if expected != source.attributes:
            _set_attributes_by_fd(tree, expected)
        if wanted.options.recursive:
            _set_recursively_by_fd(tree, wanted)
    except KernelError as error:
        if error.errno != errno.ENOSYS:
            os.close(tree)
            raise
        return Tree(tree, settled=False)
    return Tree(tree)


def _cuts_peers(wanted: WantedMount) -> bool:
    """Whether a bind leaves the peer groups of its source.

    A bind of the host's is in the host's peer group: what is mounted on it inside later would
    appear on the host.
    """
    return wanted.src_in == "host" and wanted.propagation not in _PEERS


_PEERS = ("slave", "rslave", "shared", "rshared")


def _set_attributes_by_fd(fd: int, expected: int) -> None:
    # The atime field is cleared as a whole before a value is set in it (mount_setattr(2)).
    cleared = _ALL_ATTRIBUTES & ~expected | calls.MOUNT_ATTR__ATIME
    calls.mount_setattr(fd, attr_set=expected, attr_clr=cleared)


def _set_recursively_by_fd(fd: int, wanted: WantedMount) -> None:
    asked = wanted.options
    calls.mount_setattr(fd, attr_set=asked.attr_set, attr_clr=asked.attr_clr, recursive=True)


class Applier:
    """Carries out actions inside the target.

    ``trees`` are detached mounts that were built on the host, by index.
    """

    def __init__(
        self, inside: Inside, wanted: t.Sequence[WantedMount], trees: t.MutableMapping[int, Tree]
    ) -> None:
        self._inside = inside
        self._wanted = wanted
        self._trees = trees

    def prepare(self, action: Action) -> None:
        """Build what an action attaches, where that needs nothing that another one makes.

        So a file system that the kernel refuses is refused before anything was changed.
        Raises KernelError.
        """
        wanted = self._wanted[action.position]
        has_source_inside = wanted.src_in == "namespace" and (
            wanted.options.bind or wanted.fstype == "overlay" or wanted.src.startswith("/")
        )
        if action.position not in self._trees and not has_source_inside:
            self._trees[action.position] = build(wanted)

    def apply(self, action: Action) -> None:
        """Carry out one action. Raises KernelError, Refused."""
        if action.verb == "unmount":
            self._unmount(action.path)
            return
        wanted = self._wanted[action.position]
        if action.verb == "attach":
            self._attach(action.position, wanted)
        elif action.verb == "replace":
            self._replace(action.position, wanted)
        elif action.verb == "unstack":
            self._unstack(wanted)
        else:
            with self._inside.opened(wanted.path) as fd:
                self._change(action.verb, fd, wanted, action.differences)

    def _change(self, verb: str, fd: int, wanted: WantedMount, found: Differences) -> None:
        if verb == "reconfigure":
            calls.reconfigure(fd, found.reconfigure)
        elif verb == "set flags" and found.attributes is not None:
            self._set_attributes(fd, found.attributes)
            if wanted.options.recursive:
                self._set_recursively(fd, wanted)
        elif verb == "set propagation":
            self._set_propagation(fd, found.propagation)
        else:
            raise ValueError(verb)

    def _built(self, index: int, wanted: WantedMount) -> Tree:
        if index in self._trees:
            return self._trees[index]
        if not wanted.options.bind:
            return build(wanted)
        with self._inside.opened(wanted.src) as fd:
            return clone(fd, wanted, source=self._source(fd))

    def _source(self, fd: int) -> Source:
        return source_of(fd, Table(self._inside.mounts()).by_id)

    def _attach(self, index: int, wanted: WantedMount) -> None:
        tree = self._built(index, wanted)
        try:
            self._make_place(wanted, tree.fd)
            with self._inside.opened(wanted.path) as target:
                calls.move_mount(tree.fd, target)
            self._settle(wanted, tree)
        finally:
            os.close(tree.fd)

    def _make_place(self, wanted: WantedMount, tree: int) -> None:
        mode = wanted.options.make_path
        if mode is None:
            return
        with self._inside.base(wanted.path) as (base, rest):
            if paths.exists_in(base, rest):
                return
            if paths.is_directory(tree):
                paths.make_directories(base, rest, mode=mode)
            else:
                paths.make_file(base, rest)

    def _replace(self, index: int, wanted: WantedMount) -> None:
        tree = self._built(index, wanted)
        try:
            with self._inside.opened(wanted.path) as top:
                # A locked one came with the user namespace, and can only be covered.
                locked = self._is_locked(top)
                beneath = not locked and self._slide_beneath(tree.fd, top)
            if not beneath:
                if not locked:
                    self._detach_all(wanted.path)
                with self._inside.opened(wanted.path) as target:
                    calls.move_mount(tree.fd, target)
            self._settle(wanted, tree)
        finally:
            os.close(tree.fd)

    def _is_locked(self, top: int) -> bool:
        """Whether the mount may not be taken away (mount_namespaces(7), MNT_LOCKED).

        Nothing tells but umount2(2) itself: with MNT_EXPIRE it refuses a locked one, and the
        first time does nothing to any other.
        """
        try:
            calls.umount(self._inside.name(top), flags=calls.MNT_EXPIRE)
        except KernelError as error:
            return error.errno == errno.EINVAL
        return False

    def _slide_beneath(self, tree: int, top: int) -> bool:
        """Put ``tree`` under the mount ``top`` and take that away: the path is never empty."""
        mount_id = files.place_of(top).mount_id
        table = Table(self._inside.mounts())
        if mount_id not in table.by_id or table.stacked_under(table.by_id[mount_id]):
            return False
        try:
            calls.move_mount(tree, top, beneath=True)
        except KernelError as error:
            # EINVAL: before Linux 6.5, or a place where it is not possible.
            if error.errno in (errno.EINVAL, errno.ENOSYS, errno.EPERM):
                return False
            raise
        calls.umount(self._inside.name(top), flags=calls.MNT_DETACH)
        return True

    def _detach_all(self, path: str) -> None:
        while True:
            with self._inside.opened(path) as fd:
                if not files.place_of(fd).is_mount_root:
                    return
                calls.umount(self._inside.name(fd), flags=calls.MNT_DETACH)

    def _unstack(self, wanted: WantedMount) -> None:
        while True:
            table = Table(self._inside.mounts())
            with self._inside.opened(wanted.path) as fd:
                top = table.by_id[files.place_of(fd).mount_id]
                lower = table.stacked_under(top)
                if not lower:
                    break
                same = (lower[0].device, lower[0].root) == (top.device, top.root)
                if same and lower[0].flags == top.flags:
                    calls.umount(self._inside.name(fd), flags=calls.MNT_DETACH)
                    continue
                # What lies beneath is something else: lift the topmost off, clear, put it back.
                tree = calls.open_tree(fd, "", recursive=True)
            try:
                self._detach_all(wanted.path)
                with self._inside.opened(wanted.path) as target:
                    calls.move_mount(tree, target)
            finally:
                os.close(tree)
            break

    def _unmount(self, path: str) -> None:
        """Unmount everything at ``path`` and below it, the last first."""
        while True:
            table = Table(self._inside.mounts())
            with self._inside.opened(path) as fd:
                place = files.place_of(fd)
                if not place.is_mount_root:
                    return
                top = table.by_id[place.mount_id]
            for mount in [*reversed(table.descendants(top)), top]:
                self._unmount_one(mount)

    def _unmount_one(self, mount: mount_table.Mount) -> None:
        # By its name in an open directory: an open descriptor of the mount itself would make
        # it busy. The name is the kernel's own and holds no link.
        above, _slash, name = mount.path.rpartition("/")
        with paths.opened_in(self._inside.root, above) as directory:
            os.fchdir(directory)
            try:
                calls.umount(name, flags=calls.UMOUNT_NOFOLLOW)
            except KernelError as error:
                error.arguments.update(mount_path=mount.path, mount_id=mount.id)
                raise

    def _settle(self, wanted: WantedMount, tree: Tree) -> None:
        """What can only be set on an attached mount: ``tree`` is still a descriptor of it."""
        if not tree.settled:
            if _cuts_peers(wanted):
                self._set_propagation(tree.fd, "rprivate")
            bits = self._source(tree.fd).attributes
            self._set_attributes(tree.fd, bits & ~wanted.options.attr_clr | wanted.options.attr_set)
            if wanted.options.recursive:
                self._set_recursively(tree.fd, wanted)
        if wanted.propagation:
            self._set_propagation(tree.fd, wanted.propagation)

    def _set_attributes(self, fd: int, expected: int) -> None:
        try:
            _set_attributes_by_fd(fd, expected)
        except KernelError as error:
            if error.errno != errno.ENOSYS:
                raise
            flags = calls.MS_REMOUNT | calls.MS_BIND | options.classic_flags(expected)
            calls.mount("none", self._inside.name(fd), flags=flags)

    def _set_recursively(self, fd: int, wanted: WantedMount) -> None:
        try:
            _set_recursively_by_fd(fd, wanted)
        except KernelError as error:
            if error.errno != errno.ENOSYS:
                raise
            table = Table(self._inside.mounts())
            mount = table.by_id[files.place_of(fd).mount_id]
            for each in table.descendants(mount):
                bits = options.attributes_of(each.flags)
                expected = bits & ~wanted.options.attr_clr | wanted.options.attr_set
                with paths.opened_in(self._inside.root, each.path) as each_fd:
                    self._set_attributes(each_fd, expected)

    def _set_propagation(self, fd: int, word: str) -> None:
        recursive = word not in _PROPAGATION
        kind = _PROPAGATION[word[1:] if recursive else word]
        try:
            calls.mount_setattr(fd, propagation=kind, recursive=recursive)
        except KernelError as error:
            if error.errno != errno.ENOSYS:
                raise
            flags = kind | (calls.MS_REC if recursive else 0)
            calls.mount("none", self._inside.name(fd), flags=flags)
