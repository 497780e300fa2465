# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl list: the named namespaces of this host.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..facts import named, states
from ..operations import namespace_state
from . import FAILED, complain, say, say_data, screen
from .arguments import JSON, Given, Verb
from .columns import columns, wrapped

VERB = Verb(
    "list",
    "the named namespaces of this host",
    operands="[NAME...]",
    text="""\
Prints a line for each name, those with problems first, or only for those
given, in their order. On a terminal the reason has a line of its own.

STATE      up: all is there that its definition says. partial: not all of
           it is, or a file system in it does not answer. down: none of its
           kinds is there, but `nsctl up` can bring them. failed: the last
           attempt to bring it up failed, or its definition is damaged.
KINDS      The kinds that are there; net@front is shared, and that of front.
PROCESSES  How many processes live in one of them.
ROOT       The new root of the last pivot, as it was named before it.
GENERATION Of those with a root of their own which one it is, and what
           digest that was made of has. Left out where none has one.
AT BOOT    Whether it comes back after a reboot.
REASON     Why it failed, what of it is missing, or why the generation
           that was tried last does not serve.
""",
    options=(JSON,),
    form="""\
A list of dictionaries: name, state, reason, kinds (by kind: id, path, and
shared_with where it is that of another name), processes (a list of pid, uid,
command), persistent, root, and generation (number, made_of, failed, and
before: a list of number, made_of; null without a root of its own).
""",
    exits="0 whatever the states are, 1 where a name is unknown, 2 for wrong usage.",
)

# The worst first.
_ORDER = (states.FAILED, states.PARTIAL, states.DOWN, states.UP)
_TITLES = ("NAME", "STATE", "KINDS", "PROCESSES", "ROOT", "GENERATION", "AT BOOT", "REASON")
# sha256: and 12 digits, which are enough to tell one from another.
_LONGEST_DIGEST = 19
_INDENT = "    "


def run(verb: str, given: Given) -> int:
    """The verb. Raises OSError."""
    chosen = given.operands or namespace_state.known_names()
    summaries = []
    for answer in named.of_many(chosen):
        if isinstance(answer, str):
            return complain(verb, answer, FAILED)
        summaries.append(answer)
    if not given.operands:
        summaries.sort(key=lambda each: (_ORDER.index(each["state"]), each["name"]))
    if "json" in given.switches:
        say_data(summaries)
    elif summaries:
        say(*_shown(summaries))
    return 0


def _shown(summaries: t.Sequence[dict[str, t.Any]]) -> list[str]:
    rows: list[tuple[str, ...]] = [_TITLES, *map(_row, summaries)]
    if not any(each["generation"] for each in summaries):
        at = _TITLES.index("GENERATION")
        rows = [(*row[:at], *row[at + 1 :]) for row in rows]
    if not screen.width():
        return [*columns(rows, has_titles=True)]
    # A reason is long: it stands below what it is about.
    title, *lines = columns([row[:-1] for row in rows], has_titles=True)
    shown: list[str] = [title]
    for line, found in zip(lines, summaries):
        shown += [line, *(wrapped(found["reason"], indent=_INDENT) if found["reason"] else ())]
    return shown


def _row(found: dict[str, t.Any]) -> tuple[str, ...]:
    return (
        found["name"],
        found["state"],
        ",".join(map(_kind_shown, found["kinds"].items())) or "-",
        str(len(found["processes"])),
        found["root"],
        _generation_shown(found["generation"]),
        "yes" if found["persistent"] else "no",
        found["reason"],
    )


def _generation_shown(found: dict[str, t.Any] | None) -> str:
    """Which one it is, and the beginning of the digest of what its root was made of."""
    if found is None:
        return "-"
    digest = found["made_of"].rpartition(" ")[2]
    return f"{found['number']} {digest[:_LONGEST_DIGEST]}".strip()


def _kind_shown(item: tuple[str, dict[str, t.Any]]) -> str:
    kind, pin = item
    return f"{kind}@{pin['shared_with']}" if "shared_with" in pin else kind
