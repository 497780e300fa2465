# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The terminal that reads what nsctl writes: how wide it is, and whether it shows colours.

What no terminal reads is as wide as it comes, without colours.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import sys

from ..facts import states
from ..printable import Shown, printable

# Select Graphic Rendition (console_codes(4)): the colours that any palette has, for light and dark.
_BAD, _DOUBTFUL, _GOOD, _QUIET, _STRONG = "31", "33", "32", "2", "1"
_OF_WORDS = {
    states.FAILED: _BAD,
    "missing": _BAD,
    "differs": _BAD,
    states.PARTIAL: _DOUBTFUL,
    "surplus": _DOUBTFUL,
    "limited": _DOUBTFUL,
    states.UP: _GOOD,
    "started": _GOOD,
    "ok": _GOOD,
    states.DOWN: _QUIET,
    "left out": _QUIET,
    "stopped": _QUIET,
    "unknown": _QUIET,
}


def width() -> int:
    """How many columns a line may have; 0 for any number. COLUMNS says it of a terminal where it is set."""
    if not _is_terminal():
        return 0
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit():
        return int(given)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except OSError:
        return 0


def has_colours() -> bool:
    """Whether colours are wanted, and shown (no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return _is_terminal()


def _is_terminal() -> bool:
    try:
        return sys.stdout.isatty()
    except (AttributeError, ValueError):  # it is closed
        return False


def painted(text: str) -> Shown:
    """The text, in the colour of the state that it names, where it names one."""
    shown = printable(text)
    return _in(_OF_WORDS[text.strip()], shown) if text.strip() in _OF_WORDS else Shown(shown)


def heading(text: str) -> Shown:
    """The text, as a title is shown."""
    return _in(_STRONG, printable(text))


def _in(code: str, text: str) -> Shown:
    return Shown(f"\x1b[{code}m{text}\x1b[0m" if has_colours() else text)
