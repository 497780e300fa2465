# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What there is of a service of systemd: its unit, and its file.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .. import host_paths
from ..definition import service_file
from ..definition.service import ServiceSpec
from ..errors import Refused
from ..install import systemctl

_STARTED = ("active", "reloading", "activating")
_PROPERTIES = (
    "ActiveState,SubState,MainPID,UnitFileState,NeedDaemonReload,NRestarts,Result,RestartSteps"
)


class Kept(t.NamedTuple):
    """The file of the service as it is."""

    # None where there is none, or none that can be read.
    spec: ServiceSpec | None
    # Why it cannot be read.
    damage: Refused | None
    # There is one, or what a killed run left of it.
    is_there: bool


class Unit(t.NamedTuple):
    """The unit as it is."""

    # Of the file; None where there is none.
    text: str | None
    # It runs, starts, or is about to be started once more after a failure.
    lives: bool
    # It runs or starts.
    runs: bool
    # It starts at boot.
    enabled: bool
    # systemd has not read the file since it was written.
    stale: bool
    # Of its main process; 0 without one.
    pid: int
    # How often it was started again after a failure.
    restarts: int
    # Why it ended: success, or such as exit-code and timeout.
    result: str
    # This systemd knows delays of restarts that grow.
    can_grow: bool


NO_UNIT = Unit(None, False, False, False, False, 0, 0, "", False)
NOT_KEPT = Kept(None, None, False)


def path_of(unit: str) -> str:
    """The file of a unit."""
    return f"{host_paths.UNITS}/{unit}"


def kept(namespace: str, name: str) -> Kept:
    """The file of the service. Raises OSError."""
    is_there = service_file.is_there(namespace, name)
    try:
        spec = service_file.read(namespace, name)
    except Refused as error:
        return Kept(None, error, is_there)
    return Kept(spec, None, is_there)


def unit(name: str, *, for_other: bool) -> Unit:
    """The unit of that name; ``for_other`` supervisor nothing but its file is looked for.

    Raises SystemctlFailed, OSError.
    """
    try:
        with open(path_of(name), encoding="utf-8", errors="surrogateescape") as file:
            text: str | None = file.read()
    except FileNotFoundError:
        text = None
    shown = ""
    # Elsewhere it has left files at most, as in the image of a host.
    if systemctl.runs_here() and (text is not None or not for_other):
        shown = systemctl.run("show", "--property", _PROPERTIES, name)
    facts = dict(line.partition("=")[::2] for line in shown.splitlines())
    lives = facts.get("ActiveState") in _STARTED
    return Unit(
        text=text,
        lives=lives,
        runs=lives and facts.get("SubState") != "auto-restart",
        enabled=facts.get("UnitFileState") == "enabled",
        stale=facts.get("NeedDaemonReload") == "yes",
        pid=int(facts.get("MainPID") or 0),
        restarts=int(facts.get("NRestarts") or 0),
        result=facts.get("Result", ""),
        can_grow="RestartSteps" in facts,
    )


def is_nsctl(pid: int) -> bool:
    """Whether it is still about to become the program. Raises ProcessLookupError."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as words:
            return host_paths.COMMAND.encode() in words.read().split(b"\0")[:4]
    except FileNotFoundError as error:
        raise ProcessLookupError from error
