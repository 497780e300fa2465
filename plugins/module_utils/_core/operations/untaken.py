# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which steps of a definition are not, or no longer, taken in the namespace that lives.

The kernel's list of its mounts answers for almost all, without entering the namespace: no path is
walked, which could lead into a file system that does not answer. Where that leaves a doubt, the
module of the step is asked inside, as `nsctl up` does.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from ..definition.layout import Layout
from ..definition.model import Definition
from ..definition.steps import MountStep, PivotStep, Step
from ..mount import table
from ..mount.table import Mount
from ..mount.wanted import WantedMount
from ..namespace import pins
from ..syscalls import files, statmount
from . import inside


class Seen(t.NamedTuple):
    """What shows of a namespace from outside."""

    # The new root that it was pivoted to last; "/" for none.
    root: str
    # The steps within reach of which nothing shows, and which so may be missing.
    doubtful: list[Step]


def seen(definition: Definition, *, enters: bool) -> Seen | None:
    """What shows of a namespace that has a pinned mount namespace.

    None where it has to be entered for that (before Linux 6.11), unless it is to be. Raises Refused,
    KernelError, OSError.
    """
    found = _from_outside(definition)
    if found is None and enters:
        found = _from_inside(definition)
    if found is None:
        return None
    pivoted, there, own = found
    layout = Layout(pivoted=pivoted)
    within = [step for step in definition.within_reach(pivoted) if not step.only_if_asked]
    doubtful = [step for step in within if not _shows(step, layout, there, own)]
    return Seen(pivoted[-1] if pivoted else "/", doubtful)


# The new roots that it was pivoted to, the visible mounts by their paths, and the ids of those that did
# not come with the copy of the host's.
_Found = tuple[tuple[str, ...], t.Mapping[str, Mount], t.Container[int]]


def _from_outside(definition: Definition) -> _Found | None:
    pin = os.open(pins.path_now(definition.name, "mnt"), os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = statmount.mounts_of(pin)
        newest = files.unique_mount_id(pin)  # of those that were there when it was made
    finally:
        os.close(pin)
    if found is None:
        return None
    there = _by_path(_mount_of(each) for each in found)
    top = there.get("/")
    root = next((each.id for each in found if top is not None and each.listed == top.id), None)
    if root is None:
        return None
    own = {each.listed for each in found if each.id > newest}
    return definition.layout.settled(root).pivoted, there, own


def _from_inside(definition: Definition) -> _Found | None:
    view = inside.look(definition)
    if view is None:
        return None
    host = {(mount.path, mount.device, mount.root) for mount in table.read()}
    own = {mount.id for mount in view.mounts if (mount.path, mount.device, mount.root) not in host}
    return view.pivoted, _by_path(view.mounts), own


def _by_path(mounts: t.Iterable[Mount]) -> dict[str, Mount]:
    return {mount.path: mount for mount in table.reachable(list(mounts))}


def _mount_of(found: statmount.Mounted) -> Mount:
    return Mount(
        id=found.listed,
        parent=found.parent,
        device=found.device,
        root=os.fsdecode(found.root),
        path=os.fsdecode(found.path),
        flags=(),
        peers=(),
        fstype=os.fsdecode(found.fstype),
        src="",
        options=(),
    )


def _shows(step: Step, layout: Layout, there: t.Mapping[str, Mount], own: t.Container[int]) -> bool:
    if isinstance(step, PivotStep):
        return step.new_root in layout.pivoted
    mount = there.get(layout.now(step.path))
    if not isinstance(step, MountStep):
        return mount is not None and mount.path == "/"  # a root that is the root is there
    if mount is None or mount.id not in own:  # or its path leads to the mount by a link
        return False
    wanted = WantedMount.of(step)
    return wanted.options.bind or wanted.has_open_type or mount.fstype == step.fstype
