# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a host can, of what this collection uses: the table of checks, and what it says of a host.

Nothing is made or changed to find out, and no program run. A plain user is told what only root sees.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import itertools
import os
import typing as t

from .. import once
from ..install import systemctl
from . import host_calls, host_kernel, host_limits, host_place, host_tools
from .host_look import LIMITED, MISSING, UNKNOWN, Check, Found, Host

CHECKS: tuple[Check, ...] = (
    *host_place.CHECKS,
    *host_limits.CHECKS,
    *host_calls.CHECKS,
    *host_kernel.CHECKS,
    *host_tools.CHECKS,
)
_OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")


def facts() -> dict[str, t.Any]:
    """What there is on this host: see nsctl/check.py for the form."""
    with once.Look():
        host = Host()
        uname = os.uname()
        checks = [_as_data(check, _looked(check, host)) for check in CHECKS]
        return {
            "kernel": uname.release,
            "machine": uname.machine,
            "os": next(filter(None, (os_name(host.text(path)) for path in _OS_RELEASE)), ""),
            "hostname": uname.nodename,
            "python": host_place.python_version(),
            "cgroup": host_place.cgroup_version(host),
            "systemd": systemctl.runs_here(),
            "problems": sum(each["required"] and each["state"] == MISSING for each in checks),
            "checks": checks,
        }


def _looked(check: Check, host: Host) -> Found:
    try:
        return check.look(host)
    except OSError as error:
        return Found(UNKNOWN, str(error))


def _as_data(check: Check, found: Found) -> dict[str, t.Any]:
    remedy = found.remedy
    if found.state in (LIMITED, MISSING):
        since = f"Linux {check.since} and newer have it." if check.since else ""
        remedy = remedy or check.remedy or since
    return {
        "name": check.name,
        "state": found.state,
        "required": check.required,
        "found": found.text,
        "needed_for": check.needed_for,
        "remedy": remedy,
    }


def os_name(text: str) -> str:
    """What the distribution calls itself, by the text of os-release(5)."""
    fields = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
    return (fields.get("PRETTY_NAME") or fields.get("NAME") or "").strip("\"'")


# Around the section of README.md that requirements() writes.
BEGIN = "<!-- requirements: begin -->"
END = "<!-- requirements: end -->"
_KERNEL = "Linux {} or newer"


def requirements() -> str:
    """What hosts need, as a section of README.md in Markdown: between BEGIN and END, those included."""
    kernel, python = host_place.CHECKS[:2]
    needed = f"Hosts need {kernel.name} and {python.name} or newer, with nothing beside its standard library."
    lines = [
        BEGIN,
        "",
        needed,
        "`nsctl check` says what of all this a host has, and what to do about the rest.",
        "",
        "| required | for |",
        "|---|---|",
        *_rows(check for check in CHECKS[2:] if check.required),
        "",
        "All else is for what names it:",
        "",
        "| optional | for |",
        "|---|---|",
        *_rows(check for check in CHECKS if not check.required),
        "",
        END,
        "",
    ]
    return "\n".join(lines)


def _rows(checks: t.Iterable[Check]) -> t.Iterator[str]:
    """A row for those that follow each other and are needed for the same."""
    for (needed_for, since), group in itertools.groupby(
        checks, key=lambda check: (check.needed_for, check.since)
    ):
        names = ", ".join(check.name for check in group)
        newer = f" ({_KERNEL.format(since)})" if since else ""
        yield f"| {names}{newer} | {needed_for} |"
