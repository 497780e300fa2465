# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A named namespace in one line: its state, and why it is not up.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import typing as t

from ..definition import file as definitions
from ..definition.model import Definition
from ..definition.steps import Step
from ..errors import Refused, StepFailed, in_words
from ..namespace import gate, pid_holder, pins
from ..operations import definition_made_of, namespace_state, restore, untaken
from .states import DOWN, FAILED, PARTIAL, UP

# Of a reason, in characters.
_LONGEST = 2000


def of(name: str) -> dict[str, t.Any]:
    """What there is to say of a named namespace. Raises Refused where there is none.

    It is entered where that is needed, and hangs with a file system in it that does not answer.
    """
    return t.cast("dict[str, t.Any]", _of(name, enters=True))


def at_once(name: str, *, is_as_defined: bool = False) -> dict[str, t.Any] | None:
    """The same where that takes not to enter it, else None.

    With ``is_as_defined`` somebody else looks whether it is, and what its root is.
    """
    return _of(name, enters=False, is_as_defined=is_as_defined)


def _of(name: str, *, enters: bool, is_as_defined: bool = False) -> dict[str, t.Any] | None:
    try:
        return _of_readable(name, enters, is_as_defined)
    except (Refused, StepFailed, OSError) as error:
        if not is_known(name):
            raise
        return of_unreadable(name, FAILED, in_words(error))


def is_known(name: str) -> bool:
    """Whether something of a namespace of this name is on the host."""
    return name in pins.names() or name in definitions.names()


def of_unreadable(name: str, state: str, reason: str) -> dict[str, t.Any]:
    """What there is to say of one that cannot be looked into, for this reason."""
    pinned = {}
    with contextlib.suppress(OSError):
        pinned = pins.pinned(name)
    return {
        "name": name,
        "kinds": namespace_state.kinds_as_data(name, pinned),
        "processes": [],
        "persistent": definitions.has_record(name),
        "root": "/",
        "generation": None,
        "state": state,
        "reason": reason[:_LONGEST],
    }


def _of_readable(name: str, enters: bool, is_as_defined: bool) -> dict[str, t.Any] | None:
    definition = definitions.load(name)
    if definition is None:
        if name not in pins.names():
            raise restore.unknown(name)
        found = namespace_state.describe(name)
        why = "a run that created it was cut short"
        return {**found, "generation": None, "state": PARTIAL, "reason": why}
    restore.checked(definition)
    seen = None
    if definition.all_steps and "mnt" in pins.pinned(name) and not is_as_defined:
        seen = untaken.seen(definition, enters=enters)
        if not enters and (seen is None or seen.doubtful):
            return None
    found = namespace_state.describe(name, seen.root if seen is not None else "/")
    doubtful = seen.doubtful if seen is not None else ()
    state, reason = _state(definition, found["kinds"], doubtful)
    kept = gate.reason_of(name)
    if kept and state == UP:
        if not enters:
            return None
        if _is_mended(definition):
            # A play has mended since what could not be restored then.
            with contextlib.suppress(OSError):
                gate.forget_reason(name)
            kept = ""
    if kept:
        state, reason = FAILED, kept
    found["generation"] = definition_made_of.shown(definition)
    if found["generation"] is not None and not reason:
        reason = found["generation"]["failed"]
    return {**found, "state": state, "reason": reason[:_LONGEST]}


def _state(
    definition: Definition, pinned: t.Mapping[str, t.Any], doubtful: t.Iterable[Step]
) -> tuple[str, str]:
    """The state of a namespace that has a definition, and why it is not up where it is partial."""
    name = definition.name
    living = {kind for kind, pin in pinned.items() if "shared_with" not in pin}
    shared = {kind: pin["shared_with"] for kind, pin in pinned.items() if kind not in living}
    dead = None
    if "pid" in living and pid_holder.pid_of(name) is None:
        living.remove("pid")
        dead = pid_holder.death(pinned["pid"]["id"])
    why = dead.reason if dead is not None else ""
    if not living and not shared:
        return DOWN, why
    lost = sorted(set(definition.properties.kinds) - living)
    if lost:
        return PARTIAL, why or f"it has no {', '.join(lost)} namespace any more"
    if gate.is_closed(name):
        return PARTIAL, gate.refusal(name).reason
    for kind, other in definition.properties.share.items():
        if shared.get(kind) != other:
            return PARTIAL, f"it does not share the {kind} of {other}; `nsctl up {name}` mends it"
    missing = [step.title for step in restore.not_taken(definition, doubtful)]
    if missing:
        return PARTIAL, f"{gate.missing_in_words(missing)}; `nsctl up {name}` mends it"
    return UP, ""


def _is_mended(definition: Definition) -> bool:
    # 30 ms to compile, with what it loads, for one that could not be brought up.
    from . import drift

    with contextlib.suppress(OSError, Refused, StepFailed):
        return not drift.of(definition).changes
    return False
