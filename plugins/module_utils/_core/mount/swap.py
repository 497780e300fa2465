# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Another mount in the place of one that is in use, without a moment in which neither is there.

From Linux 6.5 on the new one is mounted beneath the old one, which is detached then. Before that, and
where the kernel does not let it be done, the old one has to go first: for a few system calls the path
shows what lies below.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import typing as t

from ..errors import KernelError, Refused
from ..syscalls import detached, files
from ..syscalls import mounts as calls
from . import build, options, peers, resolve
from .table import Mount, Table
from .view import Found, TargetView

# EINVAL: a kernel before 6.5, or a place where it is not possible (move_mount(2)).
_NOT_BENEATH = (errno.EINVAL, errno.EPERM, errno.ENOSYS)
# What is mounted in a root that may be hostile is mounted where its name says, and nowhere else.
_NO_LINKS = files.RESOLVE_IN_ROOT | files.RESOLVE_NO_SYMLINKS | files.RESOLVE_NO_MAGICLINKS


class Successor(t.NamedTuple):
    """What comes in the place of a mount."""

    # Not settled: it has peers that it is to leave.
    tree: build.Tree
    # MOUNT_ATTR_* bits: its own, and those that the mounts below it get as well.
    attributes: int
    on_all: int
    # As a mount table has it: see Mount.propagation.
    propagation: str
    # What is mounted on the old one, and is to be on this one as well.
    carried: t.Sequence[Mount] = ()


def replace(
    view: TargetView, mount: Mount, successor: Successor, others: t.Sequence[Mount]
) -> None:
    """Put the successor in the place of ``mount``; who has files of that open keeps them.

    ``view`` is that of this process, ``others`` are mounts of other namespaces, of which none is to go
    with it: see peers.py. Where it fails, what was there is there. Raises KernelError, Refused.
    """
    path, tree = mount.path, successor.tree
    with contextlib.ExitStack() as stack, view.found(path) as top:
        if not _is_it(top, mount):
            if _shows_same(top.place, files.place_of(tree.fd)):
                return  # the mirror of one that got its successor: both are on peers
            raise Refused(
                f"another mount is on {path} by now", "Whoever mounted it says what is to be there."
            )
        carried = [
            stack.enter_context(_copied(view, each.path, tree.fd, each.path[len(path) :]))
            for each in successor.carried
        ]
        is_settled = _set_attributes(successor)
        if not _slide_beneath(view, top, path, tree, carried, others):
            back = _copy_of(view, top.fd, mount)
            stack.callback(os.close, back)
            with peers.parted(view, path, others, top.table):
                calls.umount(view.name(top.fd), flags=calls.MNT_DETACH)
            try:
                _move(view, tree.fd, path)
                _carry(carried)
            except BaseException:
                # What is on the path now is ours, or nothing.
                with contextlib.suppress(KernelError):
                    calls.umount(view.name(tree.fd), flags=calls.MNT_DETACH)
                _move(view, back, path)
                _set_kind(view, back, mount.propagation)
                raise
        if not is_settled:
            _set_classic_attributes(view, successor)
        _set_propagation(view, successor)


def _is_it(top: Found, mount: Mount) -> bool:
    """Whether that is the very mount. Its number alone may be that of a later one."""
    row = top.mount
    if row is None or not top.place.is_mount_root:
        return False
    return (row.id, row.device, row.root) == (mount.id, mount.device, mount.root)


def _shows_same(one: files.Place, other: files.Place) -> bool:
    return one.is_mount_root and (one.device, one.inode) == (other.device, other.inode)


def _copy_of(view: TargetView, fd: int, mount: Mount) -> int:
    """A detached copy of the mount, which is to go: it may be one of which there is none."""
    if mount.propagation == "unbindable":
        _set_kind(view, fd, "private")
    return detached.open_tree(fd, "", recursive=True)


class _Carried(t.NamedTuple):
    # A copy of a mount, and the place in the successor where it goes; both are open.
    tree: int
    place: int


@contextlib.contextmanager
def _copied(view: TargetView, path: str, tree: int, below: str) -> t.Iterator[_Carried]:
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(view.opened(path))
        place = open_place(tree, below)
        stack.callback(os.close, place)
        if resolve.is_directory(old) != resolve.is_directory(place):
            raise KernelError("move_mount", errno.ENOTDIR, {"path": path})
        copy = detached.open_tree(old, "", recursive=True)
        stack.callback(os.close, copy)
        yield _Carried(copy, place)


def open_place(root: int, path: str) -> int:
    """Open what the path names below the open ``root``, where no link leads. Raises KernelError."""
    return files.openat2(root, path.lstrip("/"), flags=os.O_PATH, resolve=_NO_LINKS)


def _carry(carried: t.Iterable[_Carried]) -> None:
    for each in carried:
        detached.move_mount(each.tree, each.place)


def _move(view: TargetView, tree: int, path: str) -> None:
    with view.opened(path) as place:
        detached.move_mount(tree, place)


def _slide_beneath(
    view: TargetView,
    top: Found,
    path: str,
    tree: build.Tree,
    carried: t.Sequence[_Carried],
    others: t.Sequence[Mount],
) -> bool:
    is_beneath = False
    try:
        # Without its peers meanwhile: the unmount would reach what is mounted on those.
        with peers.apart(tree.fd, tree.origin):
            detached.move_mount(tree.fd, top.fd, beneath=True)
            is_beneath = True
            # The old one still lies on it, and is what everybody sees until all is in its place.
            _carry(carried)
            with peers.parted(view, path, others, top.table):
                calls.umount(view.name(top.fd), flags=calls.MNT_DETACH)
    except KernelError as error:
        if is_beneath or error.errno not in _NOT_BENEATH:
            raise
    return is_beneath


def _set_attributes(successor: Successor) -> bool:
    """Set its attributes, so that nobody sees it without; False before Linux 5.12."""
    tree = successor.tree.fd
    try:
        if successor.on_all:
            detached.mount_setattr(tree, attr_set=successor.on_all, recursive=True)
        build.set_attributes(tree, successor.attributes)
    except KernelError as error:
        if error.errno == errno.ENOSYS:
            return False
        raise
    return True


def _set_classic_attributes(view: TargetView, successor: Successor) -> None:
    flags = calls.MS_REMOUNT | calls.MS_BIND
    number = files.place_of(successor.tree.fd).mount_id
    there = Table(view.mounts())
    for each in there.descendants(number) if successor.on_all else ():
        bits = options.attributes_of(each.flags) | successor.on_all
        with view.opened(each.path) as fd:
            if files.place_of(fd).mount_id == each.id:
                calls.mount("none", view.name(fd), flags=flags | options.classic_flags(bits))
    bits = options.classic_flags(successor.attributes)
    calls.mount("none", view.name(successor.tree.fd), flags=flags | bits)


def _set_propagation(view: TargetView, successor: Successor) -> None:
    if not successor.tree.settled:
        flags = calls.MS_REC | calls.MS_PRIVATE
        calls.mount("none", view.name(successor.tree.fd), flags=flags)
    _set_kind(view, successor.tree.fd, successor.propagation)


def _set_kind(view: TargetView, fd: int, propagation: str) -> None:
    """Give the mount the propagation: on one that is shared it has become shared (mount(2))."""
    kind = calls.PROPAGATION[propagation.partition(",")[0]]
    try:
        detached.mount_setattr(fd, propagation=kind)
    except KernelError as error:
        if error.errno != errno.ENOSYS:
            raise
        calls.mount("none", view.name(fd), flags=kind)
