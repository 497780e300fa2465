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
from ..definition import service_end, service_file, service_outdated
from ..definition.service import DEFAULT_SIGNAL_TO_RELOAD, ServiceSpec
from ..errors import Refused
from ..install import systemctl
from ..install.systemctl import SystemctlFailed
from ..namespace import pins
from ..printable import in_sentence
from ..process import watch
from ..process.watch import Running
from ..storage import atomic, removal
from . import (
    journal,
    ready,
    socket_files,
    systemd_look,
    systemd_socket,
    systemd_unit,
)
from .model import Observed, ServiceRequest

_PAUSE = 0.02


class Systemd:
    """See supervisor.Supervisor, which has the documentation of what is public here."""

    needs_nsctl: t.ClassVar[bool] = True

    def __init__(self, request: ServiceRequest) -> None:
        self._request = request
        self._names = (request.spec.namespace, request.spec.name)
        self._name = host_paths.unit_name(*self._names)
        self._path = systemd_look.path_of(self._name)
        self._hint = f"Its output is in the journal: journalctl --unit {self._name}."
        self._seen = systemd_look.NO_UNIT
        self._sockets = systemd_socket.NONE
        self._kept = systemd_look.NOT_KEPT

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
        seen, kept = self._seen, self._kept = self._unit(), systemd_look.kept(*self._names)
        self._sockets = systemd_socket.look(*self._names)
        self._check_kept()
        wanted = self._wanted()
        # A connection would start one that is stopped.
        lives = seen.lives or self._sockets.is_open
        return Observed(
            is_known=seen.text is not None,
            pid=seen.pid or None,
            runs=seen.runs,
            lives=lives,
            is_outdated=wanted is not None and not self._runs_as(wanted),
            leaves=seen.text is not None
            or kept.is_there
            or lives
            or systemd_socket.is_there(*self._names),
            facts={
                "enabled": seen.enabled,
                "unit": self._path,
                "log": f"journalctl --unit {self._name}",
                "restarts": seen.restarts,
                "ended": service_end.read(*self._names),
            },
            spec=kept.spec,
            shown=_shown(seen.enabled, seen.text, self._sockets.text),
        )

    def look_removed(self) -> Observed:
        self._seen = systemd_look.NO_UNIT._replace(can_grow=self._unit().can_grow)
        self._sockets, self._kept = systemd_socket.NONE, systemd_look.NOT_KEPT
        return dataclasses.replace(Observed.nothing(), shown=_shown(False, None))

    def predicted(self) -> tuple[ServiceSpec | None, dict[str, t.Any]]:
        if self._request.state == "absent":
            return None, _shown(False, None)
        wanted, enabled = self._wanted(), self._request.enabled
        text = self._seen.text if wanted is None else self._text(wanted)
        sockets = self._sockets.text if wanted is None else self._socket_text(wanted)
        return wanted, _shown(self._seen.enabled if enabled is None else enabled, text, sockets)

    def adjust(self, _runs_on: bool, /) -> list[Action]:
        title, planned = f"service {self._request.spec.name}", []
        wanted = self._wanted()
        if wanted is not None and self._is_to_be_kept(wanted):
            keep = functools.partial(self._keep, wanted)
            planned.append(Action(f"note {title}", keep))
        if wanted is not None and not self._has_unit(wanted):
            write = functools.partial(self._write, wanted)
            planned.append(Action(f"write the unit of {title}", write))
        elif self._seen.stale or self._sockets.is_stale:
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

    @property
    def holds_sockets(self) -> bool:
        wanted = self._wanted()
        return (
            wanted is not None
            and bool(wanted.sockets)
            and self._sockets.is_open
            and self._sockets.text == self._socket_text(wanted)
        )

    def start(self) -> None:
        self._bring_up("start")

    def restart(self) -> None:
        self._bring_up("restart")

    def _bring_up(self, verb: str) -> None:
        asked, wanted = self._request.spec, self._wanted()
        sockets = wanted.sockets if wanted is not None else ()
        with contextlib.suppress(SystemctlFailed):  # it is not loaded
            # Otherwise one that failed too often a moment ago is not started.
            systemctl.run("reset-failed", *self._units)
        began = time.monotonic()
        with contextlib.suppress(SystemctlFailed):  # what became of it is looked at
            systemctl.run(verb, self._name)
        try:
            process = self._program()
            if process is not None and (
                asked.ready.notify or ready.is_up(asked.ready, process, sockets)
            ):
                service_outdated.forget(*self._names)
                return
            seen = self._unit()
            is_late = seen.result == "timeout" or (process is not None and watch.is_alive(process))
            raise ready.failed(
                asked.name, is_late=is_late, lines=self._written_since(began), hint=self._hint
            )
        except BaseException:
            # Otherwise systemd starts it again and again, and the next task takes it for up.
            with contextlib.suppress(SystemctlFailed):
                systemctl.run(
                    "stop", *(self._units[:1] if self._request.keeps_sockets else self._units)
                )
            raise

    def _written_since(self, began: float) -> str:
        """What the program wrote; where its sockets could not be opened, why."""
        sockets = systemd_socket.look(*self._names)
        is_missing = bool(sockets.text) and not sockets.is_open
        return journal.written_since(self._units[-1] if is_missing else self._name, began)

    def stop(self) -> None:
        systemctl.run("stop", *self._units)
        service_outdated.forget(*self._names)

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

    @property
    def _units(self) -> list[str]:
        """That of the service, and then that of its sockets, where there is one."""
        has_sockets = systemd_socket.is_there(*self._names)
        return [self._name, *([systemd_socket.name_of(*self._names)] if has_sockets else [])]

    def _socket_text(self, wanted: ServiceSpec) -> str:
        return systemd_socket.wanted_text(
            wanted,
            self._request.coming,
            persistent=self._is_persistent,
            seen=self._sockets.text,
        )

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
        is_same = self._text(wanted) == self._seen.text
        return is_same and self._socket_text(wanted) == self._sockets.text

    def _runs_as(self, wanted: ServiceSpec) -> bool:
        known = self._kept.spec
        if known is None or not wanted.runs_as(known):
            return False
        if service_outdated.is_noted(*self._names):
            return False
        if wanted.sockets and self._seen.runs and not self._sockets.is_open:
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

    def _unit(self) -> systemd_look.Unit:
        return systemd_look.unit(self._name, for_other=self._request.supervisor == "none")

    @property
    def _is_persistent(self) -> bool:
        coming = self._request.coming
        return coming.persistent if coming else definitions.has_record(self._names[0])

    @property
    def _is_misplaced(self) -> bool:
        """Whether it starts with what an earlier version had it start with, or a lasting namespace."""
        other = systemd_unit.wanted_by(self._names[0], persistent=not self._is_persistent)
        return os.path.lexists(f"{host_paths.UNITS}/{other}.wants/{self._name}")

    def _keep(self, wanted: ServiceSpec) -> None:
        self._note_outdated()
        service_file.write(wanted)

    def _write(self, wanted: ServiceSpec) -> None:
        self._note_outdated()
        systemd_socket.write(*self._names, self._socket_text(wanted))
        atomic.write(self._path, self._text(wanted), mode=0o644)
        systemctl.run("daemon-reload")

    def _note_outdated(self) -> None:
        # Where all is stopped before it is written there is no need for that: see supervisor.plan().
        if self._request.is_to_run and self.holds_sockets and self._seen.lives:
            service_outdated.note(*self._names)

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
                if not systemd_look.is_nsctl(seen.pid):
                    return process
            time.sleep(_PAUSE)
        return None


def discard(namespace: str, name: str) -> None:
    """End a service, and remove all that is kept of it. Raises SystemctlFailed, OSError."""
    units = _units_of(namespace, name)
    if systemctl.runs_here() and units:
        systemctl.run("stop", *units)
    _remove(namespace, name)


def _units_of(namespace: str, name: str) -> list[str]:
    """Those of which there is a file."""
    both = host_paths.unit_name(namespace, name), systemd_socket.name_of(namespace, name)
    return [unit for unit in both if os.path.lexists(systemd_look.path_of(unit))]


def _remove(namespace: str, name: str) -> None:
    unit, asks = host_paths.unit_name(namespace, name), systemctl.runs_here()
    units = _units_of(namespace, name) if asks else []
    if asks:
        with contextlib.suppress(SystemctlFailed):  # where the unit file is gone already
            systemctl.run("disable", unit)
    # By the unit the run after one that was killed knows that something is left.
    socket_files.clear(namespace, name)
    systemd_socket.remove(namespace, name)
    removal.remove_path(host_paths.drop_ins(unit))
    atomic.remove(systemd_look.path_of(unit))
    service_file.remove(namespace, name)
    service_end.remove(namespace, name)
    service_outdated.forget(namespace, name)
    if asks:
        systemctl.run("daemon-reload")
        with contextlib.suppress(SystemctlFailed):  # nothing is remembered of it
            systemctl.run("reset-failed", *dict.fromkeys([unit, *units]))


def _shown(enabled: bool, text: str | None, sockets: str = "") -> dict[str, t.Any]:
    """For the diff: the lines of a unit, a tuple, come below its title."""
    lines = systemd_unit.without_values(text or "").split("\n")
    found = {"enabled": enabled, "unit": tuple(lines)}
    return {**found, **({"unit of its sockets": tuple(sockets.split("\n"))} if sockets else {})}
