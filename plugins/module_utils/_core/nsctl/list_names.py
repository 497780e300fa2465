# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl list: the named namespaces of this host.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import typing as t

from ..definition import file as definitions
from ..definition.model import Definition
from ..errors import Refused
from ..namespace import gate, pid_holder, pins
from ..operations import namespace_state, restore
from . import drift, say, say_data
from .arguments import parse
from .columns import columns
from .states import DOWN, FAILED, PARTIAL, UP


def run(_verb: str, words: t.Sequence[str]) -> int:
    """The verb. Raises WrongUsage, OSError."""
    given = parse(words, switches=("json",), operands=None)
    chosen = given.operands or known_names()
    summaries = [summary(name) for name in chosen]
    if "json" in given.switches:
        say_data(summaries)
        return 0
    header = ("NAME", "STATE", "KINDS", "PROCESSES", "ROOT", "AT BOOT", "REASON")
    rows = [
        (
            each["name"],
            each["state"],
            ",".join(each["kinds"]) or "-",
            str(len(each["processes"])),
            each["root"],
            "yes" if each["persistent"] else "no",
            each["reason"],
        )
        for each in summaries
    ]
    if rows:
        say(*columns([header, *rows]))
    return 0


def known_names() -> list[str]:
    """The names of all namespaces that live or have a definition, sorted."""
    return sorted({*definitions.names(), *pins.names()})


def summary(name: str) -> dict[str, t.Any]:
    """What there is to say of a named namespace in one line. Raises Refused where there is none."""
    try:
        definition = definitions.load(name)
        found = namespace_state.describe(name)
    except Refused as error:
        if name not in definitions.names():
            raise
        # Its file is damaged.
        return {
            "name": name,
            "kinds": {},
            "processes": [],
            "persistent": True,
            "root": "/",
            "state": FAILED,
            "reason": error.reason,
        }
    if definition is None:
        if name not in pins.names():
            raise restore.unknown(name)
        return {**found, "state": PARTIAL, "reason": "a run that created it was cut short"}
    state = _state(definition, found["kinds"])
    reason = gate.reason_of(name)
    if reason and state == UP and _is_mended(definition):
        # A play has mended since what could not be restored then.
        gate.forget_reason(name)
        reason = ""
    if reason:
        return {**found, "state": FAILED, "reason": reason}
    if state == UP and gate.is_closed(name):
        return {**found, "state": PARTIAL, "reason": gate.refusal(name).reason}
    dead = pid_holder.death(found["kinds"]["pid"]["id"]) if "pid" in found["kinds"] else None
    return {**found, "state": state, "reason": "" if dead is None else dead.reason}


def _is_mended(definition: Definition) -> bool:
    with contextlib.suppress(OSError, Refused):
        return not drift.of(definition).changes
    return False


def _state(definition: Definition, pinned: t.Mapping[str, t.Any]) -> str:
    living = set(pinned)
    if "pid" in living and pid_holder.pid_of(definition.name) is None:
        living.remove("pid")
    if not living:
        return DOWN
    wanted = definition.properties.kinds
    return UP if living.issuperset(wanted) else PARTIAL
