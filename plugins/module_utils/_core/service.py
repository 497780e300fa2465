# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_service does: keep a program running in a named namespace.

What was started is noted in /run/linux-namespaces/NAME/services/SERVICE.json, before the
program runs, so that a killed run leaves no process that nobody knows.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import signal
import typing as t

from . import kinds, launch, pins, spawn, steps, supervise
from .errors import Refused
from .inside import Inside, open_host_proc
from .layout import Layout
from .targets import Handles, Target

LOGS = "/var/log/linux-namespaces"
_LAST_LINES = 20
_LAST_BYTES = 65536


@dataclasses.dataclass(frozen=True)
class Ready:
    """How a program is known to be up; without port and file as soon as it runs.

    ``notify``: systemd waits until the program tells it, by sd_notify(3).
    """

    port: int | None = None
    address: str = "127.0.0.1"
    file: str = ""
    notify: bool = False
    timeout: float = 30.0


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A service as it should be: see the documentation of ns_service.

    ``program`` is None where the task gives no argv: what was noted is used then.
    """

    namespace: str
    name: str
    state: str = "started"
    program: launch.Program | None = None
    kinds: tuple[str, ...] = ()
    reload_signal: str = ""
    reload_argv: tuple[str, ...] = ()
    stop_signal: str = "TERM"
    stop_timeout: float = 10.0
    ready: Ready = Ready()


@dataclasses.dataclass
class Outcome:
    """What was (or in check mode: would be) done, and the service afterwards."""

    actions: list[str]
    before: dict[str, t.Any]
    after: dict[str, t.Any]
    service: dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Note:
    """What is noted of a service: the program as data, who it is, and how to treat it."""

    program: dict[str, t.Any]
    kinds: tuple[str, ...]
    process: supervise.Running
    reload_signal: str = ""
    reload_argv: tuple[str, ...] = ()
    stop_signal: str = "TERM"


def log_path(namespace: str, name: str) -> str:
    """Where the output of a service goes."""
    return f"{LOGS}/{namespace}/{name}.log"


def _note_path(wanted: Wanted) -> str:
    return f"{pins.directory(wanted.namespace)}/services/{pins.checked_name(wanted.name)}.json"


def _read_note(wanted: Wanted) -> Note | None:
    try:
        with open(_note_path(wanted), encoding="utf-8") as noted:
            content = json.load(noted)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise Refused(f"{_note_path(wanted)} is damaged: {error}", "Remove it.") from error
    return Note(
        program=content["program"],
        kinds=tuple(content["kinds"]),
        process=supervise.Running(**content["process"]),
        reload_signal=content["reload_signal"],
        reload_argv=tuple(content["reload_argv"]),
        stop_signal=content["stop_signal"],
    )


def _write_note(wanted: Wanted, note: Note) -> None:
    content = dataclasses.asdict(note)
    content["process"] = note.process._asdict()
    beside = f"{_note_path(wanted)}.new"
    fd = os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "w", encoding="utf-8") as noted:
        json.dump(content, noted)
    os.rename(beside, _note_path(wanted))


def run(wanted: Wanted, *, check: bool, lock_timeout: float) -> Outcome:
    """Bring the service into its state; in check mode only say how.

    Raises Refused before anything was changed, StepFailed for the step that failed.
    """
    pins.checked_name(wanted.namespace)
    pins.checked_name(wanted.name)
    there = bool(pins.pinned(wanted.namespace))
    if wanted.state == "absent" and not there:
        return Outcome([], {}, {}, _described(wanted, None))
    if not there and not check:
        Target(namespace=wanted.namespace).open()  # says that it does not exist
    if check:
        return _run(wanted, check=True)
    with pins.locked(wanted.namespace, timeout=lock_timeout):
        return _run(wanted, check=False)


def _run(wanted: Wanted, *, check: bool) -> Outcome:
    note = _read_note(wanted)
    before = _described(wanted, note)
    actions = []
    for name, apply in _plan(wanted, note):
        actions.append(name)
        if not check:
            steps.run(name, apply)
    service = _described(wanted, note if check else _read_note(wanted))
    after = dict(before)
    if actions:
        after["state"] = {"restarted": "started", "reloaded": "started"}.get(
            wanted.state, wanted.state
        )
        if wanted.program is not None:
            after["argv"] = list(wanted.program.argv)
    if not check:
        after["state"] = service["state"]
    return Outcome(actions, _for_diff(before), _for_diff(after), service)


def _for_diff(service: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {key: service[key] for key in ("state", "argv") if key in service}


_Steps = list[tuple[str, t.Callable[[], t.Any]]]


def _plan(wanted: Wanted, note: Note | None) -> _Steps:
    title = f"service {wanted.name}"
    is_up = note is not None and supervise.is_alive(note.process)
    stop: _Steps = []
    if note is not None and (is_up or supervise.session_of(note.process)):
        # Workers may have outlived their master, which was killed: they hold its port.
        stop = [(f"stop {title}", functools.partial(_stop, wanted, note))]
    if wanted.state == "absent":
        if note is not None or os.path.exists(log_path(wanted.namespace, wanted.name)):
            stop.append((f"remove {title}", functools.partial(_remove, wanted)))
        return stop
    if wanted.state == "stopped":
        return stop
    program = wanted.program
    if program is None:
        if note is None:
            raise Refused(f"{title} is not known, so argv is needed", "Give argv.")
        program = _program_of(note.program)
    start = (f"start {title}", functools.partial(_start, wanted, program))
    if wanted.state == "restarted" or not is_up:
        return [*stop, start]
    assert note is not None
    if wanted.program is not None and _differs(wanted, note):
        return [*stop, start]
    if wanted.state == "reloaded":
        return [(f"reload {title}", functools.partial(_reload, wanted, note))]
    renewed = _noted(wanted, program, note.process)
    if wanted.program is not None and renewed != note:
        return [(f"note {title}", functools.partial(_write_note, wanted, renewed))]
    return []


def _differs(wanted: Wanted, note: Note) -> bool:
    assert wanted.program is not None
    same_kinds = tuple(sorted(wanted.kinds)) == tuple(sorted(note.kinds))
    return _as_data(wanted.program) != note.program or not same_kinds


def _as_data(program: launch.Program) -> dict[str, t.Any]:
    """The program in the form that it has after being written and read."""
    data: dict[str, t.Any] = json.loads(json.dumps(program._asdict()))
    return data


def _program_of(data: t.Mapping[str, t.Any]) -> launch.Program:
    known = dict(data, argv=tuple(data["argv"]))
    for key in ("groups", "capabilities"):
        known[key] = None if data[key] is None else tuple(data[key])
    known["limits"] = {name: tuple(limit) for name, limit in data["limits"].items()}
    return launch.Program(**known)


def _noted(wanted: Wanted, program: launch.Program, process: supervise.Running) -> Note:
    return Note(
        program=_as_data(program),
        kinds=wanted.kinds,
        process=process,
        reload_signal=wanted.reload_signal,
        reload_argv=wanted.reload_argv,
        stop_signal=wanted.stop_signal,
    )


def _number(name: str) -> int:
    try:
        return signal.Signals[f"SIG{name.upper().replace('SIG', '', 1)}"]
    except KeyError as error:
        raise Refused(f"{name!r} is not the name of a signal", "Such as HUP or TERM.") from error


def _stop(wanted: Wanted, note: Note) -> None:
    number = _number(note.stop_signal)
    supervise.stop(note.process, number=number, timeout=wanted.stop_timeout)


def _remove(wanted: Wanted) -> None:
    log = log_path(wanted.namespace, wanted.name)
    for path in (_note_path(wanted), f"{_note_path(wanted)}.new", log):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    with contextlib.suppress(OSError):  # until the last log has gone
        os.rmdir(os.path.dirname(log))
        os.rmdir(LOGS)


def _reload(wanted: Wanted, note: Note) -> None:
    if wanted.reload_argv or (not wanted.reload_signal and note.reload_argv):
        argv = wanted.reload_argv or note.reload_argv
        program = _program_of(note.program)._replace(argv=argv)
        with _streams(wanted) as streams, Target(pid=note.process.pid).open() as handles:
            child = launch.start(program, streams=streams, joins=handles).pid
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            raise Refused(
                f"the reload program {argv[0]} ended with {status}",
                f"Its output is in {log_path(wanted.namespace, wanted.name)}.",
            )
        return
    name = wanted.reload_signal or note.reload_signal or "HUP"
    if not supervise.send(note.process, _number(name)):
        raise ProcessLookupError(f"process {note.process.pid} has ended")


def _start(wanted: Wanted, program: launch.Program) -> None:
    log = log_path(wanted.namespace, wanted.name)
    with _streams(wanted) as streams, _open(wanted) as handles:
        begin = os.fstat(streams.stdout).st_size

        def note(pid: int) -> None:
            _write_note(wanted, _noted(wanted, program, supervise.identify(pid)))

        started = launch.start(
            program, streams=streams, joins=handles, creates=wanted.kinds, prepare=note
        )
        process = supervise.identify(started.pid)
        if not is_up(wanted, process):
            why = "is not ready" if supervise.is_alive(process) else "ended"
            lines = _tail(log, begin)
            supervise.stop(process, number=signal.SIGTERM, timeout=wanted.stop_timeout)
            raise Refused(
                f"service {wanted.name} {why}: {lines or 'it wrote nothing'}",
                f"Its output is in {log}.",
                log=lines,
            )


def _open(wanted: Wanted) -> Handles:
    handles = Target(namespace=wanted.namespace).open()
    return handles.only([kind for kind in kinds.KINDS if kind not in wanted.kinds])


@contextlib.contextmanager
def _streams(wanted: Wanted) -> t.Iterator[launch.Streams]:
    """Nothing to read, and the log to write to."""
    log = log_path(wanted.namespace, wanted.name)
    os.makedirs(os.path.dirname(log), mode=0o755, exist_ok=True)
    with contextlib.ExitStack() as stack:
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, null)
        flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        output = os.open(log, flags, 0o640)
        stack.callback(os.close, output)
        yield launch.Streams(null, output, output)


def is_up(wanted: Wanted, process: supervise.Running) -> bool:
    """Wait until the service that ``process`` is answers as ready; False when it does not."""
    ready = wanted.ready
    if ready.port is not None:
        answers = functools.partial(supervise.answers, ready.address, ready.port)
        return _wait_inside(answers, wanted, process, {"net", "user"})
    if ready.file:
        host_proc = open_host_proc()
        try:
            return _wait_inside(
                lambda: Inside(host_proc, Layout()).exists(ready.file),
                wanted,
                process,
                {"mnt", "user"},
            )
        finally:
            os.close(host_proc)
    return supervise.is_alive(process)


def _wait_inside(
    is_up: t.Callable[[], bool],
    wanted: Wanted,
    process: supervise.Running,
    names: t.Collection[str],
) -> bool:
    """Wait in the namespaces of the service, which may have some of its own."""
    with Target(pid=process.pid).open().only(names) as handles:
        found: bool = spawn.call(
            lambda: supervise.wait_until(is_up, process, timeout=wanted.ready.timeout),
            joins=handles,
        )
        return found


def _tail(path: str, begin: int) -> str:
    """The last lines that were written to the log since the size ``begin``."""
    with open(path, "rb") as log:
        log.seek(max(begin, log.seek(0, os.SEEK_END) - _LAST_BYTES))
        text = log.read().decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-_LAST_LINES:])


def _described(wanted: Wanted, note: Note | None) -> dict[str, t.Any]:
    is_up = note is not None and supervise.is_alive(note.process)
    described: dict[str, t.Any] = {
        "name": wanted.name,
        "namespace": wanted.namespace,
        "state": "started" if is_up else "stopped" if note is not None else "absent",
        "pid": note.process.pid if note is not None and is_up else None,
        "log": log_path(wanted.namespace, wanted.name),
    }
    if note is not None:
        described["argv"] = list(note.program["argv"])
    return described
