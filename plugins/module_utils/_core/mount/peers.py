# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Keeping a change of one mount from reaching others by its peer group.

An unmount reaches every peer and slave of the mount that the one taken away was on: what is mounted at
the same place of those goes as well, whatever it is (sharedsubtree.rst of the kernel, umount
semantics). That is meant for the mirrors of a place in other namespaces. A bind has peers that are no
mirrors: its source, and other binds of that.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..syscalls import detached, files, mounts
from . import resolve
from .table import Mount, Table

if t.TYPE_CHECKING:
    from .view import TargetView


def group_of(mount: Mount) -> str:
    """The peer group that the mount shares what is mounted on it with; empty for none."""
    return next((peer for peer in mount.peers if peer.startswith("shared:")), "")


def reach_elsewhere(top: Mount, there: Table, others: t.Iterable[Mount]) -> bool:
    """Whether taking away what is mounted below ``top`` would take away mounts of other places.

    ``there`` is the table that it is in, ``others`` are mounts of other namespaces. Those at the same
    path of a peer of what ``top`` is on are its mirrors, and meant. Pure.
    """
    tree = [top, *there.descendants(top.id)]
    ids = {mount.id for mount in tree}
    above = {mount.parent for mount in tree}
    on_them = {group_of(mount): mount.path for mount in tree if mount.id in above}
    on_them.pop("", None)
    if not on_them:
        return False
    parent = there.by_id.get(top.parent)
    is_mirrored = parent is not None and bool(group_of(parent))
    return any(
        group_of(mount) in on_them
        and mount.id not in ids
        and not (is_mirrored and mount.path == on_them[group_of(mount)])
        for mount in (*there.mounts, *others)
    )


@contextlib.contextmanager
def apart(tree: int, origin: int) -> t.Iterator[None]:
    """The mount ``tree`` leaves its peer group for the block, in which it is attached, and is in it
    again after it.

    ``origin`` is a copy that stays in it, or -1 where it is in none. Raises KernelError.
    """
    if origin < 0:
        yield
        return
    detached.mount_setattr(tree, propagation=mounts.MS_PRIVATE)
    try:
        yield
    finally:
        # On a mount that is shared it has become so too, in a group of its own.
        detached.mount_setattr(tree, propagation=mounts.MS_PRIVATE)
        detached.set_group(origin, tree)


@contextlib.contextmanager
def parted(
    view: TargetView, path: str, others: t.Sequence[Mount], there: Table | None = None
) -> t.Iterator[None]:
    """The mount on the path, and what is below it, are taken away in the block.

    So that this takes away nothing elsewhere, they leave their peer groups where that is needed. What
    is still there when the block fails is in its group again, from Linux 5.15 on. ``others`` are the
    mounts of the host, ``there`` is a table of the target that may be older. Raises KernelError,
    Refused.
    """
    with view.opened(path) as top:
        number = files.place_of(top).mount_id
        if there is None or number not in there.by_id:
            there = Table(view.mounts())
        mount = there.by_id.get(number)
        copy = -1
        if mount is not None and reach_elsewhere(mount, there, others):
            copy = detached.open_tree(top, "", recursive=True)
            view.part(top)
    # An open file of a mount keeps it busy.
    try:
        yield
    except BaseException:
        if copy >= 0 and mount is not None:
            for each in (mount, *there.descendants(mount.id)):
                with contextlib.suppress(OSError):
                    _join_again(view, copy, each, mount.path)
        raise
    finally:
        if copy >= 0:
            os.close(copy)


def _join_again(view: TargetView, copy: int, mount: Mount, above: str) -> None:
    if not mount.peers:
        return
    below = mount.path[len(above.rstrip("/")) :] or "/"
    with (
        resolve.opened_in(view.root, mount.path) as now,
        resolve.opened_in(copy, below) as before,
    ):
        if files.place_of(now).mount_id == mount.id:
            detached.set_group(before, now)
