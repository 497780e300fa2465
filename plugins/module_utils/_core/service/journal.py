# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The last lines of a unit in systemd's journal (journalctl(1)).

Since when they are asked for is told by the clock that nobody sets (systemd.journal-fields(7),
__MONOTONIC_TIMESTAMP): with --since a host whose clock is set meanwhile would have lines of before,
or none.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import json
import subprocess
import typing as t

_LAST_LINES = "20"


def written_since(unit: str, began: float) -> str:
    """The last lines that the program of the unit wrote; without any, what systemd says of it.

    ``began`` is in terms of time.monotonic(). Empty where nothing can be read.
    """
    words = (
        "--quiet",
        "--output=json",
        "--all",  # otherwise a line of more than 4 KiB is null
        "--output-fields=MESSAGE",
        "--boot",
        "--lines",
        _LAST_LINES,
    )
    try:
        # What came out of a program that has ended may not be in the journal yet.
        _journalctl("--sync")
        for match in (f"_SYSTEMD_UNIT={unit}", f"--unit={unit}"):
            found = texts_since(_journalctl(*words, match), began)
            if found:
                return "\n".join(found).strip()
    except FileNotFoundError:  # a host without journalctl
        pass
    return ""


def texts_since(entries: str, began: float) -> list[str]:
    """The messages of those entries that came since, of a journal as JSON. Pure.

    An entry is a line; its message is a text, or a list of bytes where it is none in UTF-8 (Journal
    Export Formats). What is no entry is left out.
    """
    found = []
    for line in entries.split("\n"):
        try:
            entry = json.loads(line)
            if int(entry["__MONOTONIC_TIMESTAMP"]) >= began * 1_000_000:
                found.append(_text(entry["MESSAGE"]))
        except (KeyError, TypeError, ValueError):
            continue
    return found


def _text(message: t.Any) -> str:
    if isinstance(message, list):
        return bytes(message).decode("utf-8", "replace")
    if not isinstance(message, str):
        raise TypeError(message)
    return message


def _journalctl(*words: str) -> str:
    """What journalctl prints; its failures are nothing to read. Raises FileNotFoundError."""
    done = subprocess.run(
        ["journalctl", *words],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    return done.stdout
