# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Signals by the words that tasks, images and systemd have for them. Pure.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import signal

from ..errors import Refused

# Of the real-time signals only these two have names of their own (signal(7)).
_REAL_TIME = {"RTMIN": int(signal.SIGRTMIN), "RTMAX": int(signal.SIGRTMAX)}
# No signal has more digits, and int() refuses numbers of thousands of them.
_MOST_DIGITS = 3


def number_of(word: str) -> int:
    """The number of the signal: HUP, sighup, SIGRTMIN+3, RTMAX-2, 37. Raises Refused.

    The words are those of the OCI image specification, of docker and of systemd (KillSignal=). A
    real-time signal is counted from the first or the last that the C library leaves to programs.
    """
    found = _number(word)
    if not 0 < found < signal.NSIG:
        shown = word if len(word) <= 40 else f"{word[:40]}..."
        raise Refused(
            f"{shown!r} is not a signal",
            f"Such as HUP, SIGTERM, RTMIN+3, or a number from 1 to {signal.NSIG - 1}.",
        )
    return found


def _number(word: str) -> int:
    """The number that the word means; 0 where it means none."""
    if _is_number(word):
        return int(word)
    name = word.upper() if word.isascii() else ""
    name = name[3:] if name.startswith("SIG") else name
    start = _REAL_TIME.get(name[:5])
    if start is None:
        known = signal.Signals.__members__.get(f"SIG{name}")
        return 0 if known is None else int(known)
    sign, offset = name[5:6], name[6:]
    if not name[5:]:
        return start
    if sign != ("+" if name.startswith("RTMIN") else "-") or not _is_number(offset):
        return 0
    found = start + int(f"{sign}{offset}")
    return found if _REAL_TIME["RTMIN"] <= found <= _REAL_TIME["RTMAX"] else 0


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= _MOST_DIGITS


def name_of(number: int) -> str:
    """The one name of the signal with this number, which number_of() takes: SIGTERM, SIGRTMIN+3.

    It is the number itself for the two that the C library keeps for its threads.
    """
    try:
        return signal.Signals(number).name
    except ValueError:  # between those that have names
        offset = number - _REAL_TIME["RTMIN"]
        return f"SIGRTMIN+{offset}" if offset > 0 else str(number)


def word_of(word: str) -> str:
    """The one way to write what number_of() takes, as tasks do: TERM, RTMIN+3. Raises Refused."""
    return name_of(number_of(word)).replace("SIG", "", 1)
