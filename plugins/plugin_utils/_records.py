# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The records of named namespaces that the inventory takes, and their known form.

A host answers what an intruder there wants it to answer, and a cache keeps that: a record of
another form is left out. Pure.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds
from ansible_collections.linux.namespaces.plugins.module_utils._core.facts.states import STATES
from ansible_collections.linux.namespaces.plugins.module_utils._core.host_paths import is_name
from ansible_collections.linux.namespaces.plugins.plugin_utils._heard import for_people

Record = dict[str, t.Any]

# Of one host. Two hundred are many, and a record lists the processes inside.
_MOST = 4096
_LARGEST = 16 << 20
_LONGEST_PATH = 4096
_SHOWN = 3


class Records(t.NamedTuple):
    """Records by name in the order of the answer, and for people what was left out of it."""

    known: dict[str, Record]
    odd: list[str]

    @property
    def oddities(self) -> str:
        """What was left out, in a line; empty if nothing was."""
        more = len(self.odd) - _SHOWN
        shown = ", ".join(self.odd[:_SHOWN])
        return f"{shown}, and {more} more" if more > 0 else shown


def parsed(said: bytes) -> Records:
    """The records in what a host wrote: those of `nsctl list`, or names. Raises ValueError."""
    if len(said) > _LARGEST:
        raise ValueError(f"its answer has {len(said)} bytes, more than {_LARGEST}")
    text = said.decode("utf-8", "replace")
    if not text.startswith("["):
        return checked(text.split())
    try:
        return checked(json.loads(text))
    except RecursionError:
        raise ValueError("its answer is nested too deeply") from None


def checked(answer: t.Any) -> Records:
    """The records in ``answer``, a list of names and dictionaries. Raises ValueError."""
    if not isinstance(answer, list):
        raise ValueError("its answer is no list of namespaces")
    if len(answer) > _MOST:
        raise ValueError(f"its answer has {len(answer)} namespaces, more than {_MOST}")
    records = Records({}, [])
    for each in answer:
        given = each if isinstance(each, dict) else {"name": each}
        name = given.get("name")
        if not isinstance(name, str) or not is_name(name):
            records.odd.append(f"the name {_shown(name)}")
            continue
        facts = {fact: known(given[fact]) for fact, known in FACTS.items() if fact in given}
        wrong = next((fact for fact, value in facts.items() if value is None), None)
        if wrong is not None:
            records.odd.append(f"{name}, whose {wrong} is {_shown(given[wrong])}")
        elif name not in records.known:
            records.known[name] = {"name": name, **facts}
    return records


def _kinds(value: t.Any) -> list[str] | None:
    if not isinstance(value, (list, dict)):
        return None
    found = [kind for kind in kinds.NAMES if kind in value]
    return found if len(found) == len(value) else None


def _state(value: t.Any) -> str | None:
    return next((state for state in STATES if state == value), None)


def _root(value: t.Any) -> str | None:
    if not isinstance(value, str) or len(value) > _LONGEST_PATH or value != for_people(value, 9999):
        return None
    parts = value.split("/")[1:]
    is_plain = value == "/" or all(part not in ("", ".", "..") for part in parts)
    return value if value.startswith("/") and is_plain else None


def _persistent(value: t.Any) -> bool | None:
    return value if isinstance(value, bool) else None


# What is taken of a record, beside its name, and what makes it one of the known form.
FACTS: dict[str, t.Callable[[t.Any], t.Any]] = {
    "kinds": _kinds,
    "state": _state,
    "root": _root,
    "persistent": _persistent,
}


def _shown(value: t.Any) -> str:
    """A value in a message. Not its repr(), which could be endless."""
    if isinstance(value, str):
        return f"'{for_people(value, 80)}'"
    return f"a {type(value).__name__}"
