# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The supervisor `none`, for hosts and containers without systemd: start a program, let go of it.

What is known of it is in a note (definition/service_note.py), and what it writes in a file (log_file.py).
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import signal
import typing as t

from ..actions import Action, undo
from ..definition import service_note
from ..definition.service import (
    DEFAULT_SIGNAL_TO_RELOAD,
    DEFAULT_SIGNAL_TO_STOP,
    ServiceSpec,
)
from ..definition.service_note import Note
from ..definition.service_socket import Socket
from ..errors import Refused
from ..launch import credential_files
from ..namespace import cgroups, id_map
from ..namespace.target import Handles, Target
from ..process import kill, pipes, proc, signals, watch
from ..process.program import Program
from ..process.watch import Running
from . import log_file, ready, socket_files, sockets
from .model import Observed, ServiceRequest

if t.TYPE_CHECKING:
    from ..launch.setup import Surroundings
    from ..launch.start import Started

# How long what a program has written may take to be in its log, in seconds.
_WRITING = 5.0


class Plain:
    """See supervisor.Supervisor, which has the documentation of what is public here."""

    needs_nsctl: t.ClassVar[bool] = False

    def __init__(self, request: ServiceRequest) -> None:
        self._request = request
        # Those of the program that stop() has ended, for the one that start() starts.
        self._taken: dict[Socket, int] = {}
        self._log = log_file.path_of(request.spec.namespace, request.spec.name)
        self._note: Note | None = None

    @staticmethod
    def runs_here() -> bool:
        return True

    def check(self) -> None:
        if self._request.enabled:
            raise Refused("without systemd nothing can be enabled", "Leave enabled out.")
        if self._request.spec.ready.notify:
            raise Refused("without systemd there is nobody to notify", "Use ready: {port: ...}.")
        if self._request.spec.restart_policy is not None:
            raise Refused(
                "without systemd nobody starts a service again", "Leave restart_policy out."
            )

    def look(self) -> Observed:
        spec = self._request.spec
        note = self._note = service_note.read(spec.namespace, spec.name)
        runs = note is not None and watch.is_alive(note.process)
        return Observed(
            is_known=note is not None,
            pid=note.process.pid if note is not None and runs else None,
            runs=runs,
            # Workers may have outlived their master, which was killed: they hold its port.
            lives=self._has_forgotten() if note is None else runs or _has_left_behind(note),
            is_outdated=note is not None and not self._wanted().runs_as(note.spec),
            leaves=note is not None or bool(log_file.parts_of(self._log)),
            facts={
                "log": self._log,
                **({} if note is None else {"argv": list(note.spec.program.argv)}),
            },
            spec=None if note is None else note.spec,
        )

    def look_removed(self) -> Observed:
        self._note = None
        return Observed.nothing()

    def predicted(self) -> tuple[ServiceSpec | None, dict[str, t.Any]]:
        if self._request.state == "absent":
            return None, {}
        if self._request.is_to_run or self._note is None:
            return self._wanted(), {}
        return self._note.spec, {}

    def adjust(self, runs_on: bool, /) -> list[Action]:
        note = self._note
        if note is None or not runs_on or self._request.state != "started":
            return []
        spec = self._wanted()
        # How it was known to be up changes nothing of what runs.
        if dataclasses.replace(spec, ready=note.spec.ready) == note.spec:
            return []
        renewed = note._replace(spec=spec)
        return [Action(f"note service {spec.name}", lambda: service_note.write(renewed))]

    @property
    def holds_sockets(self) -> bool:
        return False  # stop() takes them from the program, for start()

    def restart(self) -> None:
        self.stop()
        self.start()

    def start(self) -> None:
        spec, had_log = self._wanted(), bool(log_file.parts_of(self._log))
        self._clear()  # what one that ended by itself has left
        fds: list[int] = []
        try:
            taken, self._taken = {**sockets.left(spec), **self._taken}, {}
            fds = sockets.opened(spec, taken)
            socket_files.settle(spec)
            self._start(spec, fds)
            sockets.close(fds)
        except BaseException as error:
            if fds and self._request.keeps_sockets:
                sockets.leave(spec, fds)
            else:
                sockets.close(fds)
                undo(error, [functools.partial(socket_files.clear, spec.namespace, spec.name)])
            if not had_log:
                undo(error, [self._remove_empty_log])
            raise

    def _start(self, spec: ServiceSpec, fds: t.Sequence[int]) -> None:
        # Written before the program runs.
        notes: list[Note] = []

        def prepare(pid: int) -> None:
            if "user" in spec.kinds:
                id_map.parse("root", id_map.Caller.of_this_process()).write(pid)
            lives_in = proc.ids_of_process(pid, {*handles.kinds, *spec.kinds})
            inodes = sockets.inodes_of(fds)
            notes.append(Note(spec, watch.identify(pid), lives_in, inodes))
            cgroups.give(spec.namespace, spec.name, pid)
            service_note.write(notes[0])

        with self._log_of(cgroups.give) as log, _open(spec) as handles:
            spec.check_places(handles.kinds)
            try:
                self._started(
                    spec.program_with_secrets(),
                    log,
                    joins=handles,
                    creates=spec.kinds,
                    surroundings=_surroundings(spec.kinds),
                    prepare=prepare,
                    service=spec,
                    sockets=fds,
                )
            except BaseException as error:
                log.close()  # what writes it down, which is waited for, ends with the last that has it
                undo(error, [functools.partial(_clear, spec), self._clear, self._restore_note])
                raise
            (note,) = notes
            try:
                if ready.is_up(self._request.spec.ready, note.process, spec.sockets):
                    return
                is_late = watch.is_alive(note.process)
                if not is_late:
                    log.finish()
                raise ready.failed(
                    spec.name,
                    is_late=is_late,
                    lines=log.last_lines(),
                    hint=f"Its output is in {self._log}.",
                )
            except BaseException as error:
                log.close()
                parts: list[t.Callable[[], None]] = [functools.partial(self._end, note)]
                if isinstance(error, OSError):  # of ours, and not of the program
                    parts.append(self._restore_note)
                undo(error, parts)
                raise

    def stop(self) -> None:
        if self._note is not None:
            if self._request.is_to_run:
                self._taken = sockets.taken(self._note, self._wanted())
            self._end(self._note)
        else:
            forgotten = log_file.writing_to(self._log)
            kill.all_of(forgotten, timeout=self._request.spec.stop_timeout)

    def reload(self) -> None:
        spec = self._wanted()
        if self._note is None or not self._tell_to_reload(self._note.process, spec):
            raise Refused(
                f"service {spec.name} ended while it was to be reloaded",
                f"Its output is in {self._log}.",
            )

    def remove(self) -> None:
        self._clear()
        socket_files.clear(self._request.spec.namespace, self._request.spec.name)
        log_file.remove(self._log)
        # Last: by it the next run knows that there is something to remove.
        service_note.remove(self._request.spec.namespace, self._request.spec.name)

    def _remove_empty_log(self) -> None:
        if not any(map(os.path.getsize, log_file.parts_of(self._log))):
            log_file.remove(self._log)

    def _restore_note(self) -> None:
        """Of a program that was not started: what is noted is what was."""
        if self._note is None:
            service_note.remove(self._request.spec.namespace, self._request.spec.name)
        else:
            service_note.write(self._note)

    def _has_forgotten(self) -> bool:
        """Whether a program of it runs of which the note is gone, with the directory in /run."""
        return bool(log_file.parts_of(self._log)) and any(
            map(log_file.writing_to(self._log), proc.all_pids())
        )

    def _wanted(self) -> ServiceSpec:
        """The service as it is to be. Raises Refused where nobody says what the program is."""
        return self._request.spec_over(None if self._note is None else self._note.spec)

    def _end(self, note: Note) -> None:
        """End the program, and what it has left behind."""
        asked = self._request.spec
        name = asked.stop_signal or note.spec.stop_signal or DEFAULT_SIGNAL_TO_STOP
        watch.stop(note.process, number=signals.number_of(name), timeout=asked.stop_timeout)
        cgroups.end(note.spec.namespace, note.spec.name, timeout=asked.stop_timeout)
        kill.all_of(lambda pid: _is_left_behind(note, pid), timeout=asked.stop_timeout)
        self._end_log()
        _clear(note.spec)

    def _end_log(self) -> None:
        """Wait until all that was written is in the log."""
        asked = self._request.spec
        owner = cgroups.log_of(asked.name)
        for pid in cgroups.processes_of(asked.namespace, owner):
            with contextlib.suppress(ProcessLookupError):
                watch.wait_for_end(watch.identify(pid), timeout=_WRITING)
        cgroups.end(asked.namespace, owner, timeout=_WRITING)

    def _clear(self) -> None:
        asked = self._request.spec
        cgroups.end(asked.namespace, asked.name, timeout=asked.stop_timeout)
        self._end_log()
        if self._note is not None:
            _clear(self._note.spec)

    def _tell_to_reload(self, process: Running, spec: ServiceSpec) -> bool:
        """Whether ``process`` was there to be told. Raises Refused."""
        if spec.reload is not None and spec.reload.argv:
            self._run_beside(process, spec.program_with_secrets().replace(argv=spec.reload.argv))
            return True
        name = spec.reload.signal if spec.reload is not None else DEFAULT_SIGNAL_TO_RELOAD
        return watch.send(process, signals.number_of(name))

    def _run_beside(self, process: Running, program: Program) -> None:
        """Run a program in the namespaces of ``process``, to its end. Raises Refused."""
        asked = self._request.spec
        with self._log_of(cgroups.join) as log, Target(pid=process.pid).open() as handles:
            pid = self._started(
                program,
                log,
                joins=handles,
                prepare=lambda pid: cgroups.join(asked.namespace, asked.name, pid),
            ).pid
        helper = watch.identify(pid)
        if watch.wait_for_end(helper, timeout=asked.ready.timeout):
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            why = f"ended with {status}" if status else ""
        else:
            watch.stop(helper, number=signal.SIGKILL, timeout=asked.stop_timeout)
            why = f"did not end within {asked.ready.timeout} seconds"
        log.finish()
        if why:
            raise Refused(
                f"the reload program {program.argv[0]} {why}", f"Its output is in {self._log}."
            )

    @contextlib.contextmanager
    def _log_of(self, place: t.Callable[[str, str, int], None]) -> t.Iterator[log_file.Written]:
        """The log to write to; what writes it down gets its cgroup by ``place``."""
        asked = self._request.spec
        owner = cgroups.log_of(asked.name)
        with log_file.Written(self._log, lambda pid: place(asked.namespace, owner, pid)) as log:
            yield log

    def _started(self, program: Program, log: log_file.Written, **how: t.Any) -> Started:
        """Start the program, which has nothing to read, and writes to the log."""
        # 20 ms to compile, for who only looks.
        from ..launch import start

        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            streams = pipes.Streams(null, log.fd, log.fd)
            return start.start(program, streams=streams, user_variables=True, **how)
        finally:
            os.close(null)


def _clear(spec: ServiceSpec) -> None:
    """Take the credentials of the program away, which has ended."""
    if spec.credentials:
        credential_files.clear(spec.namespace, spec.credentials_directory)


def _is_left_behind(note: Note, pid: int) -> bool:
    """Whether the process is one that the program has left in its session."""
    return watch.is_in_session_of(note.process, pid, lives_in=note.lives_in)


def _has_left_behind(note: Note) -> bool:
    if cgroups.processes_of(note.spec.namespace, note.spec.name):
        return True
    return any(_is_left_behind(note, pid) for pid in proc.all_pids())


def _surroundings(kinds: t.Collection[str]) -> Surroundings:
    """What a program finds in namespaces of its own: lo is up, and /proc is of its own pids."""
    from ..launch.setup import Surroundings  # see _started()

    return Surroundings(
        propagation="private" if "mnt" in kinds else "",
        mount_proc=None if {"mnt", "pid"} <= set(kinds) else False,
        loopback="net" in kinds,
    )


def _open(spec: ServiceSpec) -> Handles:
    """The namespaces to join; those of its own are made from there, as copies where they are that.

    A new pid or user namespace is one of the host's: one process cannot join one and make another.
    """
    handles = Target(namespace=spec.namespace).open()
    own = {"pid", "user"} & set(spec.kinds)
    return handles.only([kind for kind in handles.kinds if kind not in own])
