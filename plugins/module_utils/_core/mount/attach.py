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
from ..patience import Patience
from ..syscalls import detached, files
from ..syscalls import mounts as calls
from . import build, ids, make_path, observe, options, peers, resolve, unmount, words
from .compare import RootOf, Source
from .table import Mount, Table
from .view import Found, TargetView
from .wanted import WantedMount


class Mounter:
    """Does what the actions of a plan say."""

    def __init__(
        self,
        view: TargetView,
        trees: t.MutableMapping[str, build.Tree],
        host_mounts: t.Sequence[Mount] = (),
    ) -> None:
        self._view = view
        # Detached mounts that were built already, by the path that they are for.
        self._trees = trees
        self._host_mounts = host_mounts
        # What attach() has mounted: path and id, the first first.
        self.attached: list[tuple[str, int]] = []

    def prepare(self, wanted: WantedMount) -> None:
        """Build the mount, where that needs nothing that another one makes.

        So a file system that the kernel refuses is refused before anything was changed.
        Raises KernelError.
        """
        # The names may be those of a root that another one makes.
        is_made_inside = wanted.needs_target or words.have_names(wanted.words)
        if wanted.path not in self._trees and not is_made_inside:
            self._trees[wanted.path] = self._built(wanted)

    def attach(self, wanted: WantedMount) -> None:
        """Mount it on its path. Raises KernelError, Refused."""
        if wanted.may_be_absent_inside and not self._view.exists(wanted.src):
            return
        with self._new(wanted) as tree:
            self._make_place(wanted, tree.fd)
            self._move(tree.fd, wanted.path)
            self.attached.append((wanted.path, files.place_of(tree.fd).mount_id))

    def replace(self, wanted: WantedMount) -> None:
        """Mount it in place of what is mounted on its path. Raises KernelError, Refused."""
        with self._new(wanted) as tree:
            with self._view.found(wanted.path) as top:
                # A locked one came with the user namespace, and can only be covered.
                locked = self._is_locked(top.fd)
                beneath = not locked and self._slide_beneath(tree, top, wanted.path)
            if not beneath:
                if not locked:
                    unmount.detach_all(self._view, wanted.path, self._host_mounts)
                self._move(tree.fd, wanted.path)

    def unstack(self, path: str) -> None:
        """Leave the topmost of the mounts on the path alone there. Raises KernelError, Refused."""
        patience = Patience(path)
        while True:
            with self._view.found(path) as found:
                top = found.mount
                lower = found.table.stacked_under(top) if top is not None else []
                if top is None or not lower:
                    return
                same = (lower[0].device, lower[0].root) == (top.device, top.root)
                if not same or lower[0].flags != top.flags:
                    # What lies beneath is something else: lift the topmost off, clear, put it back.
                    tree = detached.open_tree(found.fd, "", recursive=True)
                    break
                self._detach(found, path)
            patience.look_again()
        try:
            unmount.detach_all(self._view, path, self._host_mounts)
            self._move(tree, path)
        finally:
            os.close(tree)

    def unmount(self, path: str) -> None:
        """Unmount everything on the path and below, the last first. Raises KernelError, Refused."""
        unmount.with_what_is_below(self._view, path, self._host_mounts)

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

    def set_root(self, path: str, root: RootOf) -> None:
        """Set the owner, the group and the mode of the root of the mount. Raises KernelError, Refused."""
        with self._view.opened(path) as fd:
            self._set_root(fd, root)

    def set_propagation(self, path: str, word: str) -> None:
        """Set the propagation of the mount there. Raises KernelError, Refused."""
        with self._view.opened(path) as fd:
            self._set_propagation(fd, word)

    @contextlib.contextmanager
    def _new(self, wanted: WantedMount) -> t.Iterator[build.Tree]:
        """The detached mount, for the block to attach it."""
        wanted = ids.settled(wanted, self._view)
        tree = self._trees.get(wanted.path) or self._built(wanted)
        try:
            self._set_root(tree.fd, RootOf.asked(wanted.options))
            yield tree
            self._settle(wanted, tree)
        finally:
            tree.close()

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
        return observe.source_of(fd, {}, read=self._view.mounts)

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

    def _detach(self, found: Found, path: str) -> None:
        """Detach the mount that was found; fine where others have just taken it away."""
        try:
            with peers.parted(self._view, path, self._host_mounts, found.table):
                calls.umount(self._view.name(found.fd), flags=calls.MNT_DETACH)
        except KernelError as error:
            # Its number is nobody else's while it is open.
            is_there = any(row.id == found.place.mount_id for row in self._view.mounts())
            if error.errno != errno.EINVAL or is_there:
                raise

    def _slide_beneath(self, tree: build.Tree, top: Found, path: str) -> bool:
        """Put ``tree`` under the mount ``top`` and take that away: the path is never empty.

        That unmount would reach what is mounted on the peers of the new one: it has none meanwhile.
        """
        if top.mount is None or top.table.stacked_under(top.mount) or not tree.may_be_parted:
            return False
        try:
            with peers.apart(tree.fd, tree.origin):
                detached.move_mount(tree.fd, top.fd, beneath=True)
                self._detach(top, path)
            return True
        except KernelError as error:
            # EINVAL: before Linux 6.5, or a place where it is not possible.
            is_refused = error.call == "move_mount" and error.errno in (errno.EINVAL, errno.EPERM)
            if is_refused or error.errno == errno.ENOSYS:
                return False
            raise

    def _set_root(self, fd: int, root: RootOf) -> None:
        call = "chown"
        try:
            if root.owner is not None or root.group is not None:
                owner, group = (-1 if each is None else each for each in root[:2])
                os.chown(self._view.name(fd), owner, group)
            # Last: a new owner takes the set-user-ID bit away.
            if root.mode is not None:
                call = "chmod"
                os.chmod(self._view.name(fd), root.mode)
        except OSError as error:
            raise KernelError(call, error.errno or errno.EIO, {}) from error

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
            for each in Table(self._view.mounts()).descendants(files.place_of(fd).mount_id):
                expected = wanted.options.applied_to(options.attributes_of(each.flags))
                self._set_attributes_of(each, expected)

    def _set_attributes_of(self, mount: Mount, expected: int) -> None:
        """The same by its row in a table; nothing where it is gone, or covered by another one."""
        try:
            with resolve.opened_in(self._view.root, mount.path) as fd:
                if files.place_of(fd).mount_id == mount.id:
                    self._set_attributes(fd, expected)
        except KernelError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise

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
