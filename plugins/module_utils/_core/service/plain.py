# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_service does: keep a program running in a named namespace.

By itself, for hosts and containers without systemd: service_unit is for the others.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import signal
import typing as t

from .. import actions as steps
from .. import host_paths
from ..definition import service_note
from ..definition.layout import Layout
from ..definition.service_note import Note
from ..errors import KernelError, Refused
from ..launch import start as launch
from ..launch.setup import Surroundings
from ..mount.view import TargetView, open_host_proc
from ..namespace import enter, id_map, lock, pins
from ..namespace.target import Handles, Target
from ..process import pipes, proc, watch
from ..process.program import Program
from ..storage import atomic

_LAST_LINES = 20
_LAST_BYTES = 65536
# How long a program is watched that nothing else shows to be up: what cannot run ends at once.
_FIRST_SECONDS = 0.2


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
    program: Program | None = None
    kinds: tuple[str, ...] = ()
    reload_signal: str = ""
    reload_argv: tuple[str, ...] = ()
    stop_signal: str = ""
    stop_timeout: float = 10.0
    ready: Ready = Ready()

    def checked(self) -> Wanted:
        """This, when it makes sense by itself. Raises Refused."""
        host_paths.checked_name(self.namespace)
        host_paths.checked_name(self.name)
        for name in (self.stop_signal, self.reload_signal):
            if name:
                _number(name)
        if self.ready.port is not None and not 0 < self.ready.port < 1 << 16:
            raise Refused(f"port must be a number from 1 to 65535, not {self.ready.port}")
        if self.ready.file and not self.ready.file.startswith("/"):
            raise Refused(f"file must be an absolute path, not {self.ready.file!r}")
        return self


@dataclasses.dataclass
class Outcome:
    """What was (or in check mode: would be) done, and the service afterwards."""

    actions: list[str]
    before: dict[str, t.Any]
    after: dict[str, t.Any]
    service: dict[str, t.Any]


def log_path(namespace: str, name: str) -> str:
    """Where the output of a service goes."""
    return f"{host_paths.LOGS}/{namespace}/{name}.log"


def run(wanted: Wanted, *, check: bool, lock_timeout: float) -> Outcome:
    """Bring the service into its state; in check mode only say how.

    Raises Refused before anything was changed, StepFailed for the step that failed.
    """
    wanted.checked()
    lock.check_rights()
    there = bool(pins.pinned(wanted.namespace))
    if not there and not check and wanted.state not in ("stopped", "absent"):
        Target(namespace=wanted.namespace).open()  # says that it does not exist
    if check:
        return _run(wanted, check=True)
    if not there and not _plan(wanted, service_note.read(wanted.namespace, wanted.name)):
        return Outcome([], {}, {}, _described(wanted, None))
    with lock.held(wanted.namespace, timeout=lock_timeout):
        return _run(wanted, check=False)


def _run(wanted: Wanted, *, check: bool) -> Outcome:
    note = service_note.read(wanted.namespace, wanted.name)
    before = _described(wanted, note)
    plan = _plan(wanted, note)
    if not check:
        for name, apply in plan:
            steps.run(name, apply)
        after = _described(wanted, service_note.read(wanted.namespace, wanted.name))
    else:
        after = _predicted(wanted, before) if plan else before
    service = before if check else after
    return Outcome([name for name, _apply in plan], _for_diff(before), _for_diff(after), service)


def _predicted(wanted: Wanted, before: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    state = {"restarted": "started", "reloaded": "started"}.get(wanted.state, wanted.state)
    after = {**before, "state": state}
    if wanted.state == "absent":
        after.pop("argv", None)
    elif wanted.program is not None:
        after["argv"] = list(wanted.program.argv)
    return after


def _for_diff(service: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {key: service[key] for key in ("state", "argv") if key in service}


_Steps = list[tuple[str, t.Callable[[], t.Any]]]


def _plan(wanted: Wanted, note: Note | None) -> _Steps:
    title = f"service {wanted.name}"
    is_up = note is not None and watch.is_alive(note.process)
    stop: _Steps = []
    if note is not None and (is_up or _left_behind(note)):
        # Workers may have outlived their master, which was killed: they hold its port.
        stop = [(f"stop {title}", functools.partial(_stop, wanted, note))]
    if wanted.state == "absent":
        if note is not None or os.path.exists(log_path(wanted.namespace, wanted.name)):
            stop.append((f"remove {title}", functools.partial(_remove, wanted)))
        return stop
    if wanted.state == "stopped":
        return stop
    target = _as_noted(wanted, note)
    start = (f"start {title}", functools.partial(_start, target))
    if wanted.state == "restarted" or note is None or not is_up:
        return [*stop, start]
    if (target.program, target.kinds) != (note.program, note.kinds):
        return [*stop, start]
    if wanted.state == "reloaded":
        return [(f"reload {title}", functools.partial(_reload, target, note))]
    renewed = target.note(note.process, note.lives_in)
    if renewed != note:
        return [(f"note {title}", functools.partial(_write, wanted, renewed))]
    return []


class _Target(t.NamedTuple):
    """What is to run: what the task says, or what was noted."""

    program: Program
    kinds: tuple[str, ...]
    reload_signal: str
    reload_argv: tuple[str, ...]
    stop_signal: str
    wanted: Wanted

    def note(self, process: watch.Running, lives_in: dict[str, int]) -> Note:
        return Note(
            self.program,
            self.kinds,
            process,
            lives_in,
            self.reload_signal,
            self.reload_argv,
            self.stop_signal,
        )


def _as_noted(wanted: Wanted, note: Note | None) -> _Target:
    """What is to run: all of it as the task says, or without argv all of it as it was noted."""
    how = wanted if wanted.program is not None else note
    if how is None or how.program is None:
        raise Refused(f"service {wanted.name} is not known, so argv is needed", "Give argv.")
    reloads = wanted if wanted.reload_signal or wanted.reload_argv else how
    return _Target(
        program=how.program,
        kinds=tuple(sorted(how.kinds)),
        reload_signal=reloads.reload_signal,
        reload_argv=reloads.reload_argv,
        stop_signal=wanted.stop_signal or how.stop_signal,
        wanted=wanted,
    )


def _left_behind(note: Note) -> list[watch.Running]:
    """What the program has left in its session.

    A foreign session may have got the number since, once all of the program had ended: its
    processes live in other namespaces.
    """
    return watch.session_of(note.process, lives_in=note.lives_in)


def _write(wanted: Wanted, note: Note) -> None:
    service_note.write(wanted.namespace, wanted.name, note)


def _number(name: str) -> int:
    try:
        return signal.Signals[f"SIG{name.upper().replace('SIG', '', 1)}"]
    except KeyError as error:
        raise Refused(f"{name!r} is not the name of a signal", "Such as HUP or TERM.") from error


def _stop(wanted: Wanted, note: Note) -> None:
    number = _number(wanted.stop_signal or note.stop_signal or "TERM")
    watch.stop(note.process, number=number, timeout=wanted.stop_timeout)
    watch.kill(lambda: _left_behind(note), timeout=wanted.stop_timeout)


def _remove(wanted: Wanted) -> None:
    service_note.remove(wanted.namespace, wanted.name)
    log = log_path(wanted.namespace, wanted.name)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(log)
    with contextlib.suppress(OSError):  # until the last log has gone
        os.rmdir(os.path.dirname(log))
        os.rmdir(host_paths.LOGS)


def _reload(target: _Target, note: Note) -> None:
    if not target.reload_argv:
        if not watch.send(note.process, _number(target.reload_signal or "HUP")):
            raise Refused(f"process {note.process.pid} has ended while it was to be reloaded")
        return
    wanted = target.wanted
    argv = target.reload_argv
    with _streams(wanted) as streams, Target(pid=note.process.pid).open() as handles:
        program = target.program.replace(argv=argv)
        pid = launch.start(program, streams=streams, joins=handles).pid
    process = watch.identify(pid)
    if watch.wait_for_end(process, timeout=wanted.ready.timeout):
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        why = f"ended with {status}" if status else ""
    else:
        watch.stop(process, number=signal.SIGKILL, timeout=wanted.stop_timeout)
        why = f"did not end within {wanted.ready.timeout} seconds"
    if why:
        raise Refused(
            f"the reload program {argv[0]} {why}",
            f"Its output is in {log_path(wanted.namespace, wanted.name)}.",
        )


def _start(target: _Target) -> None:
    wanted = target.wanted
    log = log_path(wanted.namespace, wanted.name)

    def prepare(pid: int) -> None:
        if "user" in target.kinds:
            id_map.parse("root", id_map.Caller.of_this_process()).write(pid)
        lives_in.update(proc.ids_of_process(pid, {*handles.names, *target.kinds}))
        _write(wanted, target.note(watch.identify(pid), lives_in))

    lives_in: dict[str, int] = {}
    with _streams(wanted) as streams, _open(target) as handles:
        begin = os.fstat(streams.stdout).st_size
        started = launch.start(
            target.program,
            streams=streams,
            joins=handles,
            creates=target.kinds,
            surroundings=_surroundings(target.kinds),
            prepare=prepare,
        )
        process = watch.identify(started.pid)
        if not is_up(wanted, process):
            why = "is not ready" if watch.is_alive(process) else "ended"
            lines = _tail(log, begin)
            _stop(wanted, target.note(process, lives_in))
            raise Refused(
                f"service {wanted.name} {why}: {lines or 'it wrote nothing'}",
                f"Its output is in {log}.",
                log=lines,
            )


def _surroundings(kinds: t.Collection[str]) -> Surroundings:
    """What a program finds in namespaces of its own: lo is up, and /proc is of its own pids."""
    return Surroundings(
        propagation="private" if "mnt" in kinds else "",
        mount_proc=None if {"mnt", "pid"} <= set(kinds) else False,
        loopback="net" in kinds,
    )


def _open(target: _Target) -> Handles:
    """The namespaces to join; those of its own are made from there, as copies where they are that.

    A new pid or user namespace is one of the host's: one process cannot join one and make another.
    """
    handles = Target(namespace=target.wanted.namespace).open()
    own = {"pid", "user"} & set(target.kinds)
    return handles.only([kind for kind in handles.names if kind not in own])


@contextlib.contextmanager
def _streams(wanted: Wanted) -> t.Iterator[pipes.Streams]:
    """Nothing to read, and the log to write to."""
    log = log_path(wanted.namespace, wanted.name)
    atomic.make_directory(os.path.dirname(log), mode=0o755)
    with contextlib.ExitStack() as stack:
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, null)
        flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        output = os.open(log, flags, 0o640)
        stack.callback(os.close, output)
        yield pipes.Streams(null, output, output)


def is_up(wanted: Wanted, process: watch.Running) -> bool:
    """Wait until the service that ``process`` is answers as ready; False when it does not."""
    ready = wanted.ready
    if ready.port is not None:
        answers = functools.partial(watch.answers, ready.address, ready.port)
        return _wait_inside(answers, wanted, process, {"net", "user"})
    if ready.file:
        host_proc = open_host_proc()
        try:
            return _wait_inside(
                lambda: TargetView(host_proc, Layout()).exists(ready.file),
                wanted,
                process,
                {"mnt", "user"},
            )
        finally:
            os.close(host_proc)
    return not watch.wait_for_end(process, timeout=_FIRST_SECONDS)


def _wait_inside(
    is_up: t.Callable[[], bool],
    wanted: Wanted,
    process: watch.Running,
    names: t.Collection[str],
) -> bool:
    """Wait in the namespaces of the service, which may have some of its own."""
    with contextlib.ExitStack() as stack:
        ends_within = stack.enter_context(watch.watched(process))
        try:
            handles = stack.enter_context(Target(pid=process.pid).open().only(names))
            found: bool = enter.call(
                lambda: watch.wait_until(is_up, ends_within, timeout=wanted.ready.timeout),
                joins=handles,
            )
        except (Refused, KernelError):
            if watch.is_alive(process):
                raise
            return False  # it ended before it was joined
        return found


def _tail(path: str, begin: int) -> str:
    """The last lines that were written to the log since the size ``begin``."""
    with open(path, "rb") as log:
        log.seek(max(begin, log.seek(0, os.SEEK_END) - _LAST_BYTES))
        text = log.read().decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-_LAST_LINES:])


def _described(wanted: Wanted, note: Note | None) -> dict[str, t.Any]:
    is_up = note is not None and watch.is_alive(note.process)
    described: dict[str, t.Any] = {
        "name": wanted.name,
        "namespace": wanted.namespace,
        "state": "started" if is_up else "stopped" if note is not None else "absent",
        "pid": note.process.pid if note is not None and is_up else None,
        "log": log_path(wanted.namespace, wanted.name),
    }
    if note is not None:
        described["argv"] = list(note.program.argv)
    return described
