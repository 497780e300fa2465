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

import errno
import os

from ..errors import Refused
from ..host_paths import closed_directory, directory, is_directory, kept_in
from ..storage import atomic
from ..syscalls import regular_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

# In its directory: what is missing of it (definition/file.py), and why the last attempt to bring it up failed.
_STATE = "state.json"
_REASON = "failed"
# How many missing steps a message names.
_NAMED = 5
# Of a reason, in bytes; of the name of a step, in characters.
_LONGEST = 4096
_LONGEST_TITLE = 200


def is_closed(name: str) -> bool:
    """Whether it is there, but not to be entered."""
    return is_directory(closed_directory(name))


def close(name: str) -> None:
    """Put it out of reach, what there is of it. Call it with the lock held. Raises OSError.

    Who has entered it stays there. Raises Refused where it has a mount of somebody's on it.
    """
    if is_closed(name):
        return
    for place in (directory(name), closed_directory(name)):
        # A file, or a link, which may lead to another name's.
        if os.path.lexists(place) and not is_directory(place):
            os.unlink(place)
    try:
        os.rename(directory(name), closed_directory(name))
    except FileNotFoundError:
        atomic.make_directory(closed_directory(name), mode=0o755)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        raise Refused(
            f"somebody has mounted something on {directory(name)}, which so stays",
            "Unmount it, and run again.",
        ) from error


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
        fd = regular_files.open_regular(f"{kept_in(name)}/{_REASON}", os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:  # none, or something that is no reason
        return ""
    try:
        return os.read(fd, _LONGEST).decode("utf-8", "replace").strip()
    except OSError:
        return ""
    finally:
        os.close(fd)


def refusal(name: str) -> Refused:
    """Why it cannot be entered: what is missing, why, and how to mend it."""
    why = reason_of(name)
    missing = _missing(name)
    text = f"namespace {name!r} is not whole, and so is closed"
    if missing:
        text += f": {missing_in_words(missing)}"
    if why:
        text += f". It could not be brought up: {why.rstrip('.')}"
    return Refused(
        text,
        f"`nsctl up {name}` completes it or says what is in the way, and so does its play."
        if why or missing
        else "A run that builds it is at work, or was cut short: run its play again.",
    )


def missing_in_words(titles: t.Sequence[str]) -> str:
    """That steps with these titles are missing, as a part of a sentence."""
    named = [title[:_LONGEST_TITLE] for title in titles[:_NAMED]]
    more = f" and {len(titles) - _NAMED} more" if len(titles) > _NAMED else ""
    return f"missing is {', '.join(named)}{more}"


def _missing(name: str) -> list[str]:
    # Not loaded by who can enter.
    from ..storage import json_file

    try:
        found = json_file.read(f"{closed_directory(name)}/{_STATE}") or {}
    except (OSError, ValueError):
        return []
    missing = found.get("missing", [])
    return [str(each) for each in missing] if isinstance(missing, list) else []
