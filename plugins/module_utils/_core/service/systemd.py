# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The supervisor `systemd`, on hosts that it manages: a unit that enters the namespace by nsctl.

The unit's main process is the program itself: nsctl reads what it is (definition/service_file.py),
joins the namespaces and becomes it.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import time
import typing as t

from .. import host_paths, kinds
from ..actions import Action
from ..definition import file as definitions
from ..definition import service_end, service_file
from ..definition.service import DEFAULT_SIGNAL_TO_RELOAD, ServiceSpec
from ..errors import Refused
from ..install import systemctl
from ..install.systemctl import SystemctlFailed
from ..namespace import pins
from ..printable import in_sentence
from ..process import watch
from ..process.watch import Running
from ..storage import atomic, removal
from . import journal, ready, systemd_unit
from .model import Observed, ServiceRequest

_PAUSE = 0.02
_STARTED = ("active", "reloading", "activating")


class _Kept(t.NamedTuple):
    """The file of the service as it is."""

    # None where there is none, or none that can be read.
    spec: ServiceSpec | None
    # Why it cannot be read.
    damage: Refused | None
    # There is one, or what a killed run left of it.
    is_there: bool


class _Unit(t.NamedTuple):
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


_NONE = _Unit(None, False, False, False, False, 0, 0, "", False)
_PROPERTIES = (
    "ActiveState,SubState,MainPID,UnitFileState,NeedDaemonReload,NRestarts,Result,RestartSteps"
)
_NOTHING = _Kept(None, None, False)


class Systemd:
    """See supervisor.Supervisor, which has the documentation of what is public here."""

    needs_nsctl: t.ClassVar[bool] = True

    def __init__(self, request: ServiceRequest) -> None:
        self._request = request
        self._names = (request.spec.namespace, request.spec.name)
        self._name = host_paths.unit_name(*self._names)
        self._path = _path(self._name)
        self._hint = f"Its output is in the journal: journalctl --unit {self._name}."
        self._seen = _NONE
        self._kept = _NOTHING

    @staticmethod
    def runs_here() -> bool:
        return systemctl.runs_here()

    def check(self) -> None:
        if not systemctl.runs_here():
            raise Refused("systemd does not manage this host", "Use supervisor: none.")
        # What nsctl gives the program without staying beside it.
        private = sorted(set(self._request.spec.kinds) - set(kinds.IN_PLACE))
        if private:
            raise Refused(
                f"a service of systemd cannot have a {private[0]} namespace of its own",
                f"Give it to the named namespace ({private[0]} in kinds of ns_namespace), or use "
                "supervisor: none.",
            )

    def look(self) -> Observed:
        seen, kept = self._seen, self._kept = self._unit(), _kept(*self._names)
        self._check_kept()
        wanted = self._wanted()
        return Observed(
            is_known=seen.text is not None,
            pid=seen.pid or None,
            runs=seen.runs,
            lives=seen.lives,
            is_outdated=wanted is not None and not self._runs_as(wanted),
            leaves=seen.text is not None or kept.is_there or seen.lives,
            facts={
                "enabled": seen.enabled,
                "unit": self._path,
                "log": f"journalctl --unit {self._name}",
                "restarts": seen.restarts,
                "ended": service_end.read(*self._names),
            },
            spec=kept.spec,
            shown=_shown(seen.enabled, seen.text),
        )

    def look_removed(self) -> Observed:
        self._seen, self._kept = _NONE._replace(can_grow=self._unit().can_grow), _NOTHING
        return dataclasses.replace(Observed.nothing(), shown=_shown(False, None))

    def predicted(self) -> tuple[ServiceSpec | None, dict[str, t.Any]]:
        if self._request.state == "absent":
            return None, _shown(False, None)
        wanted, enabled = self._wanted(), self._request.enabled
        text = self._seen.text if wanted is None else self._text(wanted)
        return wanted, _shown(self._seen.enabled if enabled is None else enabled, text)

    def adjust(self, _runs_on: bool, /) -> list[Action]:
        title, planned = f"service {self._request.spec.name}", []
        wanted = self._wanted()
        if wanted is not None and self._is_to_be_kept(wanted):
            keep = functools.partial(service_file.write, wanted)
            planned.append(Action(f"note {title}", keep))
        if wanted is not None and not self._has_unit(wanted):
            write = functools.partial(self._write, self._text(wanted))
            planned.append(Action(f"write the unit of {title}", write))
        elif self._seen.stale:
            read = functools.partial(systemctl.run, "daemon-reload")
            planned.append(Action(f"reread the unit of {title}", read))
        enabled = self._request.enabled
        if enabled is not None and enabled != self._seen.enabled:
            verb = "enable" if enabled else "disable"
            act = functools.partial(self._enable, verb)
            planned.append(Action(f"{verb} {title}", act))
        elif self._seen.enabled and self._is_misplaced:
            act = functools.partial(self._enable, "reenable")
            planned.append(Action(f"enable {title} anew", act))
        return planned

    def start(self) -> None:
        asked = self._request.spec
        with contextlib.suppress(SystemctlFailed):  # it is not loaded
            # Otherwise one that failed too often a moment ago is not started.
            systemctl.run("reset-failed", self._name)
        began = time.monotonic()
        with contextlib.suppress(SystemctlFailed):  # what became of it is looked at
            systemctl.run("start", self._name)
        try:
            process = self._program()
            if process is not None and (asked.ready.notify or ready.is_up(asked.ready, process)):
                return
            seen = self._unit()
            is_late = seen.result == "timeout" or (process is not None and watch.is_alive(process))
            lines = journal.written_since(self._name, began)
            raise ready.failed(asked.name, is_late=is_late, lines=lines, hint=self._hint)
        except BaseException:
            # Otherwise systemd starts it again and again, and the next task takes it for up.
            with contextlib.suppress(SystemctlFailed):
                systemctl.run("stop", self._name)
            raise

    def stop(self) -> None:
        systemctl.run("stop", self._name)

    def reload(self) -> None:
        wanted = self._wanted()
        if wanted is None or wanted.reload is None:
            signal = f"--signal={DEFAULT_SIGNAL_TO_RELOAD}"
            systemctl.run("kill", "--kill-who=main", signal, self._name)
            return
        began = time.monotonic()
        try:
            systemctl.run("reload", self._name)
        except SystemctlFailed as error:
            lines = journal.written_since(self._name, began)
            raise Refused(
                f"service {self._request.spec.name} cannot be reloaded: {in_sentence(lines) or error.reason}",
                self._hint,
                log=lines,
            ) from error

    def remove(self) -> None:
        _remove(*self._names)

    def _check_kept(self) -> None:
        """Raises Refused where the request needs the file of the service, which tells nothing."""
        request, kept = self._request, self._kept
        if request.state == "absent":
            return
        if kept.damage is not None:
            raise kept.damage
        if request.is_to_run and not request.gives_program and self._seen.text and not kept.spec:
            raise Refused(
                f"{service_file.path_of(*self._names)} is missing, so argv is needed",
                "Give argv. Version 0.1.0 of the collection wrote all of the service into its "
                "unit, where everybody can read it.",
            )

    def _wanted(self) -> ServiceSpec | None:
        """The service as it is to be; None where nobody says what its program is."""
        return self._request.spec_or_none(self._kept.spec)

    def _text(self, wanted: ServiceSpec) -> str:
        name, coming = wanted.namespace, self._request.coming
        known = coming.kinds if coming else {*pins.pinned(name), *pins.shared(name)}
        # Of a namespace that is down it cannot be told, so that stays as it is.
        is_child = "pid" in known if known else systemd_unit.is_child(self._seen.text or "")
        return systemd_unit.text(
            wanted,
            is_child=is_child,
            persistent=self._is_persistent,
            can_grow=self._seen.can_grow,
        )

    def _has_unit(self, wanted: ServiceSpec) -> bool:
        return self._text(wanted) == self._seen.text

    def _runs_as(self, wanted: ServiceSpec) -> bool:
        known = self._kept.spec
        if known is None or not wanted.runs_as(known):
            return False
        # When it is started again is heeded once systemd has read it.
        return any(
            self._has_unit(dataclasses.replace(wanted, restart_policy=policy))
            for policy in (wanted.restart_policy, known.restart_policy)
        )

    def _is_to_be_kept(self, wanted: ServiceSpec) -> bool:
        """Whether the file of the service is to be written."""
        known = self._kept.spec
        if known is None:
            return True
        if self._has_unit(wanted):
            # How it was known to be up is of the task that started it.
            wanted = dataclasses.replace(wanted, ready=known.ready)
        return wanted != known

    def _unit(self) -> _Unit:
        try:
            with open(self._path, encoding="utf-8", errors="surrogateescape") as unit:
                text: str | None = unit.read()
        except FileNotFoundError:
            text = None
        shown = ""
        # Elsewhere it has left files at most, as in the image of a host; and for another supervisor
        # nothing but a unit is looked for.
        if systemctl.runs_here() and (text is not None or self._request.supervisor != "none"):
            shown = systemctl.run("show", "--property", _PROPERTIES, self._name)
        facts = dict(line.partition("=")[::2] for line in shown.splitlines())
        lives = facts.get("ActiveState") in _STARTED
        return _Unit(
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

    @property
    def _is_persistent(self) -> bool:
        coming = self._request.coming
        return coming.persistent if coming else definitions.has_record(self._names[0])

    @property
    def _is_misplaced(self) -> bool:
        """Whether it starts with what an earlier version had it start with, or a lasting namespace."""
        other = systemd_unit.wanted_by(self._names[0], persistent=not self._is_persistent)
        return os.path.lexists(f"{host_paths.UNITS}/{other}.wants/{self._name}")

    def _write(self, text: str) -> None:
        atomic.write(self._path, text, mode=0o644)
        systemctl.run("daemon-reload")

    def _enable(self, verb: str) -> None:
        systemctl.run(verb, self._name)
        # When its links are on disk systemctl leaves to the kernel.
        wanted_by = systemd_unit.wanted_by(self._names[0], persistent=self._is_persistent)
        for path in (f"{host_paths.UNITS}/{wanted_by}.wants/{self._name}", self._path):
            with contextlib.suppress(FileNotFoundError):  # there is none any more
                atomic.sync_above(path)

    def _program(self) -> Running | None:
        """The process of the unit once it is the program itself; None where it ended."""
        deadline = time.monotonic() + self._request.spec.ready.timeout
        while time.monotonic() < deadline:
            seen = self._unit()
            if not seen.runs or seen.restarts:
                return None
            with contextlib.suppress(ProcessLookupError):
                process = watch.identify(seen.pid)
                if not _is_nsctl(seen.pid):
                    return process
            time.sleep(_PAUSE)
        return None


def discard(namespace: str, name: str) -> None:
    """End a service, and remove all that is kept of it. Raises SystemctlFailed, OSError."""
    unit = host_paths.unit_name(namespace, name)
    if systemctl.runs_here() and os.path.lexists(_path(unit)):
        systemctl.run("stop", unit)
    _remove(namespace, name)


def _remove(namespace: str, name: str) -> None:
    unit, asks = host_paths.unit_name(namespace, name), systemctl.runs_here()
    if asks:
        with contextlib.suppress(SystemctlFailed):  # where the unit file is gone already
            systemctl.run("disable", unit)
    # By the unit the run after one that was killed knows that something is left.
    removal.remove_path(host_paths.drop_ins(unit))
    atomic.remove(_path(unit))
    service_file.remove(namespace, name)
    service_end.remove(namespace, name)
    if asks:
        systemctl.run("daemon-reload")
        with contextlib.suppress(SystemctlFailed):  # nothing is remembered of it
            systemctl.run("reset-failed", unit)


def _path(unit: str) -> str:
    return f"{host_paths.UNITS}/{unit}"


def _kept(namespace: str, name: str) -> _Kept:
    is_there = service_file.is_there(namespace, name)
    try:
        spec = service_file.read(namespace, name)
    except Refused as error:
        return _Kept(None, error, is_there)
    return _Kept(spec, None, is_there)


def _shown(enabled: bool, text: str | None) -> dict[str, t.Any]:
    """For the diff: the lines of the unit, a tuple, come below its title."""
    lines = systemd_unit.without_values(text or "").split("\n")
    return {"enabled": enabled, "unit": tuple(lines)}


def _is_nsctl(pid: int) -> bool:
    """Whether it is still about to become the program. Raises ProcessLookupError."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as words:
            return host_paths.COMMAND.encode() in words.read().split(b"\0")[:4]
    except FileNotFoundError as error:
        raise ProcessLookupError from error
