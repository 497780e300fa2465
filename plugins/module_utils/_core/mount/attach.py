# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Carrying out the actions of a plan inside a target, in the process that has joined it.

Every mount is built detached, set up, and then moved onto the open descriptor of its place:
nothing half made is ever seen.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os
import typing as t

from ..errors import KernelError
from ..syscalls import files
from ..syscalls import mounts as calls
from . import build, observe, options, resolve
from . import table as mount_table
from .compare import Differences, Source
from .plan import Action
from .view import TargetView
from .wanted import WantedMount

_PROPAGATION = {
    "private": calls.MS_PRIVATE,
    "slave": calls.MS_SLAVE,
    "shared": calls.MS_SHARED,
    "unbindable": calls.MS_UNBINDABLE,
}


class Applier:
    """Carries out actions inside the target.

    ``trees`` are detached mounts that were built on the host, by index.
    """

    def __init__(
        self,
        inside: TargetView,
        wanted: t.Sequence[WantedMount],
        trees: t.MutableMapping[int, build.Tree],
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
            self._trees[action.position] = build.build(wanted)

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

    def _built(self, index: int, wanted: WantedMount) -> build.Tree:
        if index in self._trees:
            return self._trees[index]
        if not wanted.options.bind:
            return build.build(wanted)
        with self._inside.opened(wanted.src) as fd:
            return build.clone(fd, wanted, source=self._source(fd))

    def _source(self, fd: int) -> Source:
        return observe.source_of(fd, observe.Table(self._inside.mounts()).by_id)

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
            if resolve.exists_in(base, rest):
                return
            if resolve.is_directory(tree):
                resolve.make_directories(base, rest, mode=mode)
            else:
                resolve.make_file(base, rest)

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
        table = observe.Table(self._inside.mounts())
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
            table = observe.Table(self._inside.mounts())
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
            table = observe.Table(self._inside.mounts())
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
        with resolve.opened_in(self._inside.root, above) as directory:
            os.fchdir(directory)
            try:
                calls.umount(name, flags=calls.UMOUNT_NOFOLLOW)
            except KernelError as error:
                error.arguments.update(mount_path=mount.path, mount_id=mount.id)
                raise

    def _settle(self, wanted: WantedMount, tree: build.Tree) -> None:
        """What can only be set on an attached mount: ``tree`` is still a descriptor of it."""
        if not tree.settled:
            if build.cuts_peers(wanted):
                self._set_propagation(tree.fd, "rprivate")
            bits = self._source(tree.fd).attributes
            self._set_attributes(tree.fd, bits & ~wanted.options.attr_clr | wanted.options.attr_set)
            if wanted.options.recursive:
                self._set_recursively(tree.fd, wanted)
        if wanted.propagation:
            self._set_propagation(tree.fd, wanted.propagation)

    def _set_attributes(self, fd: int, expected: int) -> None:
        try:
            build.set_attributes(fd, expected)
        except KernelError as error:
            if error.errno != errno.ENOSYS:
                raise
            flags = calls.MS_REMOUNT | calls.MS_BIND | options.classic_flags(expected)
            calls.mount("none", self._inside.name(fd), flags=flags)

    def _set_recursively(self, fd: int, wanted: WantedMount) -> None:
        try:
            build.set_recursively(fd, wanted)
        except KernelError as error:
            if error.errno != errno.ENOSYS:
                raise
            table = observe.Table(self._inside.mounts())
            mount = table.by_id[files.place_of(fd).mount_id]
            for each in table.descendants(mount):
                bits = options.attributes_of(each.flags)
                expected = bits & ~wanted.options.attr_clr | wanted.options.attr_set
                with resolve.opened_in(self._inside.root, each.path) as each_fd:
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
