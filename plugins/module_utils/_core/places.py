# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which recorded steps are about the same place, whatever it was called when.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .layout import is_below

Step = dict[str, t.Any]


def path_of(step: Step) -> str:
    """The path that a step is about, as it was given."""
    return str(step["new_root"] if step["do"] == "pivot" else step["path"])


class Places:
    """The places of an ordered list of steps, as they are called after all of its pivots.

    Two steps that do the same at one place are one step that was changed. A pivot is known by
    its new root alone.
    """

    def __init__(self, steps: t.Sequence[Step]) -> None:
        self._pivots = [
            (index, str(step["new_root"]))
            for index, step in enumerate(steps)
            if step["do"] == "pivot"
        ]
        self._indexes: dict[tuple[str, str], int] = {}
        for index, step in enumerate(steps):
            self._indexes.setdefault(self._key(step["do"], path_of(step), index), index)
        self._end = len(steps)

    def index(self, do: str, path: str) -> int | None:
        """The index of the step that does this at the place that ``path`` names at the end."""
        return self._indexes.get(self._key(do, path, self._end))

    def _key(self, do: str, path: str, index: int) -> tuple[str, str]:
        return do, path if do == "pivot" else self._final(path, index)

    def _final(self, path: str, index: int) -> str:
        for position, new_root in self._pivots:
            if is_below(path, new_root):
                path = path[len(new_root) :] or "/"
            elif index < position:
                # What lies outside of a new root when it becomes the root is gone with the old.
                return f"before pivot {position}: {path}"
        return path
