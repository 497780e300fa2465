# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The definition of a named namespace: its properties, and the ordered list of its steps.

It is to a named namespace what /etc/fstab is to the host's mounts. Pure: file.py keeps it.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import itertools
import typing as t

from ..values import Value
from .host_files import HostFile
from .layout import Layout, PivotNote
from .places import Places, name_after, pivots_of
from .properties import Properties
from .root import OwnRoot
from .steps import MountStep, PivotStep, Step

if t.TYPE_CHECKING:
    from .link import Link

# What becomes of the step at a place: another one, or with None nothing.
Change = tuple[str, str, t.Optional[Step]]

# What is missing of a namespace whose interfaces are not there yet; beside the titles of its steps.
LINKS = "the interfaces"


class Definition(Value):
    """What a named namespace should be."""

    __slots__ = (
        "files",
        "links",
        "missing",
        "name",
        "own_root",
        "persistent",
        "pivoted",
        "properties",
        "steps",
        "volatile",
    )

    def __init__(
        self,
        name: str,
        properties: Properties | None = None,
        persistent: bool = True,
        steps: tuple[Step, ...] = (),
        volatile: tuple[Step, ...] = (),
        pivoted: tuple[PivotNote, ...] = (),
        missing: tuple[str, ...] = (),
        own_root: OwnRoot | None = None,
        files: tuple[HostFile, ...] = (),
        links: tuple[Link, ...] = (),
    ) -> None:
        self.name = name
        self.properties = properties or Properties()
        # Whether it is there again after a reboot.
        self.persistent = persistent
        self.steps = steps
        # Steps that are true until the namespace ends.
        self.volatile = volatile
        # The pivots that were begun in the namespace that lives now.
        self.pivoted = pivoted
        # The titles of the steps that were not taken yet in it, and LINKS.
        self.missing = missing
        # How ns_definition gave it a root: the steps follow from that.
        self.own_root = own_root
        # What ns_definition has written on the host for it.
        self.files = files
        # The interfaces of its network namespace.
        self.links = links

    def awaiting_links(self) -> Definition:
        """The same while its interfaces, where it has any, are not there."""
        if not self.links:
            return self
        left = tuple(title for title in self.missing if title != LINKS)
        return self.replace(missing=(*left, LINKS))

    @property
    def needed(self) -> set[str]:
        """The names of those that it has kinds of, or that have an end of its interfaces."""
        owners = {link.owner for link in self.links} - {"", self.name}
        return {*self.properties.share.values()} | owners

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """The steps that last, and after them those that do not."""
        return self.steps + self.volatile

    @property
    def layout(self) -> Layout:
        """What was done to the namespace's tree; view.TargetView settles which pivots were done.

        Mounts count until the first pivot: what is mounted later has names that belong to the
        new root, where nothing has to be told apart from the host's any more.
        """
        before = itertools.takewhile(lambda step: not isinstance(step, PivotStep), self.steps)
        first = itertools.chain(before, self.volatile)
        return Layout(
            mounted=frozenset(each.path for each in first if isinstance(each, MountStep)),
            noted=self.pivoted,
        )

    def within_reach(self, pivoted: t.Collection[str]) -> list[Step]:
        """The steps whose places can still be reached after the pivots to these new roots.

        What was mounted outside of a new root went with the old one.
        """
        every = self.all_steps
        pivots = pivots_of(every, pivoted)
        return [
            step
            for index, step in enumerate(every)
            if isinstance(step, PivotStep) or name_after(step.path, index, pivots)[1] is None
        ]

    def find(self, do: str, path: str) -> Step | None:
        """The step of the kind ``do`` at the place that ``path`` names now, or None."""
        return self.find_all(do, [path])[0]

    def find_all(self, do: str, named: t.Iterable[str]) -> list[Step | None]:
        """What find() answers for each of these paths."""
        every = self.all_steps
        places = Places(every)
        indexes = [places.index(do, path) for path in named]
        return [None if index is None else every[index] for index in indexes]

    def gone_with(
        self, unmounted: t.Iterable[str], *, exclusive_below: str, named: t.Collection[str]
    ) -> list[Step]:
        """The steps that have gone where these paths were ``unmounted``.

        That is what was made on them, so later than they. With ``exclusive_below`` the mounts below
        that count as unmounted. The mounts at the ``named`` paths are not among them.
        """
        every = self.all_steps
        places = Places(every)
        by_name = {places.index(MountStep.do, path) for path in named}
        found = [places.index(MountStep.do, path) for path in unmounted]
        lowest = {index for index in found if index is not None}
        if exclusive_below:
            top = places.index(MountStep.do, exclusive_below)
            below = set(places.below(exclusive_below)) - by_name - {top}
            lowest |= {index for index in below if isinstance(every[index], MountStep)}
        gone = lowest - by_name
        for index in lowest:
            # Those that last come first in the list, whenever they were mounted.
            earliest = index if index < len(self.steps) else 0
            on_it = places.below(every[index].path)
            gone |= {each for each in on_it if each >= earliest and each != index} - by_name
        return [every[index] for index in sorted(gone)]

    def steps_differ(self, other: Definition) -> bool:
        """Whether the two have other steps, or other ones that outlive a reboot."""
        return (self.steps, self.volatile) != (other.steps, other.volatile)

    def lasting(self) -> t.Callable[[Step], bool]:
        """What answers whether a very step of this is one of those that outlive a reboot."""
        kept = {id(step) for step in self.steps}
        return lambda step: id(step) in kept

    def with_step(self, step: Step, *, persistent: bool) -> Definition:
        """This definition with the step: in its old place when it changes one, else last."""
        return self.with_changes([(*step.key(), step)], persistent=persistent)

    def without_step(self, do: str, path: str) -> Definition:
        """This definition without the step at that place."""
        return self.with_changes([(do, path, None)], persistent=True)

    def with_changes(self, changes: t.Iterable[Change], *, persistent: bool) -> Definition:
        """This definition with many steps set or removed.

        What changes a step stands in its old place, under the path that it has there: before a
        pivot another one would name another place. What is new comes last, in this order.
        All of them are taken then, and none is missing any more.
        """
        lasts = persistent and self.persistent
        every = [(step, index < len(self.steps)) for index, step in enumerate(self.all_steps)]
        places = Places([step for step, _lasts in every])
        removed = set()
        missing = set(self.missing)
        added: list[tuple[Step, bool]] = []
        for do, path, new in changes:
            index = places.index(do, path)
            if index is not None:
                missing.discard(every[index][0].title)
            if new is not None and index is not None and every[index][1] == lasts:
                there = every[index][0].path
                if not isinstance(new, PivotStep) and new.path != there:
                    new = new.replace(path=there)
                every[index] = (new, lasts)
                continue
            if index is not None:
                removed.add(index)
            if new is not None:
                added.append((new, lasts))
        left = [pair for index, pair in enumerate(every) if index not in removed] + added
        return self.replace(
            steps=tuple(step for step, is_kept in left if is_kept),
            volatile=tuple(step for step, is_kept in left if not is_kept),
            missing=tuple(title for title in self.missing if title in missing),
        )
