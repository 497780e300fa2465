# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl tree: who shares which namespace with whom.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .. import kinds, once
from ..facts import sharing, summary
from ..operations import restore
from . import say, say_data, screen
from .arguments import JSON, KINDS, Given, Option, Verb, WrongUsage
from .columns import fitted

VERB = Verb(
    "tree",
    "who shares which namespace with whom",
    operands="[NAME]",
    text="""\
Prints the namespaces of this host by their kinds, each with all who live in
it: the name whose own it is, names that share it, names that have none of
this kind and so use the host's, and where else it is pinned, as in /run/netns.
Of processes it says how many there are, and the first of them. Namespaces of
kinds that lie in one another (pid, user) stand below the one they lie in.

With NAME only those that NAME lives in: `nsctl tree shop --kinds net` answers
who shares a network with shop.
""",
    options=(Option("kinds", KINDS, "Only these kinds."), JSON),
    form="""\
A list of dictionaries: kind, id, is_host, owner (a name, or null), sharers
and users (names), processes (how many), pid and command (of the first), pins
(paths that are not this collection's), parent (the id of the namespace that
it lies in, or null).
""",
    exits="0 when printed, 1 where the name is unknown, 2 for wrong usage.",
    examples=("nsctl tree", "nsctl tree shop --kinds net"),
)

_INDENT = "  "


def run(_verb: str, given: Given) -> int:
    """The verb. Raises WrongUsage, Refused, OSError."""
    if len(given.operands) > 1:
        raise WrongUsage("name one namespace, or none")
    asked = (given.last("kinds") or ",".join(kinds.NAMES)).split(",")
    unknown = [each for each in asked if each not in kinds.NAMES]
    if unknown:
        raise WrongUsage(f"{unknown[0]!r} is no kind: {', '.join(kinds.NAMES)}")
    names = tuple(kind for kind in kinds.NAMES if kind in asked)
    with once.Look():
        if given.operands and not summary.is_known(given.operands[0]):
            raise restore.unknown(given.operands[0])
        found = sharing.all_namespaces(names=names)
    for name in given.operands:
        found = sharing.touching(name, found)
    if "json" in given.switches:
        say_data(found)
        return 0
    for kind in names:
        of_kind = [each for each in found if each["kind"] == kind]
        if of_kind:
            say(screen.heading(kind), *_below(None, _by_parent(of_kind), _INDENT))
    return 0


# Those that lie in one, by its id; by None those that lie in none that is shown.
_Children = dict[t.Optional[int], list[dict[str, t.Any]]]


def _by_parent(found: t.Sequence[dict[str, t.Any]]) -> _Children:
    shown = {each["id"] for each in found}
    children: _Children = {}
    for each in sorted(found, key=lambda one: (not one["is_host"], one["id"])):
        is_below = each["parent"] in shown and each["parent"] != each["id"]
        children.setdefault(each["parent"] if is_below else None, []).append(each)
    return children


def _below(parent: int | None, children: _Children, indent: str) -> list[str]:
    lines: list[str] = []
    for each in children.get(parent, ()):
        lines += _lines(each, indent)
        lines += _below(each["id"], children, indent + _INDENT)
    return lines


def _lines(found: dict[str, t.Any], indent: str) -> list[str]:
    head = f"{indent}{found['id']}  "
    who = ["the host"] if found["is_host"] else []
    who += [found["owner"]] if found["owner"] else []
    who += [f"{each} shares it" for each in found["sharers"]]
    who += [f"pinned at {each}" for each in found["pins"]]
    if found["users"]:
        who.append(f"used by {', '.join(found['users'])}")
    if found["processes"]:
        more = f" and {found['processes'] - 1} more" if found["processes"] > 1 else ""
        who.append(f"{found['pid']} {found['command'] or '?'}{more}")
    who = who or ["only what lies in it"]
    lines = [f"{head}{who[0]}", *(" " * len(head) + each for each in who[1:])]
    return [*map(fitted, lines)]
