# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl check: what this host can, of what the collection uses.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..facts import host
from ..facts.host_look import LIMITED, MISSING, OK, UNKNOWN
from . import FAILED, say, say_data
from .arguments import JSON, Given, Verb, WrongUsage
from .columns import columns

VERB = Verb(
    "check",
    "what this host can, and what it lacks",
    operands="",
    text="""\
Looks for what the collection uses: calls of the kernel, namespaces and how
many are allowed, file systems, interfaces, programs, and where it can be
written. What is missing comes first, with what needs it and what to do:

required  Next to nothing works without it.
limited   It is there, and less of it than there could be.
optional  It is missing, and what names it cannot be done, or is done in
          another way.
unknown   The caller may not see it, or nothing on the host says it.

Nothing is made, changed or loaded to find out, and no program run. A plain
user may ask as well.
""",
    options=(JSON,),
    form="""\
{"kernel": "6.1.0-44-amd64", "machine": "x86_64", "os": "Debian GNU/Linux
12 (bookworm)", "hostname": "web1", "python": "3.11.2", "cgroup": 2,
"systemd": true, "problems": 0, "checks": [{"name": "mount namespaces",
"state": "ok", "required": true, "found": "at most 31193, 3 seen",
"needed_for": "all but the modules that only look", "remedy": ""}]}

cgroup    2 or 1; "hybrid" where both are mounted, null where none is.
problems  How many that are required are missing.
state     ok, limited, missing or unknown.
remedy    What to do; empty where the state is ok, or nothing is known.
""",
    exits="0 when all that is required is there, 1 when some is missing, 2 for wrong usage.",
    examples=("nsctl check", "nsctl check --json"),
)

# Title, state, and whether it is about what is required; None for both.
_SECTIONS: tuple[tuple[str, str, bool | None], ...] = (
    ("missing, and required:", MISSING, True),
    ("limited:", LIMITED, None),
    ("missing, optional:", MISSING, False),
    ("unknown:", UNKNOWN, None),
)
_INDENT = "  "


def run(_verb: str, given: Given) -> int:
    """The verb. Raises WrongUsage."""
    if given.operands:
        raise WrongUsage("it is about this host: name nothing")
    found = host.facts()
    if "json" in given.switches:
        say_data(found)
    else:
        say(*shown(found))
    return FAILED if found["problems"] else 0


def shown(found: dict[str, t.Any]) -> list[str]:
    """What there is on a host, in lines."""
    cgroup = f"cgroup {found['cgroup']}" if found["cgroup"] else "no cgroups"
    about = [
        f"Linux {found['kernel']} {found['machine']}",
        *filter(None, [found["os"]]),
        f"Python {found['python']}",
        cgroup,
        "systemd" if found["systemd"] else "no systemd",
    ]
    lines = [f"{found['hostname']}: {', '.join(about)}"]
    for title, state, required in _SECTIONS:
        chosen = [
            each
            for each in found["checks"]
            if each["state"] == state and required in (None, each["required"])
        ]
        if chosen:
            lines += ["", title, *_with_remedies(chosen)]
    there = [each for each in found["checks"] if each["state"] == OK]
    if there:
        rows = [(each["name"], each["found"]) for each in there]
        lines += ["", "there:", *columns(rows, indent=_INDENT)]
    return lines


def _with_remedies(checks: t.Sequence[dict[str, t.Any]]) -> t.Iterator[str]:
    rows = columns([(each["name"], each["found"]) for each in checks], indent=_INDENT)
    for row, each in zip(rows, checks):
        yield row
        yield f"{2 * _INDENT}for {each['needed_for']}"
        if each["remedy"]:
            yield f"{2 * _INDENT}{each['remedy']}"
