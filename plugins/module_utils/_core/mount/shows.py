# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which mounts of one mount table show what is mounted in another one, and of which path there.

A bind has no memory of where it was made from: the kernel tells the file system and the part of it
that a mount shows, and the same is mounted somewhere in the other namespace.
Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..definition.layout import below, is_below
from ..syscalls import mounts as calls
from . import options
from .table import Mount, Table, reachable

# Each mount of these is a file system of its own. What lies on another one may be the host's as well.
_INSTANCES = ("tmpfs", "ramfs", "overlay", "proc", "devpts")
_RESTRICTIONS = (
    calls.MOUNT_ATTR_RDONLY
    | calls.MOUNT_ATTR_NOSUID
    | calls.MOUNT_ATTR_NODEV
    | calls.MOUNT_ATTR_NOEXEC
    | calls.MOUNT_ATTR_NOSYMFOLLOW
)


class Shown(t.NamedTuple):
    """A mount of the host, and what it shows of a namespace."""

    host: Mount
    # The mount inside that this is a part of.
    inside: Mount
    # What is shown, as it is called inside.
    path: str


def own_of(rows: t.Sequence[Mount], root: int, bound: t.Collection[str]) -> list[Mount]:
    """The mounts of a namespace's table with file systems of its own, its root first.

    ``root`` is the id of the mount on its root, ``bound`` the paths inside where something of the host
    is bound: a mount of the host that shows the same is the host's own.
    """
    return [
        *(row for row in rows if row.id == root),
        *(
            row
            for row in reachable(rows)
            if row.id != root
            and row.fstype in _INSTANCES
            and not any(is_below(row.path, path) for path in bound)
        ),
    ]


def shown(host: Mount, own: t.Sequence[Mount]) -> list[Shown]:
    """What the mount shows of these, of which the first is the root: more than one where it is not clear.

    What the root has is called as it is there, whatever else inside is a bind of that.
    """
    found: dict[str, Shown] = {}
    for inside in own:
        if host.device == inside.device and is_below(host.root, inside.root):
            name = inside.path.rstrip("/") + below(host.root, inside.root)
            path = name.rstrip("/") or "/"
            found.setdefault(path, Shown(host, inside, path))
            if inside is own[0]:
                break
    return list(found.values())


def came_with(what: Shown, there: Table, rows: t.Sequence[Mount]) -> list[Mount]:
    """The mounts below it in the host's table ``there`` that came with it from inside (rbind).

    ``rows`` is the table of the namespace.
    """
    inside = {(row.device, row.root, row.path) for row in rows}
    return [
        each
        for each in there.descendants(what.host.id)
        if (each.device, each.root, _path_inside(what, each)) in inside
    ]


def others_on(what: Shown, there: Table, rows: t.Sequence[Mount]) -> list[Mount]:
    """The mounts on it, or on what came with it, that did not: what the host mounted there."""
    came = {what.host.id, *(each.id for each in came_with(what, there, rows))}
    found = [each for each in there.descendants(what.host.id) if each.id not in came]
    return [each for each in found if each.parent in came]


def _path_inside(what: Shown, each: Mount) -> str:
    name = what.path.rstrip("/") + below(each.path, what.host.path)
    return name.rstrip("/") or "/"


def attributes(what: Shown, now: int) -> int:
    """The MOUNT_ATTR_* bits for what takes its place.

    ``now`` are those of the mount inside that it is made of. They are as they were on the host; what the
    inside forbids itself now and did not before is forbidden there as well.
    """
    host, before = options.attributes_of(what.host.flags), options.attributes_of(what.inside.flags)
    return host | (now & ~before & _RESTRICTIONS)


def common_restrictions(mounted: t.Iterable[Mount]) -> int:
    """The MOUNT_ATTR_* bits that forbid something on each of these."""
    bits = _RESTRICTIONS
    for each in mounted:
        bits &= options.attributes_of(each.flags)
    return bits
