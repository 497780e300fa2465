# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The mounts that hold a part of a file system, and how each came to be where it is.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .. import redact
from ..definition.layout import is_below
from ..mount.table import Mount, Table
from .holders_spaces import Space
from .holders_subject import REMOVED, Part, Subject

# How a mount came to be where it is.
HOST = "host"  # it is the host's own
COPY = "copy"  # it came along when the namespace was made
PROPAGATED = "propagated"  # mounts travel between it and another namespace
BIND = "bind"  # a directory or file, bound
MOUNT = "mount"  # the file system itself


class Holding(t.NamedTuple):
    """A mount that holds what was asked about."""

    space: Space
    mount: Mount
    # HOST, COPY, PROPAGATED, BIND, MOUNT.
    how: str
    # The same for people, with what it is a mount of.
    origin: str
    # Whether it goes with the same mount of the host, when that is unmounted there.
    follows: bool
    # Those that are mounted on it, directly.
    on_top: tuple[Mount, ...]


class Known(t.NamedTuple):
    """What is known of a named namespace beside its mounts."""

    # The numbers of the mounts that came along when it was made; None where that cannot be told.
    came_along: frozenset[int] | None = None
    # The paths at which its definition mounts something.
    steps: frozenset[str] = frozenset()


def of(
    subject: Subject,
    spaces: t.Sequence[Space],
    shown: t.Container[int],
    known: t.Mapping[int, Known],
) -> list[Holding]:
    """The mounts that hold it, whose numbers are ``shown``, those of the host first.

    ``known`` is by the ids of namespaces.
    """
    host = spaces[0]
    host_table = Table(host.mounts)
    groups = _groups(spaces)
    found = []
    for space in spaces:
        mounts = [each for each in space.mounts if each.id in shown]
        there = Table(space.mounts) if mounts else host_table
        for mount in mounts:
            twin = _twin(mount, host) if not space.is_host else None
            follows = twin is not None and _follows(twin, host_table, mount, there)
            own = known.get(space.id, Known())
            how, why = _way(mount, space, groups, own, has_twin=twin is not None, follows=follows)
            what = _what(mount, host, subject)
            found.append(
                Holding(
                    space,
                    mount,
                    how,
                    f"{what}{why}",
                    follows,
                    tuple(each for each in there.mounts if _is_on(each, mount)),
                )
            )
    return found


def mounted_below(
    subject: Subject, spaces: t.Iterable[Space], shown: t.Container[int]
) -> list[tuple[Space, Mount]]:
    """What is mounted in it by way of a mount that shows more than it."""
    found = []
    for space in spaces:
        for mount in space.mounts:
            within = "" if mount.id in shown else subject.within(mount)
            if within:
                found += [
                    (space, each)
                    for each in space.mounts
                    if each.id not in shown and _is_on(each, mount) and is_below(each.path, within)
                ]
    return found


def elsewhere_at(subject: Subject, spaces: t.Iterable[Space]) -> tuple[Part, ...]:
    """What namespaces but the host's have mounted at its path, of whatever file system.

    Also what has a source there that is nowhere else any more.
    """
    found = {
        Part(mount.device, mount.root)
        for space in spaces
        for mount in space.mounts
        if (not space.is_host and mount.path == subject.real)
        or (subject.kind == "absent" and _comes_from(mount, subject.path))
    }
    return tuple(sorted(found))


def _comes_from(mount: Mount, path: str) -> bool:
    return mount.src.startswith("/") and is_below(mount.src, path)


def title(space: Space) -> str:
    """What a namespace is called in a sentence."""
    if space.is_host:
        return "the host"
    if space.name:
        return f"namespace {space.name}"
    where = f"process {space.pid}" if space.pid else ", ".join(space.pins)
    return f"the mount namespace of {where}" if where else f"the mount namespace {space.id}"


def inside(space: Space) -> str:
    """Where something is that is in the namespace."""
    return "on the host" if space.is_host else f"in {title(space)}"


def source_of(part: Part, host: Space) -> str:
    """The path of the host at which this part of a file system is; empty for none.

    Of several that of the mount that shows the least else.
    """
    paths = []
    for mount in host.mounts:
        if mount.device == part.device and is_below(part.root, mount.root):
            rest = part.root[len(mount.root.rstrip("/")) :]
            paths.append((len(rest), mount.path.rstrip("/") + rest or "/"))
    return min(paths)[1] if paths else ""


def _is_on(upper: Mount, mount: Mount) -> bool:
    return upper.parent == mount.id and upper.id != mount.id


def _twin(mount: Mount, host: Space) -> Mount | None:
    """The mount of the host at the same path that shows the same."""
    key = (mount.device, mount.root, mount.path)
    twins = [each for each in host.mounts if (each.device, each.root, each.path) == key]
    return twins[-1] if twins else None


def _follows(twin: Mount, host: Table, mount: Mount, there: Table) -> bool:
    """Whether unmounting the one takes the other away: what both are on is shared, or a slave."""
    above, own = host.by_id.get(twin.parent), there.by_id.get(mount.parent)
    if above is None or own is None:
        return False
    groups = {_number(peer) for peer in above.peers if peer.startswith("shared:")}
    return any(
        _number(peer) in groups for peer in own.peers if peer.startswith(("shared:", "master:"))
    )


def _number(peer: str) -> str:
    return peer.partition(":")[2]


def _groups(spaces: t.Iterable[Space]) -> dict[str, tuple[Space, Mount]]:
    """A mount of each peer group, one of the host where it has one."""
    found: dict[str, tuple[Space, Mount]] = {}
    for space in spaces:
        for mount in space.mounts:
            for peer in mount.peers:
                if peer.startswith("shared:"):
                    found.setdefault(_number(peer), (space, mount))
    return found


def _way(
    mount: Mount,
    space: Space,
    groups: t.Mapping[str, tuple[Space, Mount]],
    known: Known,
    *,
    has_twin: bool,
    follows: bool,
) -> tuple[str, str]:
    if space.is_host:
        return HOST, ""
    links = []
    for peer in mount.peers:
        other = groups.get(_number(peer))
        if other is None or other[0].id == space.id:
            continue
        relation = "shares" if peer.startswith("shared:") else "is a slave of"
        links.append(
            f"it {relation} peer group {_number(peer)} with {other[1].path} of {title(other[0])}"
        )
    linked = "".join(f"; {each}" for each in links)
    if mount.path in known.steps:
        return BIND if mount.root != "/" else MOUNT, f", as its definition says{linked}"
    came_along = known.came_along is not None and mount.id in known.came_along
    if came_along or (known.came_along is None and has_twin and not links):
        private = "" if links or follows else "; what the host unmounts stays mounted here"
        return COPY, f", a copy that came along when the namespace was made{linked or private}"
    if links:
        return PROPAGATED, f", which came by propagation{linked}"
    return BIND if mount.root != "/" else MOUNT, ""


def _what(mount: Mount, host: Space, subject: Subject) -> str:
    source = redact.address(mount.src)
    if mount.device in subject.devices and mount.root == "/":
        device = subject.devices[mount.device]
        image = f", which shows {subject.real}" if subject.kind == "file" else ""
        return f"{mount.fstype} of {device}{image}"
    if not mount.root.startswith("/"):  # as those of the files of namespaces
        return f"a bind of {mount.root}"
    if mount.root == "/":
        return f"{mount.fstype} of {source}" if source.startswith("/") else mount.fstype
    if mount.root.endswith(REMOVED):
        return f"a bind of {mount.root[: -len(REMOVED)]}, which was removed since"
    there = source_of(Part(mount.device, mount.root), host)
    if there and there != mount.path:
        return f"a bind of {there}"
    return f"a bind of {mount.root} on {source} ({mount.fstype})"
