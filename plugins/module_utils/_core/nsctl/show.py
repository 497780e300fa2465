# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl show: one named namespace, what it should be and what it is.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import json
import typing as t

from ..definition import file as definitions
from ..definition.properties import Properties
from ..facts import drift, named, parts, states
from ..printable import Shown
from . import FAILED, compared, complain, say, say_data, screen
from .arguments import JSON, Given, Verb, WrongUsage
from .columns import columns, wrapped

VERB = Verb(
    "show",
    "one named namespace, what it should be and what it is",
    operands="NAME",
    text="""\
Prints what is wrong with it first, then its kinds with their ids (as in lsns(8)) and pins, its root, its
properties, who shares a kind of it, the processes inside, its services, and
its interfaces and mounts, wanted and observed side by side. Of a service of
systemd it says how often systemd has started it again, and how it ended
last. Paths are named as they are inside now. A mount's state, and likewise
that of an interface, is

ok         It is as wanted.
missing    Nothing is mounted there.
differs    Something else is mounted there, or with other options.
surplus    Nobody asked for it, and it did not come from the host.
left out   Nothing is mounted there, and need not be: its source does not
           exist and it has nofail, or it has noauto.
""",
    options=(JSON,),
    form="""\
A dictionary: what `nsctl list` has, and properties, shared_by (names),
changes (what `nsctl up` would do), mounts (state, path, wanted, observed,
remark), links (state, name, wanted, observed, peer), files (state, path: those
that somebody has changed), services (name, namespace, state, pid, supervisor,
changes, and by supervisor enabled, unit, log, restarts, ended).
""",
    exits="0 whatever differs, 1 where the name is unknown, 2 for wrong usage.",
)

_MARGIN = 12
_GAP = "  "
_BESIDE = _MARGIN + len(_GAP)
_SERVICES = ("STATE", "NAME", "PID", "RESTARTS", "LAST END")
_LINKS = ("STATE", "NAME", "WANTED", "OBSERVED")
_MOUNTS = ("STATE", "PATH", "WANTED", "OBSERVED")
_FILES = ("STATE", "PATH")


def run(verb: str, given: Given) -> int:
    """The verb. Raises WrongUsage, OSError."""
    if len(given.operands) != 1:
        raise WrongUsage("name one namespace")
    (answer,) = named.of_many(given.operands, parts.PARTS)
    if isinstance(answer, str):
        return complain(verb, answer, FAILED)
    found = _flat(answer)
    if "json" in given.switches:
        say_data(found)
    else:
        say(*_shown(found))
    return 0


def _flat(found: dict[str, t.Any]) -> dict[str, t.Any]:
    """What there is to say of a name, with what differs beside the rest."""
    definition, differences = found.pop(parts.DEFINITION) or {}, found.pop(parts.DRIFT)
    properties = {key: definition[key] for key in Properties.__slots__ if key in definition}
    properties.pop("kinds", None)
    lacking = {each["name"]: each["changes"] for each in differences.pop("services")}
    for each in found[parts.SERVICES]:
        each["changes"] = lacking.get(each["name"], [])
    return {**found, "properties": properties, **differences}


def _shown(found: dict[str, t.Any]) -> list[str]:
    lines: list[str] = [Shown(f"{screen.heading(found['name'])}: {screen.painted(found['state'])}")]
    if found["reason"]:
        lines += _section("reason", [found["reason"]])
    if found["changes"]:
        lines.append(f"`nsctl up {found['name']}` would:")
        for change in found["changes"]:
            lines += wrapped(change, indent="  ")
    tables = [
        _table("services", _SERVICES, map(_service, found["services"])),
        _table("files", _FILES, map(_file, found["files"])),
        _table("links", _LINKS, map(_link, found["links"])),
        _table("mounts", _MOUNTS, map(_mount, found["mounts"])),
    ]
    for is_wrong, table in tables:
        lines += table if is_wrong else ()
    lines += _of_all(found)
    for is_wrong, table in tables:
        lines += table if not is_wrong else ()
    return lines


def _of_all(found: dict[str, t.Any]) -> list[str]:
    """What every one has."""
    lines = _section("kinds", _columns([_kind(*item) for item in found["kinds"].items()]))
    lines += _section("root", [found["root"]])
    if found["generation"] is not None:
        lines += _section("generation", _generations_shown(found["generation"]))
    record = definitions.path_of(found["name"])
    lines += _section("at boot", [f"restored from {record}" if found["persistent"] else "gone"])
    for key, value in found["properties"].items():
        text = value if isinstance(value, str) else json.dumps(value)
        lines += _section(key.replace("_", " "), [text])
    if found["shared_by"]:
        lines += _section("shared by", [", ".join(found["shared_by"])])
    processes = [
        (str(each["pid"]), str(each["uid"]), each["command"]) for each in found["processes"]
    ]
    return lines + _section("processes", _columns(processes))


def _generations_shown(found: dict[str, t.Any]) -> list[str]:
    before = [f"before {each['number']} {each['made_of']}" for each in found["before"]]
    return [f"{found['number']} {found['made_of']}", *before[::-1]]


def _kind(kind: str, pin: dict[str, t.Any]) -> tuple[str, ...]:
    whose = f"of {pin['shared_with']}" if "shared_with" in pin else ""
    return kind, str(pin["id"]), pin["path"], whose


# Whether something has to be done about it, and its cells.
_Row = tuple[bool, tuple[str, ...]]


def _service(found: dict[str, t.Any]) -> _Row:
    restarts = found.get("restarts")
    return bool(found["changes"]) or found["state"] == states.FAILED, (
        found["state"],
        found["name"],
        str(found["pid"] or "-"),
        "-" if restarts is None else str(restarts),
        compared.last_end(found) or "-",
    )


def _file(found: dict[str, t.Any]) -> _Row:
    return True, (found["state"], found["path"])


def _link(found: dict[str, t.Any]) -> _Row:
    cells = found["state"], found["name"], found["wanted"] or "-", found["observed"] or "-"
    return compared.is_wrong(found), cells


def _mount(found: dict[str, t.Any]) -> _Row:
    observed = compared.observed_mount(found)
    if not observed and found["state"] == drift.LEFT_OUT and found["remark"]:
        observed = f"({found['remark']})"
    cells = found["state"], found["path"], compared.wanted_mount(found) or "-", observed or "-"
    return compared.is_wrong(found), cells


def _table(title: str, titles: tuple[str, ...], rows: t.Iterable[_Row]) -> tuple[bool, list[str]]:
    """A section of these rows, those first that something has to be done about; and whether there are any."""
    ordered = sorted(rows, key=lambda row: not row[0])
    if not ordered:
        return False, []
    lines = _columns([titles, *[cells for _is_wrong, cells in ordered]], has_titles=True)
    return ordered[0][0], _section(title, lines)


def _columns(rows: t.Sequence[t.Sequence[str]], *, has_titles: bool = False) -> list[Shown]:
    return columns(rows, beside=_BESIDE, has_titles=has_titles)


def _section(title: str, content: t.Sequence[str]) -> list[str]:
    """Lines below a title at their side; those that nobody has fitted yet are wrapped."""
    lines: list[Shown] = []
    for line in content:
        lines += [line] if isinstance(line, Shown) else wrapped(line, beside=_BESIDE)
    heads = [screen.heading(title.rjust(_MARGIN)), *[" " * _MARGIN] * (len(lines) - 1)]
    return [Shown(f"{head}{_GAP}{line}") for head, line in zip(heads, lines)]
