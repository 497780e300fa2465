# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The supervisor `none`, for hosts and containers without systemd: start a program, let go of it.

What is known of it is in a note (definition/service_note.py), and what it writes in a file.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import typing as t

from .. import host_paths
from ..actions import Action
from ..definition import service_note
from ..definition.service import (
    DEFAULT_SIGNAL_TO_RELOAD,
    DEFAULT_SIGNAL_TO_STOP,
    ServiceSpec,
    signal_number,
)
from ..definition.service_note import Note
from ..errors import Refused
from ..launch import credential_files, start
from ..launch.setup import Surroundings
from ..namespace import cgroups, id_map
from ..namespace.target import Handles, Target
from ..process import kill, pipes, proc, watch
from ..process.program import Program
from ..process.watch import Running
from ..storage import atomic
from . import ready
from .model import Observed, ServiceRequest

_LAST_LINES = 20
_LAST_BYTES = 65536


def log_path(namespace: str, name: str) -> str:
    """Where the output of a service goes."""
    return f"{host_paths.LOGS}/{namespace}/{name}.log"


class Plain:
    """See supervisor.Supervisor, which has the documentation of what is public here."""

    needs_nsctl: t.ClassVar[bool] = False

    def __init__(self, request: ServiceRequest) -> None:
        self._request = request
        self._log = log_path(request.spec.namespace, request.spec.name)
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
            lives=note is not None and (runs or _has_left_behind(note)),
            is_outdated=note is not None and not self._wanted().runs_as(note.spec),
            leaves=note is not None or os.path.exists(self._log),
            facts={
                "log": self._log,
                **({} if note is None else {"argv": list(note.spec.program.argv)}),
            },
            spec=None if note is None else note.spec,
        )

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

    def start(self) -> None:
        spec = self._wanted()
        self._clear()  # what one that ended by itself has left
        lives_in: dict[str, int] = {}

        def prepare(pid: int) -> None:
            if "user" in spec.kinds:
                id_map.parse("root", id_map.Caller.of_this_process()).write(pid)
            lives_in.update(proc.ids_of_process(pid, {*handles.kinds, *spec.kinds}))
            cgroups.give(spec.namespace, spec.name, pid)
            service_note.write(Note(spec, watch.identify(pid), lives_in))

        with self._streams() as streams, _open(spec) as handles:
            spec.check_place_of_credentials(handles.kinds)
            begin = os.fstat(streams.stdout).st_size
            try:
                started = start.start(
                    spec.program_with_secrets(),
                    streams=streams,
                    joins=handles,
                    creates=spec.kinds,
                    surroundings=_surroundings(spec.kinds),
                    prepare=prepare,
                    service=spec,
                )
            except BaseException:
                _clear(spec)
                raise
            process = watch.identify(started.pid)
            try:
                if ready.is_up(self._request.spec.ready, process):
                    return
                raise ready.failed(
                    spec.name,
                    is_late=watch.is_alive(process),
                    lines=_tail(self._log, begin),
                    hint=f"Its output is in {self._log}.",
                )
            except BaseException:
                self._end(Note(spec, process, lives_in))
                raise

    def stop(self) -> None:
        if self._note is not None:
            self._end(self._note)

    def reload(self) -> None:
        spec = self._wanted()
        if self._note is None or not self._tell_to_reload(self._note.process, spec):
            raise Refused(
                f"service {spec.name} ended while it was to be reloaded",
                f"Its output is in {self._log}.",
            )

    def remove(self) -> None:
        self._clear()
        service_note.remove(self._request.spec.namespace, self._request.spec.name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._log)
        with contextlib.suppress(OSError):  # until the last log has gone
            os.rmdir(os.path.dirname(self._log))
            os.rmdir(host_paths.LOGS)

    def _wanted(self) -> ServiceSpec:
        """The service as it is to be. Raises Refused where nobody says what the program is."""
        return self._request.spec_over(None if self._note is None else self._note.spec)

    def _end(self, note: Note) -> None:
        """End the program, and what it has left behind."""
        asked = self._request.spec
        name = asked.stop_signal or note.spec.stop_signal or DEFAULT_SIGNAL_TO_STOP
        watch.stop(note.process, number=signal_number(name), timeout=asked.stop_timeout)
        cgroups.end(note.spec.namespace, note.spec.name, timeout=asked.stop_timeout)
        kill.all_of(lambda pid: _is_left_behind(note, pid), timeout=asked.stop_timeout)
        _clear(note.spec)

    def _clear(self) -> None:
        asked = self._request.spec
        cgroups.end(asked.namespace, asked.name, timeout=asked.stop_timeout)
        if self._note is not None:
            _clear(self._note.spec)

    def _tell_to_reload(self, process: Running, spec: ServiceSpec) -> bool:
        """Whether ``process`` was there to be told. Raises Refused."""
        if spec.reload is not None and spec.reload.argv:
            self._run_beside(process, spec.program_with_secrets().replace(argv=spec.reload.argv))
            return True
        name = spec.reload.signal if spec.reload is not None else DEFAULT_SIGNAL_TO_RELOAD
        return watch.send(process, signal_number(name))

    def _run_beside(self, process: Running, program: Program) -> None:
        """Run a program in the namespaces of ``process``, to its end. Raises Refused."""
        asked = self._request.spec
        with self._streams() as streams, Target(pid=process.pid).open() as handles:
            pid = start.start(
                program,
                streams=streams,
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
        if why:
            raise Refused(
                f"the reload program {program.argv[0]} {why}", f"Its output is in {self._log}."
            )

    @contextlib.contextmanager
    def _streams(self) -> t.Iterator[pipes.Streams]:
        """Nothing to read, and the log to write to."""
        directory = os.path.dirname(self._log)
        atomic.make_directory(directory, mode=0o750)
        atomic.close(os.path.dirname(directory), mode=0o755)  # it may be of an earlier version
        with contextlib.ExitStack() as stack:
            null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, null)
            flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            output = os.open(self._log, flags, 0o600)
            stack.callback(os.close, output)
            os.fchmod(output, 0o640)
            os.chmod(directory, 0o750)  # version 0.1.0 left it open
            yield pipes.Streams(null, output, output)


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


def _tail(path: str, begin: int) -> str:
    """The last lines that were written to the log since the size ``begin``."""
    with open(path, "rb") as log:
        log.seek(max(begin, log.seek(0, os.SEEK_END) - _LAST_BYTES))
        text = log.read().decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-_LAST_LINES:])
