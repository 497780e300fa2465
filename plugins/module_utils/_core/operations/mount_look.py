# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What there is for the mounts that are wanted: on the host, and in the target.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import functools
import typing as t

from ..definition.layout import Layout, is_below
from ..errors import KernelError, Refused, StepFailed
from ..mount import observe
from ..mount import sources as of_mounts
from ..mount.compare import Observed, Source
from ..mount.table import Mount, Table, paths_by_device
from ..mount.view import TargetView
from ..mount.wanted import WantedMount, surplus_below
from ..patience import Changing

if t.TYPE_CHECKING:
    from .mount_meanings import Notes
    from .session import Session


class Seen(t.NamedTuple):
    """What was found in the target."""

    # At the place of each wanted mount.
    observed: list[Observed]
    # Of binds, images and overlays, by the index of the mount.
    sources: dict[int, Source]
    # Paths of mounts that nobody asked for, below exclusive_below.
    surplus: list[str]
    # What was done to the target's tree.
    layout: Layout


def looked_up(wanted: t.Iterable[WantedMount], *, may_be_missing: bool) -> tuple[WantedMount, ...]:
    """The mounts with what has to be asked of the host: see mount/lookup.py. Raises Refused."""
    mounts = tuple(wanted)
    if not any(mount.is_open for mount in mounts):
        return mounts
    # It runs a program; for who leaves a device or a type open.
    from ..mount import lookup

    return tuple(
        lookup.looked_up(mount, may_be_missing=may_be_missing) if mount.is_open else mount
        for mount in mounts
    )


class Unseen(Exception):
    """The place of the wanted mount at this index could not be looked at: (error, index)."""


def seen(
    wanted: t.Sequence[WantedMount],
    exclusive_below: str,
    opened: Session,
    sources: dict[int, Source],
    host_mounts: t.Sequence[Mount],
    notes: Notes,
) -> Seen:
    """What is in the target now; ``sources`` are those on the host.

    ``host_mounts`` are the host's mounts, ``notes`` what is noted of those in the target. Raises
    Refused, StepFailed.
    """
    if opened.is_to_come:
        places = [_to_come(sources.get(index)) for index in range(len(wanted))]
        return Seen(places, sources, [], opened.layout)
    # File systems that the host has mounted as well.
    host_devices = {} if opened.target.is_host else paths_by_device(host_mounts)
    looked = functools.partial(
        look,
        wanted=wanted,
        exclusive_below=exclusive_below,
        sources=sources,
        host_devices=host_devices,
        own_kinds=opened.handles.kinds,
        notes=notes,
    )
    try:
        found: Seen = opened.call(looked)
        return found
    except Unseen as unseen:
        error, index = unseen.args
        mount = wanted[index]
        # 4 ms to compile, for a failure.
        from ..mount.explain import mount as explain

        reason, hint = opened.call(lambda view: explain.mount(error, view, mount))
        raise StepFailed(f"look at {mount.path}", error, reason, hint) from unseen


def look(
    view: TargetView,
    *,
    wanted: t.Sequence[WantedMount],
    exclusive_below: str,
    sources: dict[int, Source],
    host_devices: t.Mapping[str, t.Collection[str]],
    own_kinds: t.Container[str],
    notes: Notes,
) -> Seen:
    """Look, in the process that has joined the target. Raises Refused, Unseen."""
    there = Table(view.mounts())
    places: list[Observed] = []
    for index, mount in enumerate(wanted):
        try:
            place = observe.observe(
                view, mount, there, host_devices=host_devices, own_kinds=own_kinds
            )
        except KernelError as error:
            raise Unseen(error, index) from error
        except Refused as error:
            _check_order(wanted, index)
            if not places or isinstance(error, Changing):
                raise
            place = _to_come(sources.get(index))  # below a mount that this very list makes
        if place.mount is not None:
            place = place._replace(meaning=notes.get((place.unique, place.mount.id)))
        places.append(place)
        found = of_mounts.inside(view, mount, there.by_id)
        if found is not None:
            sources[index] = found
    return Seen(places, sources, _surplus(view, there, wanted, exclusive_below), view.layout)


def _to_come(source: Source | None) -> Observed:
    """The place of a mount that cannot be seen yet: one that fits."""
    return Observed(exists=True, is_directory=source is None or source.is_directory)


def _check_order(wanted: t.Sequence[WantedMount], index: int) -> None:
    """Raises Refused where a later mount of the list is what the mount at ``index`` lies below."""
    path = wanted[index].path
    for later in wanted[index + 1 :]:
        if later.state == "mounted" and is_below(path, later.path):
            raise Refused(
                f"{path} lies below {later.path}, which is mounted after it in this list",
                f"Name {later.path} before it.",
            )


def _surplus(
    view: TargetView, there: Table, wanted: t.Sequence[WantedMount], exclusive_below: str
) -> list[str]:
    """The mounts below exclusive_below that were not asked for, deepest first."""
    if not exclusive_below:
        return []
    try:
        with view.found(exclusive_below, there) as found:
            # What a later mount hides has a path below it too, but cannot be reached any more.
            reachable = [mount.path for mount in found.table.descendants(found.place.mount_id)]
    except Changing:
        raise
    except (KernelError, Refused) as error:
        if isinstance(error, Refused) or error.errno in (errno.ENOENT, errno.ENOTDIR):
            return []  # this very list makes it, or nobody does
        raise
    return surplus_below(reachable, exclusive_below, wanted, view.layout)
