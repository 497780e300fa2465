# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl show: one named namespace, what it should be and what it is.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import json
import typing as t

from .. import redact
from ..definition import file as definitions
from ..definition import service_end, service_file, service_note
from ..errors import Refused, StepFailed, in_words
from ..mount import table
from ..operations import namespace_share, restore
from ..process import pool
from ..service import supervisor
from . import FAILED, complain, drift, list_names, say, say_data, states, summary
from .arguments import WrongUsage, parse
from .columns import columns

_MARGIN = 12
# What is said of one that cannot be looked into, beside its summary.
_NOTHING: dict[str, t.Any] = {
    "properties": {},
    "shared_by": [],
    "services": [],
    "changes": [],
    "mounts": [],
    "links": [],
}

_SERVICE = ("STATE", "NAME", "PID", "RESTARTS", "LAST END")


def run(verb: str, words: t.Sequence[str]) -> int:
    """The verb. Raises WrongUsage, Refused, OSError."""
    given = parse(words, switches=("json",))
    if len(given.operands) != 1:
        raise WrongUsage("name one namespace")
    name = given.operands[0]
    (answer,) = pool.run(1, lambda _only: _attempt(name), limit=list_names.LIMIT)
    if answer is None:
        unanswered = {**list_names.unanswered(name), **_NOTHING}
        answer = {"data": unanswered, "lines": _shown(unanswered)}
    if isinstance(answer, str):
        return complain(verb, answer, FAILED)
    if "json" in given.switches:
        say_data(answer["data"])
    else:
        say(*answer["lines"])
    return 0


def _attempt(name: str) -> dict[str, t.Any] | str:
    """What is said as data and as lines, or why nothing is."""
    try:
        found = _found(name)
    except (Refused, StepFailed, OSError) as error:
        return in_words(error)
    data = {**found, "mounts": [_as_data(row) for row in found["mounts"]]}
    return {"data": data, "lines": _shown(found)}


def _found(name: str) -> dict[str, t.Any]:
    found = summary.of(name)
    found.update(_NOTHING, services=_services(name), shared_by=namespace_share.sharers(name))
    try:
        definition = definitions.load(name)
        if definition is None:
            return found
        seen = drift.of(restore.checked(definition))
    except (Refused, StepFailed, OSError) as error:
        return {**found, "state": states.FAILED, "reason": found["reason"] or in_words(error)}
    properties = definition.properties.shown()
    del properties["kinds"]
    found.update(properties=properties, changes=seen.changes, mounts=seen.mounts, root=seen.root)
    if definition.links:
        # 30 ms to compile, with what it loads, for what most do not have.
        from ..operations import link_drift

        found["links"] = link_drift.of(definition)
    return found


def _services(name: str) -> list[dict[str, t.Any]]:
    every = {*service_file.names(name), *service_note.names(name)}
    return [_service(name, each) for each in sorted(every)]


def _service(namespace: str, name: str) -> dict[str, t.Any]:
    try:
        found = supervisor.look_at(namespace, name)
    except (Refused, StepFailed, OSError) as error:
        known = {"name": name, "namespace": namespace, "pid": None}
        return {**known, "state": states.FAILED, "reason": in_words(error)}
    found.pop("argv", None)  # which may have secrets among its words
    return found


def _as_data(row: drift.Row) -> dict[str, t.Any]:
    observed = table.as_data(row.observed) if row.observed is not None else None
    return {
        "state": row.state,
        "path": row.path,
        "wanted": row.wanted.step().shown().to_data() if row.wanted is not None else None,
        "observed": observed,
        "remark": row.remark,
    }


def _shown(found: dict[str, t.Any]) -> list[str]:
    kinds = [_kind_shown(kind, pin) for kind, pin in found["kinds"].items()]
    record = definitions.path_of(found["name"])
    processes = [
        (str(each["pid"]), str(each["uid"]), each["command"]) for each in found["processes"]
    ]
    lines = [f"{found['name']}: {found['state']}"]
    if found["reason"]:
        lines += _section("reason", [found["reason"]])
    lines += _section("kinds", columns(kinds))
    lines += _section("root", [found["root"]])
    if found["generation"] is not None:
        lines += _section("generation", _generations_shown(found["generation"]))
    lines += _section("at boot", [f"restored from {record}" if found["persistent"] else "gone"])
    for key, value in found["properties"].items():
        text = value if isinstance(value, str) else json.dumps(value)
        lines += _section(key.replace("_", " "), [text])
    if found["shared_by"]:
        lines += _section("shared by", [", ".join(found["shared_by"])])
    lines += _section("processes", columns(processes))
    if found["services"]:
        services = [_SERVICE, *map(_service_shown, found["services"])]
        lines += _section("services", columns(services))
    if found["links"]:
        links = [
            (each["state"], each["name"], each["wanted"], each["observed"] or "-")
            for each in found["links"]
        ]
        lines += _section("links", columns([("STATE", "NAME", "WANTED", "OBSERVED"), *links]))
    if found["mounts"]:
        header = ("STATE", "PATH", "WANTED", "OBSERVED")
        rows = [
            (row.state, row.path, row.wanted.line if row.wanted else "-", _observed(row))
            for row in found["mounts"]
        ]
        lines += _section("mounts", columns([header, *rows]))
    if found["changes"]:
        lines.append(f"`nsctl up {found['name']}` would:")
        lines += [f"  {change}" for change in found["changes"]]
    return lines


def _generations_shown(found: dict[str, t.Any]) -> list[str]:
    before = [f"before {each['number']} {each['made_of']}" for each in found["before"]]
    return [f"{found['number']} {found['made_of']}", *before[::-1]]


def _kind_shown(kind: str, pin: dict[str, t.Any]) -> tuple[str, ...]:
    whose = f"of {pin['shared_with']}" if "shared_with" in pin else ""
    return kind, str(pin["id"]), pin["path"], whose


def _service_shown(found: dict[str, t.Any]) -> tuple[str, ...]:
    ended = found.get("ended")
    restarts = found.get("restarts")
    return (
        found["state"],
        found["name"],
        str(found["pid"] or "-"),
        "-" if restarts is None else str(restarts),
        found.get("reason") or ("-" if ended is None else service_end.in_words(ended)),
    )


def _section(title: str, content: t.Sequence[str]) -> list[str]:
    margin = " " * _MARGIN + "  "
    return [
        (title.rjust(_MARGIN) + "  " if index == 0 else margin) + line
        for index, line in enumerate(content)
    ]


def _observed(row: drift.Row) -> str:
    mount = row.observed
    if mount is None:
        return f"({row.remark})" if row.state == drift.LEFT_OUT and row.remark else "-"
    known = ",".join(redact.words(table.words_of(mount)))
    words = [mount.fstype, redact.address(mount.src) or "none", known]
    if mount.root != "/":
        words[1] += f"[{mount.root}]"
    return " ".join([*words, mount.propagation])
