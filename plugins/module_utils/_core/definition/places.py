# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which step of a definition is meant by a path, before and after pivots.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .layout import as_called_then, below, is_below
from .steps import PivotStep, Step

# (the index of a pivot in a list of steps, its new root as it was called when it became one)
Pivots = list[tuple[int, str]]


def pivots_of(steps: t.Sequence[Step], among: t.Collection[str] | None = None) -> Pivots:
    """The pivots in a list of steps, to the new roots ``among`` or to any."""
    found = [
        (index, step.new_root)
        for index, step in enumerate(steps)
        if isinstance(step, PivotStep) and (among is None or step.new_root in among)
    ]
    names = as_called_then(new_root for _index, new_root in found)
    return [(index, name) for (index, _new_root), name in zip(found, names)]


def name_after(path: str, index: int, pivots: Pivots) -> tuple[str, int | None]:
    """What the ``path`` of the step at ``index`` is called after these pivots.

    With it the index of the pivot that has put it out of reach, or None: what lies outside of a
    new root when that becomes the root is gone with the old one.
    """
    for position, new_root in pivots:
        if is_below(path, new_root):
            path = below(path, new_root)
        elif index < position:
            return path, position
    return path, None


class Places:
    """The places of an ordered list of steps, as they are called after all of its pivots.

    Two steps that do the same at one place are one step that was changed.
    """

    def __init__(self, steps: t.Sequence[Step]) -> None:
        self._pivots = pivots_of(steps)
        self._indexes: dict[tuple[str, str], int] = {}
        for index, step in enumerate(steps):
            self._indexes.setdefault(self._key(*step.key(), index), index)
        self._end = len(steps)
        self._steps = steps

    def index(self, do: str, path: str) -> int | None:
        """The index of the step that does this at the place that ``path`` names at the end."""
        return self._indexes.get(self._key(do, path, self._end))

    def below(self, path: str) -> list[int]:
        """The indexes of the steps, but for pivots, at the place that ``path`` names, or below."""
        top, _gone_with = name_after(path, self._end, self._pivots)
        found = []
        for index, step in enumerate(self._steps):
            name, gone_with = name_after(step.path, index, self._pivots)
            if gone_with is None and is_below(name, top) and not isinstance(step, PivotStep):
                found.append(index)
        return found

    def _key(self, do: str, path: str, index: int) -> tuple[str, str]:
        if do == PivotStep.do:
            return do, path
        name, gone_with = name_after(path, index, self._pivots)
        return do, name if gone_with is None else f"before pivot {gone_with}: {name}"
