# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The gate of a named namespace: it is entered whole, or not at all.

One that is not what its definition says is the host's root to whoever enters it, or a part of that. So its
directory, with the pins, lies out of reach while it is built:

    /run/linux-namespaces/web            open: everything is there
    /run/linux-namespaces/.closed/web    closed: being built, or what could not be built

A rename opens it, all of its pins at once: the kernel moves what is mounted in a directory with it. Modules
that build act on a closed one; nobody else does, unless asked to by name.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os

from ..errors import Refused
from ..host_paths import closed_directory, directory, kept_in
from ..storage import atomic

# In its directory: what is missing of it (definition/file.py), and why the last attempt to bring it up failed.
_STATE = "state.json"
_REASON = "failed"
# How many missing steps a message names.
_NAMED = 5


def is_closed(name: str) -> bool:
    """Whether it is there, but not to be entered."""
    return os.path.isdir(closed_directory(name))


def close(name: str) -> None:
    """Put it out of reach, what there is of it. Call it with the lock held. Raises OSError.

    Who has entered it stays there.
    """
    if is_closed(name):
        return
    try:
        os.rename(directory(name), closed_directory(name))
    except FileNotFoundError:
        atomic.make_directory(closed_directory(name), mode=0o755)


def open_up(name: str) -> None:
    """It is whole: let it be entered. Call it with the lock held. Raises OSError."""
    if not is_closed(name):
        return
    forget_reason(name)
    os.rename(closed_directory(name), directory(name))


def keep_reason(name: str, text: str) -> None:
    """Keep why it could not be brought up, for reason_of(). Raises OSError."""
    atomic.write(f"{kept_in(name)}/{_REASON}", f"{text}\n", mode=0o600)


def forget_reason(name: str) -> None:
    """It is what it should be. Raises OSError."""
    atomic.remove(f"{kept_in(name)}/{_REASON}")


def reason_of(name: str) -> str:
    """Why the last attempt to bring it up failed, or "" when it did not."""
    try:
        with open(f"{kept_in(name)}/{_REASON}", encoding="utf-8", errors="replace") as kept:
            return kept.read().strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def refusal(name: str) -> Refused:
    """Why it cannot be entered: what is missing, why, and how to mend it."""
    why = reason_of(name)
    missing = _missing(name)
    text = f"namespace {name!r} is not whole, and so is closed"
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        text += f": missing is {', '.join(missing[:_NAMED])}{more}"
    if why:
        text += f". It could not be brought up: {why.rstrip('.')}"
    return Refused(
        text,
        f"`nsctl up {name}` completes it or says what is in the way, and so does its play."
        if why or missing
        else "A run that builds it is at work, or was cut short: run its play again.",
    )


def _missing(name: str) -> list[str]:
    # Not loaded by who can enter.
    from ..storage import json_file

    try:
        found = json_file.read(f"{closed_directory(name)}/{_STATE}") or {}
    except (OSError, ValueError):
        return []
    missing = found.get("missing", [])
    return [str(each) for each in missing] if isinstance(missing, list) else []
