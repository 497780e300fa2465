# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Changing the mounts inside a target, in the process that has joined it.

Every mount is built detached, set up, and then moved onto the open descriptor of its place:
nothing half made is ever seen.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import typing as t

from ..errors import KernelError
from ..syscalls import detached, files
from ..syscalls import mounts as calls
from . import build, make_path, observe, options, resolve
from .compare import Source
from .table import Mount, Table
from .view import TargetView
from .wanted import WantedMount


class Mounter:
    """Does what the actions of a plan say."""

    def __init__(self, view: TargetView, trees: t.MutableMapping[str, build.Tree]) -> None:
        self._view = view
        # Detached mounts that were built already, by the path that they are for.
        self._trees = trees

    def prepare(self, wanted: WantedMount) -> None:
        """Build the mount, where that needs nothing that another one makes.

        So a file system that the kernel refuses is refused before anything was changed.
        Raises KernelError.
        """
        if wanted.path not in self._trees and not wanted.needs_target:
            self._trees[wanted.path] = self._built(wanted)

    def attach(self, wanted: WantedMount) -> None:
        """Mount it on its path. Raises KernelError, Refused."""
        with self._new(wanted) as tree:
            self._make_place(wanted, tree)
            self._move(tree, wanted.path)

    def replace(self, wanted: WantedMount) -> None:
        """Mount it in place of what is mounted on its path. Raises KernelError, Refused."""
        with self._new(wanted) as tree:
            with self._view.opened(wanted.path) as top:
                # A locked one came with the user namespace, and can only be covered.
                locked = self._is_locked(top)
                beneath = not locked and self._slide_beneath(tree, top)
            if not beneath:
                if not locked:
                    self._detach_all(wanted.path)
                self._move(tree, wanted.path)

    def unstack(self, path: str) -> None:
        """Leave the topmost of the mounts on the path alone there. Raises KernelError, Refused."""
        while True:
            table = Table(self._view.mounts())
            with self._view.opened(path) as fd:
                top = table.by_id[files.place_of(fd).mount_id]
                lower = table.stacked_under(top)
                if not lower:
                    break
                same = (lower[0].device, lower[0].root) == (top.device, top.root)
                if same and lower[0].flags == top.flags:
                    calls.umount(self._view.name(fd), flags=calls.MNT_DETACH)
                    continue
                # What lies beneath is something else: lift the topmost off, clear, put it back.
                tree = detached.open_tree(fd, "", recursive=True)
            try:
                self._detach_all(path)
                self._move(tree, path)
            finally:
                os.close(tree)
            break

    def unmount(self, path: str) -> None:
        """Unmount everything on the path and below, the last first. Raises KernelError, Refused."""
        while True:
            table = Table(self._view.mounts())
            with self._view.opened(path) as fd:
                place = files.place_of(fd)
                if not place.is_mount_root:
                    return
                top = table.by_id[place.mount_id]
            for mount in [*reversed(table.descendants(top)), top]:
                self._unmount_one(mount)

    def reconfigure(self, path: str, words: t.Sequence[tuple[str, str | None]]) -> None:
        """Change options of the file system mounted there. Raises KernelError, Refused."""
        with self._view.opened(path) as fd:
            detached.reconfigure(fd, words)

    def set_flags(self, wanted: WantedMount, attributes: int) -> None:
        """Give the mount these MOUNT_ATTR_* bits, and those below what is asked for recursively.

        Raises KernelError, Refused.
        """
        with self._view.opened(wanted.path) as fd:
            self._set_attributes(fd, attributes)
            if wanted.options.recursive:
                self._set_recursively(fd, wanted)

    def set_propagation(self, path: str, word: str) -> None:
        """Set the propagation of the mount there. Raises KernelError, Refused."""
        with self._view.opened(path) as fd:
            self._set_propagation(fd, word)

    @contextlib.contextmanager
    def _new(self, wanted: WantedMount) -> t.Iterator[int]:
        """The detached mount, for the block to attach it."""
        tree = self._trees.get(wanted.path) or self._built(wanted)
        try:
            yield tree.fd
            self._settle(wanted, tree)
        finally:
            os.close(tree.fd)

    def _built(self, wanted: WantedMount) -> build.Tree:
        if not wanted.options.bind:
            # An option that is a path after all, to a file system that we know nothing of, is not
            # to be looked up among the open files that TargetView.name() makes the directory.
            os.fchdir(self._view.root)
            return build.build(wanted, self._view)
        with self._view.opened(wanted.src) as fd:
            return build.clone(fd, wanted, source=self._source(fd))

    def _move(self, tree: int, path: str) -> None:
        with self._view.opened(path) as target:
            detached.move_mount(tree, target)

    def _source(self, fd: int) -> Source:
        return observe.source_of(fd, Table(self._view.mounts()).by_id)

    def _make_place(self, wanted: WantedMount, tree: int) -> None:
        mode = wanted.options.make_path
        if mode is None:
            return
        with self._view.base(wanted.path) as (base, rest):
            if resolve.exists_in(base, rest):
                return
            if resolve.is_directory(tree):
                make_path.directories(base, rest, mode=mode)
            else:
                make_path.file(base, rest)

    def _is_locked(self, top: int) -> bool:
        """Whether the mount may not be taken away (mount_namespaces(7), MNT_LOCKED).

        Nothing tells but umount2(2) itself: with MNT_EXPIRE it refuses a locked one, and the
        first time does nothing to any other.
        """
        try:
            calls.umount(self._view.name(top), flags=calls.MNT_EXPIRE)
        except KernelError as error:
            return error.errno == errno.EINVAL
        return False

    def _slide_beneath(self, tree: int, top: int) -> bool:
        """Put ``tree`` under the mount ``top`` and take that away: the path is never empty."""
        mount_id = files.place_of(top).mount_id
        table = Table(self._view.mounts())
        if mount_id not in table.by_id or table.stacked_under(table.by_id[mount_id]):
            return False
        try:
            detached.move_mount(tree, top, beneath=True)
        except KernelError as error:
            # EINVAL: before Linux 6.5, or a place where it is not possible.
            if error.errno in (errno.EINVAL, errno.ENOSYS, errno.EPERM):
                return False
            raise
        calls.umount(self._view.name(top), flags=calls.MNT_DETACH)
        return True

    def _detach_all(self, path: str) -> None:
        while True:
            with self._view.opened(path) as fd:
                if not files.place_of(fd).is_mount_root:
                    return
                calls.umount(self._view.name(fd), flags=calls.MNT_DETACH)

    def _unmount_one(self, mount: Mount) -> None:
        # By its name in an open directory: an open descriptor of the mount itself would make
        # it busy. The name is the kernel's own and holds no link.
        above, _slash, name = mount.path.rpartition("/")
        with resolve.opened_in(self._view.root, above) as directory:
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
            self._set_attributes(tree.fd, wanted.options.applied_to(bits))
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
            calls.mount("none", self._view.name(fd), flags=flags)

    def _set_recursively(self, fd: int, wanted: WantedMount) -> None:
        try:
            build.set_recursively(fd, wanted)
        except KernelError as error:
            if error.errno != errno.ENOSYS:
                raise
            table = Table(self._view.mounts())
            mount = table.by_id[files.place_of(fd).mount_id]
            for each in table.descendants(mount):
                expected = wanted.options.applied_to(options.attributes_of(each.flags))
                with resolve.opened_in(self._view.root, each.path) as each_fd:
                    self._set_attributes(each_fd, expected)

    def _set_propagation(self, fd: int, word: str) -> None:
        name, recursive = options.propagation_of(word)
        kind = calls.PROPAGATION[name]
        try:
            detached.mount_setattr(fd, propagation=kind, recursive=recursive)
        except KernelError as error:
            if error.errno != errno.ENOSYS:
                raise
            flags = kind | (calls.MS_REC if recursive else 0)
            calls.mount("none", self._view.name(fd), flags=flags)
