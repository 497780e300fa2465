# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl diff: what is there beside what should be, by its definition or by a file.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import datetime
import os
import typing as t

from ..definition import file as definitions
from ..facts import named, parts, summary
from ..operations import namespace_state
from ..operations.definition_request import Outcome, differing
from . import FAILED, apply, compared, complain, say, say_data
from .arguments import FILE, JSON, Given, Option, Verb, WrongUsage

VERB = Verb(
    "diff",
    "what is there beside what should be",
    operands=f"[NAME...] | {FILE}",
    text="""\
Changes nothing. By names, or for all there are, it says what of each is not
what its definition says, since somebody has changed it by hand: mounts and
interfaces, hostname and kernel parameters, its files on the host, and
services that are enabled and do not run, or whose unit is another one. Lines
begin with - for what is there, and with + for what should be; the last are
the steps that `nsctl up` would take. With each stands when the definition was
written: what differs has changed since then. Nothing is said of one that is
as it should be.

With a file, which is named with a / in its name or ends with .json, or - for
standard input, it says what `nsctl apply FILE` would change.
""",
    options=(
        Option(
            "recreate",
            "",
            "With a file also what would be made anew, which is an error without it.",
        ),
        Option("force", "", "As if the processes that are in the way of that were ended."),
        JSON,
    ),
    form="""\
By names a list of dictionaries, of all that were looked at: name, since (when
the definition was written, in ISO 8601; null for none), state and reason as
`nsctl list` has them, and changes, mounts, links, files and services (name,
state, changes) as `nsctl show` has them, those alone that differ. With a file
as `nsctl apply` has it.
""",
    exits="""\
0 whatever differs, 1 where a name is unknown, or one cannot be what is wanted,
2 for wrong usage.
""",
)


def run(verb: str, given: Given) -> int:
    """The verb. Raises WrongUsage, Refused, StepFailed, OSError."""
    files = [each for each in given.operands if _is_file(each)]
    if files:
        if len(given.operands) > 1:
            raise WrongUsage("name namespaces, or one file")
        results, _host = apply.carried_out(files[0], given, check=True)
        return apply.said(verb, results, given, _would_change)
    if given.switches - {"json"}:
        raise WrongUsage("--recreate and --force are for a file")
    found = []
    for answer in named.of_many(given.operands or namespace_state.known_names(), parts.PARTS):
        if isinstance(answer, str):
            return complain(verb, answer, FAILED)
        found.append(_differing(answer))
    if "json" in given.switches:
        say_data(found)
        return 0
    for each in found:
        lines = _differences(each)
        if lines:
            since = f" (as of {each['since']})" if each["since"] else ""
            say(f"{each['name']}: {each['state']}{since}", *lines)
    return 0


def _is_file(word: str) -> bool:
    return word == "-" or "/" in word or (word.endswith(".json") and not summary.is_known(word))


def _differing(found: dict[str, t.Any]) -> dict[str, t.Any]:
    """What of a namespace is not as it should be."""
    drift = found[parts.DRIFT]
    return {
        "name": found["name"],
        "since": _written_at(found["name"]),
        "state": found["state"],
        "reason": found["reason"],
        "changes": drift["changes"],
        "mounts": [row for row in drift["mounts"] if compared.is_wrong(row)],
        "links": [row for row in drift["links"] if compared.is_wrong(row)],
        "files": drift["files"],
        "services": drift["services"],
    }


def _written_at(name: str) -> str | None:
    try:
        seconds = os.stat(definitions.path_of(name)).st_mtime
    except OSError:
        return None
    return datetime.datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def _differences(found: dict[str, t.Any]) -> list[str]:
    lines = [f"  {found['reason']}"] if found["reason"] else []
    for row in found["mounts"]:
        lines += _pair(
            f"mount {row['path']}", compared.observed_mount(row), compared.wanted_mount(row)
        )
    for row in found["links"]:
        lines += _pair(f"interface {row['name']}", row["observed"], row["wanted"])
    for row in found["files"]:
        lines.append(f"  - file {row['path']}: {_OF_FILES[row['state']]}")
    for row in found["services"]:
        lines.append(f"  - service {row['name']}: {row['state']}")
        lines += [f"  + {change}" for change in row["changes"]]
    if found["changes"]:
        lines.append(f"  `nsctl up {found['name']}` would:")
    return lines + [f"    {change}" for change in found["changes"]]


_OF_FILES = {"missing": "it is not there", "differs": "it was changed since it was written"}


def _pair(title: str, observed: str, wanted: str) -> list[str]:
    lines = [f"  - {title}: {observed}"] if observed else []
    return lines + ([f"  + {title}: {wanted}"] if wanted else [])


def _would_change(outcome: Outcome) -> list[str]:
    before, after = differing(outcome.before, outcome.after)
    lines: list[str] = []
    for key in {**before, **after}:
        lines += _lines("-", key, before[key]) if key in before else []
        lines += _lines("+", key, after[key]) if key in after else []
    if not lines:
        lines = [f"+ {action}" for action in outcome.actions]
    return [f"{outcome.name}:", *(f"  {line}" for line in lines)] if lines else []


def _lines(sign: str, key: str, value: t.Any) -> list[str]:
    """A value in a diff. One line, unless it is a tuple: those lie below its title."""
    if isinstance(value, tuple):
        return [f"{sign} {key}:", *(f"{sign}   {each}" for each in value)]
    return [f"{sign} {key}: {value}"]
