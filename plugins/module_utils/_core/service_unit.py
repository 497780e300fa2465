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
import shutil
import subprocess
import time
import typing as t

from . import install, pins, steps, supervise, unit_text
from .becoming import Program
from .errors import Refused
from .service import Outcome, Wanted, is_up
from .targets import Target

DIRECTORY = "/etc/systemd/system"
_LAST_LINES = "20"
# What nsctl cannot give a program without staying beside it, or without owning all the rest.
_NOT_PRIVATE = ("pid", "time", "user")


def runs_here() -> bool:
    """Whether systemd manages this host (sd_booted(3))."""
    return os.path.isdir("/run/systemd/system") and shutil.which("systemctl") is not None


class _Seen(t.NamedTuple):
    """The unit as it is: its text or None, and what systemd says of it."""

    text: str | None
    active: bool
    failed: bool
    enabled: bool
    stale: bool
    pid: int


def run(wanted: Wanted, *, enabled: bool | None, check: bool, lock_timeout: float) -> Outcome:
    """Bring the service into its state; in check mode only say how.

    ``enabled`` is whether it starts at boot, None to leave that as it is. Raises Refused before
    anything was changed, StepFailed for the step that failed.
    """
    pins.checked_name(wanted.namespace)
    pins.checked_name(wanted.name)
    private = sorted(set(wanted.kinds) & set(_NOT_PRIVATE))
    if private:
        raise Refused(
            f"a service of systemd cannot have a {private[0]} namespace of its own",
            f"Give it to the named namespace ({private[0]} in kinds of ns_namespace), or use "
            "supervisor: none.",
        )
    there = bool(pins.pinned(wanted.namespace))
    if not there and not check and wanted.state not in ("absent", "stopped"):
        Target(namespace=wanted.namespace).open()  # says that it does not exist
    locks = there and not check
    with pins.locked(wanted.namespace, timeout=lock_timeout) if locks else contextlib.nullcontext():
        before = _look(wanted)
        actions = []
        for name, apply in _plan(wanted, before, enabled):
            actions.append(name)
            if not check:
                steps.run(name, apply)
        if not check and wanted.state == "absent":
            actions += install.absent(check=False)
    after = before if check else _look(wanted)
    predicted = _predicted(wanted, before, enabled) if check and actions else _for_diff(after)
    return Outcome(actions, _for_diff(before), predicted, _described(wanted, after))


def _path(wanted: Wanted) -> str:
    return f"{DIRECTORY}/{_name(wanted)}"


def _name(wanted: Wanted) -> str:
    return unit_text.file_name(wanted.namespace, wanted.name)


def _look(wanted: Wanted) -> _Seen:
    try:
        with open(_path(wanted), encoding="utf-8", errors="surrogateescape") as unit:
            text: str | None = unit.read()
    except FileNotFoundError:
        text = None
    names = "ActiveState,MainPID,UnitFileState,NeedDaemonReload"
    shown = _systemctl("show", "--property", names, _name(wanted))
    facts = dict(line.partition("=")[::2] for line in shown.splitlines())
    return _Seen(
        text=text,
        active=facts.get("ActiveState") in ("active", "reloading", "activating"),
        failed=facts.get("ActiveState") == "failed",
        enabled=facts.get("UnitFileState") == "enabled",
        stale=facts.get("NeedDaemonReload") == "yes",
        pid=int(facts.get("MainPID") or 0),
    )


_Steps = list[tuple[str, t.Callable[[], t.Any]]]


def _plan(wanted: Wanted, seen: _Seen, enabled: bool | None) -> _Steps:
    title = f"service {wanted.name}"
    if wanted.state == "absent":
        if seen.text is None and not seen.active:
            return []
        return [(f"remove {title}", functools.partial(_remove, wanted))]
    plan: _Steps = []
    text = _text(wanted, seen)
    if text != seen.text:
        if install.present(check=True):
            plan.append(("install nsctl", functools.partial(install.present, check=False)))
        plan.append((f"write the unit of {title}", functools.partial(_write, wanted, text)))
    elif seen.stale:
        plan.append((f"reread the unit of {title}", functools.partial(_systemctl, "daemon-reload")))
    if enabled is not None and enabled != seen.enabled:
        verb = "enable" if enabled else "disable"
        plan.append((f"{verb} {title}", functools.partial(_systemctl, verb, _name(wanted))))
    changed = seen.text is not None and text != seen.text
    start = (f"start {title}", functools.partial(_start, wanted))
    stop = (f"stop {title}", functools.partial(_systemctl, "stop", _name(wanted)))
    if wanted.state == "stopped":
        return [*plan, stop] if seen.active else plan
    if not seen.active:
        return [*plan, start]
    if wanted.state == "restarted" or (changed and wanted.program is not None):
        return [*plan, stop, start]
    if wanted.state == "reloaded":
        return [*plan, (f"reload {title}", functools.partial(_reload, wanted))]
    return plan


def _text(wanted: Wanted, seen: _Seen) -> str:
    program = wanted.program
    if program is None:
        if seen.text is None:
            raise Refused(f"service {wanted.name} is not known, so argv is needed", "Give argv.")
        return seen.text
    return unit_text.text(_unit(wanted, program))


def _unit(wanted: Wanted, program: Program) -> unit_text.Unit:
    joins: tuple[str, ...] = ()
    if wanted.kinds:
        joins = tuple(kind for kind in pins.pinned(wanted.namespace) if kind not in wanted.kinds)
    return unit_text.Unit(
        namespace=wanted.namespace,
        name=wanted.name,
        program=program,
        joins=joins,
        creates=wanted.kinds,
        reload_signal=wanted.reload_signal,
        reload_argv=wanted.reload_argv,
        stop_signal=wanted.stop_signal or "TERM",
        stop_timeout=wanted.stop_timeout,
        notify=wanted.ready.notify,
    )


def _write(wanted: Wanted, text: str) -> None:
    beside = f"{_path(wanted)}.new"
    with open(beside, "w", encoding="utf-8", errors="surrogateescape") as unit:
        unit.write(text)
        unit.flush()
        os.fsync(unit.fileno())
    os.rename(beside, _path(wanted))
    _systemctl("daemon-reload")


def _start(wanted: Wanted) -> None:
    began = time.time()
    try:
        _systemctl("start", _name(wanted))
        process = supervise.identify(_look(wanted).pid)
        why = "" if is_up(wanted, process) else "is not ready"
    except (Refused, ProcessLookupError):
        why = "does not start"
    if not why:
        return
    if not _look(wanted).active:
        why = "ended"
    lines = _journal(wanted, began)
    _systemctl("stop", _name(wanted))
    raise Refused(
        f"service {wanted.name} {why}: {lines or 'it wrote nothing'}",
        f"Its output is in the journal: journalctl --unit {_name(wanted)}.",
        log=lines,
    )


def _journal(wanted: Wanted, began: float) -> str:
    words = ["journalctl", "--unit", _name(wanted), "--lines", _LAST_LINES, "--output", "cat"]
    words += ["--no-pager", "--quiet", f"--since=@{int(began)}"]
    try:
        shown = subprocess.run(words, check=False, capture_output=True, text=True, errors="replace")
    except FileNotFoundError:
        return ""
    return shown.stdout.strip()


def _reload(wanted: Wanted) -> None:
    if wanted.reload_signal or wanted.reload_argv or "\nExecReload=" in (_look(wanted).text or ""):
        _systemctl("reload", _name(wanted))
    else:
        _systemctl("kill", "--kill-who=main", "--signal=HUP", _name(wanted))


def _remove(wanted: Wanted) -> None:
    unit = _name(wanted)
    for verb in ("stop", "disable"):
        with contextlib.suppress(Refused):  # where the unit file is gone already
            _systemctl(verb, unit)
    for path in (_path(wanted), f"{_path(wanted)}.new"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    _systemctl("daemon-reload")
    with contextlib.suppress(Refused):  # nothing is remembered of it
        _systemctl("reset-failed", unit)


def _systemctl(*words: str) -> str:
    """Run systemctl and return what it prints. Raises Refused with what it says."""
    done = subprocess.run(
        ["systemctl", "--no-ask-password", *words],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise Refused(f"systemctl {' '.join(words)} failed: {done.stderr.strip()}")
    return done.stdout


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
