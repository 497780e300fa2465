# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl list: the named namespaces of this host.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..errors import Refused, StepFailed, defect, in_words
from ..operations import namespace_state
from ..process import pool
from . import FAILED, complain, say, say_data, states, summary
from .arguments import parse
from .columns import columns

# Far more than a name takes. One with a file system that does not answer is not waited for.
LIMIT = 10.0
_TITLES = ("NAME", "STATE", "KINDS", "PROCESSES", "ROOT", "GENERATION", "AT BOOT", "REASON")
# sha256: and 12 digits, which are enough to tell one from another.
_LONGEST_DIGEST = 19


def run(verb: str, words: t.Sequence[str]) -> int:
    """The verb. Raises WrongUsage, OSError."""
    given = parse(words, switches=("json",), operands=None)
    chosen = given.operands or namespace_state.known_names()
    answers = {name: _attempt(name, summary.at_once) for name in chosen}
    # Few, if any: what is entered may hang, and is to keep no other waiting.
    entered = [name for name, answer in answers.items() if answer is None]
    looked = pool.run(len(entered), lambda each: _attempt(entered[each]), limit=LIMIT)
    answers.update(zip(entered, looked))
    summaries = []
    for name in chosen:
        answer = answers[name]
        if isinstance(answer, str):
            return complain(verb, answer, FAILED)
        summaries.append(answer or unanswered(name))
    if "json" in given.switches:
        say_data(summaries)
        return 0
    rows: list[tuple[str, ...]] = [_TITLES, *map(_row, summaries)]
    if not any(each["generation"] for each in summaries):
        at = _TITLES.index("GENERATION")
        rows = [(*row[:at], *row[at + 1 :]) for row in rows]
    if summaries:
        say(*columns(rows))
    return 0


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


def unanswered(name: str) -> dict[str, t.Any]:
    """What there is to say of a namespace that was not looked into within LIMIT."""
    reason = (
        f"looking into it took more than {LIMIT:g} seconds: a file system in it does not answer,"
        " most likely"
    )
    return summary.of_unreadable(name, states.PARTIAL, reason)


def _attempt(
    name: str, look: t.Callable[[str], dict[str, t.Any] | None] = summary.of
) -> dict[str, t.Any] | str | None:
    """What it says, or that there is none of this name."""
    try:
        return look(name)
    except (Refused, StepFailed, OSError) as error:
        return in_words(error)
    except Exception as error:  # a mistake that concerns one is not to harm the others
        return summary.of_unreadable(name, states.FAILED, defect(error))
