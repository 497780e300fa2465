# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl apply and diff: named namespaces as a file says that they are to be.

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
from ..operations.definition_request import How, differing
from ..options import definition, table
from . import FAILED, complain, remark, say, say_data
from .arguments import WrongUsage, parse

_LOCK_TIMEOUT = 60.0


def run(verb: str, words: t.Sequence[str]) -> int:
    """The verbs. Raises WrongUsage, Refused, StepFailed, OSError."""
    is_diff = verb == "diff"
    given = parse(words, switches=("json", "recreate", "force", *(() if is_diff else ("check",))))
    if len(given.operands) != 1:
        raise WrongUsage("name one file, or - for standard input")
    wish = wish_of(_read(given.operands[0]))
    check = is_diff or "check" in given.switches
    how = How(check, "recreate" in given.switches, "force" in given.switches)
    results, host = definition_list.run(wish, how, nsctl)
    for each in host if "json" not in given.switches and not is_diff else ():
        say(each)
    return said(verb, results, as_data="json" in given.switches, is_diff=is_diff)


def said(verb: str, results: t.Sequence[Result], *, as_data: bool, is_diff: bool = False) -> int:
    """Say what became of each; the exit code."""
    if as_data:
        say_data([_as_data(result) for result in results])
    for result in results:
        _say(verb, result, is_diff=is_diff, quiet=as_data)
    return FAILED if any(result.failure for result in results) else 0


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


def _say(verb: str, result: Result, *, is_diff: bool, quiet: bool) -> None:
    outcome = result.outcome
    for warning in outcome.warnings:
        remark(verb, f"{outcome.name}: {warning}")
    if result.failure:
        why = sentence(result.failure["reason"], result.failure["hint"])
        complain(verb, f"{outcome.name}: {why}", FAILED)
    elif quiet:
        return
    elif not is_diff:
        say(f"{outcome.name}: {'; '.join(outcome.actions) or 'as it should be'}")
    else:
        before, after = differing(outcome.before, outcome.after)
        lines = []
        for key in {**before, **after}:
            lines += _lines("-", key, before[key]) if key in before else []
            lines += _lines("+", key, after[key]) if key in after else []
        if not lines:
            lines = [f"+ {action}" for action in outcome.actions]
        if lines:
            say(f"{outcome.name}:", *(f"  {line}" for line in lines))


def _lines(sign: str, key: str, value: t.Any) -> list[str]:
    """A value in a diff. One line, unless it is a tuple: those lie below its title."""
    if isinstance(value, tuple):
        return [f"{sign} {key}:", *(f"{sign}   {each}" for each in value)]
    return [f"{sign} {key}: {value}"]
