# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Text in columns, and in lines, that fit the terminal.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import textwrap
import typing as t

from ..printable import Shown, printable
from . import screen

# No column is cut to less, and no text that is wrapped.
_LEAST, _LEAST_TEXT = 8, 20
_CUT = "…"
_GAP = "  "


def columns(
    rows: t.Sequence[t.Sequence[str]],
    *,
    indent: str = "",
    beside: int = 0,
    has_titles: bool = False,
) -> list[Shown]:
    """A line for each row, its cells below each other; states have their colours.

    Where they are wider than the terminal the widest column is cut, and then the next. ``beside`` is how much
    of that something else takes. With titles the first row is of them.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    if not cells:
        return []
    widths = [max(map(len, column)) for column in zip(*cells)]
    room = screen.width()
    while room and beside + len(indent) + sum(widths) + len(_GAP) * (len(widths) - 1) > room:
        widest = widths.index(max(widths))
        if widths[widest] <= _LEAST:
            break
        widths[widest] -= 1
    lines = []
    for number, row in enumerate(cells):
        is_title = has_titles and number == 0
        fitted = [_fitted(cell, size) for cell, size in zip(row, widths)]
        while len(fitted) > 1 and not fitted[-1].strip():
            fitted.pop()
        fitted[-1] = fitted[-1].rstrip()
        shown = [screen.heading(cell) if is_title else screen.painted(cell) for cell in fitted]
        lines.append(Shown(indent + _GAP.join(shown)))
    return lines


def _fitted(cell: str, size: int) -> str:
    return cell.ljust(size) if len(cell) <= size else cell[: size - 1] + _CUT


def fitted(text: str) -> Shown:
    """A text in one line, cut where it does not fit."""
    shown, room = printable(text), screen.width()
    return Shown(_fitted(shown, room) if 0 < room < len(shown) else shown)


def wrapped(text: str, *, indent: str = "", beside: int = 0) -> list[Shown]:
    """A text in lines that fit; in one where any do. ``beside`` is as for columns()."""
    shown, room = printable(text), screen.width()
    if not room:
        return [Shown(indent + shown)]
    lines = textwrap.wrap(
        shown,
        max(room - beside, len(indent) + _LEAST_TEXT),
        initial_indent=indent,
        subsequent_indent=indent,
    )
    return [Shown(line) for line in lines]
