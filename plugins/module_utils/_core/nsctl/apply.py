# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl apply: named namespaces as a file says that they are to be.

The file is what `nsctl export` writes, and what ns_definition takes.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import json
import sys
import typing as t

from .. import nsctl
from ..errors import Refused, sentence
from ..operations import definition_list
from ..operations.definition_list import Result
from ..operations.definition_request import How, Outcome
from ..options import definition, table
from . import FAILED, complain, remark, say, say_data
from .arguments import CHECK, JSON, Given, Option, Verb, WrongUsage

FORM = """\
A list of dictionaries: name, actions, before and after (dictionaries of what
differs), warnings, failure (reason, hint; null for none).
"""

VERB = Verb(
    "apply",
    "make named namespaces what a file says",
    operands="FILE",
    text="""\
Reads FILE, or standard input for -, and brings the namespaces that it lists
to what it says of them: their kinds and settings, their root, mounts, files
and services. What is there beside that inside of them goes. It is what the
module ns_definition does, whose options the file has in JSON:

    {"namespaces": [{"name": "shop", "kinds": ["mnt", "net"]}]}

`nsctl export` prints such a file. With "exclusive": true beside the list
all named namespaces that are not in it are removed.

All of it is read before anything is changed: what is wrong is said with the
place where it stands. A namespace that fails leaves the others done, and
one that is new is whole or not there. For each a line says what was done.
""",
    options=(
        CHECK,
        Option(
            "recreate",
            "",
            (
                "Remove a namespace first that cannot be changed into what is\n"
                "wanted, with its services, and make it anew."
            ),
        ),
        Option("force", "", "End the processes that are in the way of a removal."),
        JSON,
    ),
    form=FORM,
    exits="""\
0 when all are as wanted, 1 when one failed or the file makes no sense, 2
for wrong usage.
""",
    examples=(
        "nsctl export shop > shop.json",
        "nsctl apply --check shop.json",
        "ssh host2 nsctl apply - < shop.json",
    ),
)

_LOCK_TIMEOUT = 60.0


def run(verb: str, given: Given) -> int:
    """The verb. Raises WrongUsage, Refused, StepFailed, OSError."""
    if len(given.operands) != 1:
        raise WrongUsage("name one file, or - for standard input")
    results, host = carried_out(given.operands[0], given, check="check" in given.switches)
    for each in host if "json" not in given.switches else ():
        say(each)
    return said(verb, results, given)


def carried_out(path: str, given: Given, *, check: bool) -> tuple[list[Result], list[str]]:
    """What becomes of each that the file lists, and of the host. Raises Refused, StepFailed, OSError."""
    how = How(check, "recreate" in given.switches, "force" in given.switches)
    return definition_list.run(wish_of(_read(path)), how, nsctl)


def said(
    verb: str,
    results: t.Sequence[Result],
    given: Given,
    lines_of: t.Callable[[Outcome], t.Sequence[str]] | None = None,
) -> int:
    """Say what became of each; the exit code."""
    if "json" in given.switches:
        say_data([_as_data(result) for result in results])
    for result in results:
        outcome = result.outcome
        for warning in outcome.warnings:
            remark(verb, f"{outcome.name}: {warning}")
        if result.failure:
            why = sentence(result.failure["reason"], result.failure["hint"])
            complain(verb, f"{outcome.name}: {why}", FAILED)
        elif "json" not in given.switches:
            lines = (lines_of or _done)(outcome)
            if lines:
                say(*lines)
    return FAILED if any(result.failure for result in results) else 0


def _done(outcome: Outcome) -> list[str]:
    return [f"{outcome.name}: {'; '.join(outcome.actions) or 'as it should be'}"]


def wish_of(data: t.Any) -> definition_list.Wish:
    """What the content of a file asks for. Raises Refused, which says where in it."""
    found = table.read(definition.FILE, data, "the file")
    requests = definition.requests_of(found["namespaces"], lock_timeout=_LOCK_TIMEOUT)
    return definition_list.Wish(requests, exclusive=found["exclusive"], lock_timeout=_LOCK_TIMEOUT)


def _read(path: str) -> t.Any:
    try:
        text = _bytes(path).decode("utf-8", "surrogateescape")  # whatever the locale is
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError as error:
        raise Refused(f"{path} has objects that are nested too deep") from error
    except ValueError as error:
        raise Refused(
            f"{path} is no JSON: {error}", "`nsctl export` writes such a file."
        ) from error


def _bytes(path: str) -> bytes:
    if path != "-":
        with open(path, "rb") as file:
            return file.read()
    if sys.stdin is None:
        raise Refused("standard input is closed", "Name a file.")
    return sys.stdin.buffer.read()


def _object(pairs: list[tuple[str, t.Any]]) -> dict[str, t.Any]:
    found = {}
    for key, value in pairs:
        if key in found:  # one of the two would be lost
            raise ValueError(f"{table.shown(key)} stands twice in an object")
        found[key] = value
    return found


def _as_data(result: Result) -> dict[str, t.Any]:
    outcome = result.outcome
    return {
        "name": outcome.name,
        "actions": outcome.actions,
        "before": outcome.before,
        "after": outcome.after,
        "warnings": outcome.warnings,
        "failure": result.failure or None,
    }
