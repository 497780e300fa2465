# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_service does on hosts with systemd: a unit that enters the namespace by nsctl.

The unit's main process is the program itself: nsctl joins the namespaces and becomes it.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import time
import types
import typing as t

from .. import actions as steps
from .. import host_paths
from ..errors import Refused
from ..install import boot_unit, host_command, systemctl
from ..namespace import lock, pins
from ..namespace.target import Target
from ..process import watch
from ..process.program import Program
from ..storage import atomic
from . import systemd_unit
from .plain import Outcome, Wanted, is_up

_LAST_LINES = "20"
_PAUSE = 0.02
# What nsctl cannot give a program without staying beside it, or without owning all the rest.
_NOT_PRIVATE = ("pid", "time", "user")


class _Seen(t.NamedTuple):
    """The unit as it is: its text or None, and what systemd says of it.

    ``active`` also while it starts, but not while systemd waits to start it once more after a
    failure; ``restarts`` is how often it did. ``result`` is why it ended, "success" or such as
    "exit-code" and "timeout".
    """

    text: str | None
    active: bool
    enabled: bool
    stale: bool
    pid: int
    restarts: int
    result: str


def run(
    wanted: Wanted,
    nsctl: types.ModuleType,
    *,
    enabled: bool | None,
    check: bool,
    lock_timeout: float,
) -> Outcome:
    """Bring the service into its state; in check mode only say how.

    ``enabled`` is whether it starts at boot, None to leave that as it is. Raises Refused before
    anything was changed, StepFailed for the step that failed.
    """
    wanted.checked()
    private = sorted(set(wanted.kinds) & set(_NOT_PRIVATE))
    if private:
        raise Refused(
            f"a service of systemd cannot have a {private[0]} namespace of its own",
            f"Give it to the named namespace ({private[0]} in kinds of ns_namespace), or use "
            "supervisor: none.",
        )
    there = bool(pins.pinned(wanted.namespace))
    actions = []
    if wanted.state not in ("absent", "stopped"):
        if wanted.program is None and not os.path.exists(_path(wanted)):
            raise Refused(f"service {wanted.name} is not known, so argv is needed", "Give argv.")
        if not there and not check:
            Target(namespace=wanted.namespace).open()  # says that it does not exist
        # Before the lock is taken: a boot unit that is started waits for it.
        actions += host_command.present(nsctl, check=check)
        if not check:
            boot_unit.wait()
    locks = there and not check
    with lock.held(wanted.namespace, timeout=lock_timeout) if locks else contextlib.nullcontext():
        before = _look(wanted)
        for name, apply in _plan(wanted, before, enabled):
            actions.append(name)
            if not check:
                steps.run(name, apply)
        if not check and wanted.state == "absent":
            actions += host_command.absent(check=False)
    after = before if check else _look(wanted)
    predicted = _predicted(wanted, before, enabled) if check and actions else _for_diff(after)
    return Outcome(actions, _for_diff(before), predicted, _described(wanted, after))


def _path(wanted: Wanted) -> str:
    return f"{systemctl.UNITS}/{_name(wanted)}"


def _name(wanted: Wanted) -> str:
    return systemd_unit.file_name(wanted.namespace, wanted.name)


def _look(wanted: Wanted) -> _Seen:
    try:
        with open(_path(wanted), encoding="utf-8", errors="surrogateescape") as unit:
            text: str | None = unit.read()
    except FileNotFoundError:
        text = None
    names = "ActiveState,SubState,MainPID,UnitFileState,NeedDaemonReload,NRestarts,Result"
    shown = systemctl.run("show", "--property", names, _name(wanted))
    facts = dict(line.partition("=")[::2] for line in shown.splitlines())
    return _Seen(
        text=text,
        active=facts.get("ActiveState") in ("active", "reloading", "activating")
        and facts.get("SubState") != "auto-restart",
        enabled=facts.get("UnitFileState") == "enabled",
        stale=facts.get("NeedDaemonReload") == "yes",
        pid=int(facts.get("MainPID") or 0),
        restarts=int(facts.get("NRestarts") or 0),
        result=facts.get("Result", ""),
    )


_Steps = list[tuple[str, t.Callable[[], t.Any]]]


def _plan(wanted: Wanted, seen: _Seen, enabled: bool | None) -> _Steps:
    title = f"service {wanted.name}"
    if wanted.state == "absent":
        if seen.text is None and not seen.active:
            return []
        return [(f"remove {title}", functools.partial(_remove, wanted))]
    if wanted.state == "stopped" and wanted.program is None and seen.text is None:
        return []
    text = _text(wanted, seen)
    changed = text != seen.text
    start = (f"start {title}", functools.partial(_start, wanted))
    stop = (f"stop {title}", functools.partial(systemctl.run, "stop", _name(wanted)))
    runs = seen.active
    plan: _Steps = []
    # First of all: a run that is killed after it wrote the unit would leave the old program
    # running, and nothing that tells so.
    if runs and (changed or wanted.state in ("stopped", "restarted")):
        plan.append(stop)
        runs = False
    if changed:
        plan.append((f"write the unit of {title}", functools.partial(_write, wanted, text)))
    elif seen.stale:
        plan.append(
            (f"reread the unit of {title}", functools.partial(systemctl.run, "daemon-reload"))
        )
    if enabled is not None and enabled != seen.enabled:
        verb = "enable" if enabled else "disable"
        plan.append((f"{verb} {title}", functools.partial(systemctl.run, verb, _name(wanted))))
    if wanted.state == "stopped":
        return plan
    if not runs:
        return [*plan, start]
    if wanted.state == "reloaded":
        plan.append((f"reload {title}", functools.partial(_reload, wanted)))
    return plan


def _text(wanted: Wanted, seen: _Seen) -> str:
    program = wanted.program
    if program is None:
        return seen.text or ""
    return systemd_unit.text(_unit(wanted, program))


def _unit(wanted: Wanted, program: Program) -> systemd_unit.Unit:
    pinned = pins.pinned(wanted.namespace)
    return systemd_unit.Unit(
        namespace=wanted.namespace,
        name=wanted.name,
        program=program,
        joins=tuple(kind for kind in pinned if kind not in wanted.kinds) if wanted.kinds else (),
        creates=wanted.kinds,
        is_child="pid" in pinned,
        reload_signal=wanted.reload_signal,
        reload_argv=wanted.reload_argv,
        stop_signal=wanted.stop_signal,
        stop_timeout=wanted.stop_timeout,
        notify_timeout=wanted.ready.timeout if wanted.ready.notify else None,
    )


def _write(wanted: Wanted, text: str) -> None:
    atomic.write(_path(wanted), text, mode=0o644)
    systemctl.run("daemon-reload")


def _start(wanted: Wanted) -> None:
    with contextlib.suppress(Refused):  # it is not loaded
        # Otherwise one that failed too often a moment ago is not started.
        systemctl.run("reset-failed", _name(wanted))
    began = time.time()
    with contextlib.suppress(Refused):  # what became of it is looked at
        systemctl.run("start", _name(wanted))
    process = _program(wanted)
    if process is not None and (wanted.ready.notify or is_up(wanted, process)):
        return
    seen = _look(wanted)
    is_late = seen.result == "timeout" or (process is not None and watch.is_alive(process))
    lines = _journal(wanted, began)
    with contextlib.suppress(Refused):
        systemctl.run("stop", _name(wanted))
    raise Refused(
        f"service {wanted.name} {'is not ready' if is_late else 'ended'}: "
        f"{lines or 'it wrote nothing'}",
        f"Its output is in the journal: journalctl --unit {_name(wanted)}.",
        log=lines,
    )


def _program(wanted: Wanted) -> watch.Running | None:
    """The process of the unit once it is the program itself; None where it ended."""
    deadline = time.monotonic() + wanted.ready.timeout
    while time.monotonic() < deadline:
        seen = _look(wanted)
        if not seen.active or seen.restarts:
            return None
        with contextlib.suppress(ProcessLookupError):
            process = watch.identify(seen.pid)
            if not _is_nsctl(seen.pid):
                return process
        time.sleep(_PAUSE)
    return None


def _is_nsctl(pid: int) -> bool:
    """Whether it is still about to become the program. Raises ProcessLookupError."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as words:
            return host_paths.COMMAND.encode() in words.read().split(b"\0")[:4]
    except FileNotFoundError as error:
        raise ProcessLookupError from error


def _journal(wanted: Wanted, began: float) -> str:
    """The last lines that the program wrote since; without any, what systemd says of it."""
    unit = _name(wanted)
    since = ("--quiet", "--output=cat", "--lines", _LAST_LINES, f"--since=@{began:.6f}")
    try:
        # What came out of a program that has ended may not be in the journal yet.
        _run("journalctl", "--sync")
        written = _run("journalctl", *since, f"_SYSTEMD_UNIT={unit}")
        return (written.stdout or _run("journalctl", *since, f"--unit={unit}").stdout).strip()
    except FileNotFoundError:
        return ""


def _reload(wanted: Wanted) -> None:
    if "\nExecReload=" not in (_look(wanted).text or ""):
        systemctl.run("kill", "--kill-who=main", "--signal=HUP", _name(wanted))
        return
    began = time.time()
    try:
        systemctl.run("reload", _name(wanted))
    except Refused as error:
        lines = _journal(wanted, began)
        raise Refused(
            f"service {wanted.name} cannot be reloaded: {lines or error.reason}",
            f"Its output is in the journal: journalctl --unit {_name(wanted)}.",
            log=lines,
        ) from error


def _remove(wanted: Wanted) -> None:
    unit = _name(wanted)
    for verb in ("stop", "disable"):
        with contextlib.suppress(Refused):  # where the unit file is gone already
            systemctl.run(verb, unit)
    atomic.remove(_path(wanted))
    systemctl.run("daemon-reload")
    with contextlib.suppress(Refused):  # nothing is remembered of it
        systemctl.run("reset-failed", unit)


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
    )


def _state(seen: _Seen) -> str:
    return "started" if seen.active else "stopped" if seen.text is not None else "absent"


def _for_diff(seen: _Seen) -> dict[str, t.Any]:
    return {"state": _state(seen), "enabled": seen.enabled, "unit": "\n" + (seen.text or "")}


def _predicted(wanted: Wanted, seen: _Seen, enabled: bool | None) -> dict[str, t.Any]:
    if wanted.state == "absent":
        return {"state": "absent", "enabled": False, "unit": "\n"}
    return {
        "state": "stopped" if wanted.state == "stopped" else "started",
        "enabled": seen.enabled if enabled is None else enabled,
        "unit": "\n" + _text(wanted, seen),
    }


def _described(wanted: Wanted, seen: _Seen) -> dict[str, t.Any]:
    return {
        "name": wanted.name,
        "namespace": wanted.namespace,
        "state": _state(seen),
        "pid": seen.pid or None,
        "enabled": seen.enabled,
        "unit": _path(wanted),
        "log": f"journalctl --unit {_name(wanted)}",
    }
