# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting programs through the core, for tests of what becomes of a process before execve(2)."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import pickle
import time
import typing as t

from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.launch import start as launch
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.pipes import Pipes


@dataclasses.dataclass
class Ended:
    """A program that has ended: its exit code, or -N for the signal N, and what it wrote."""

    status: int
    stdout: str
    stderr: str
    started: launch.Started


def run_program(
    *argv: str,
    environment: dict[str, str] | None = None,
    stdin: bytes = b"",
    options: dict[str, t.Any] | None = None,
    **program: t.Any,
) -> Ended:
    """Start a program, wait for it and collect its output.

    ``program`` are fields of launch.Program, ``options`` arguments of launch.start().
    """
    wanted = launch.Program(argv, environment=environment or dict(os.environ), **program)
    with Pipes(stdin) as pipes:
        started = launch.start(wanted, streams=pipes.streams, **(options or {}))
        pipes.close_child_ends()
        assert pipes.collect(started.pid, deadline=time.monotonic() + 30), argv
        _pid, status = os.waitpid(started.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return Ended(code, os.fsdecode(pipes.stdout), os.fsdecode(pipes.stderr), started)


def in_child(function: t.Callable[[], t.Any]) -> t.Any:
    """Call a function in a forked process, whose state it may spoil; return what it returns."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            answer = (True, function())
        except BaseException as error:
            answer = (False, error)
        with open(writing, "wb") as pipe:
            pipe.write(pickle.dumps(answer))
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        message = pipe.read()
    os.waitpid(pid, 0)
    succeeded, value = pickle.loads(message)
    if succeeded:
        return value
    raise value


def pid_of(*argv: str) -> int | None:
    """A process with this command line."""
    for pid in proc.all_pids():
        try:
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
        except (OSError, UnicodeDecodeError):
            continue
        if words == list(argv):
            return pid
    return None


def runs(*argv: str) -> bool:
    """Wait for a process with this command line."""
    return wait_until(lambda: pid_of(*argv) is not None)


def status_of(text: str) -> dict[str, str]:
    """The fields in the text of /proc/PID/status."""
    fields = (line.partition(":") for line in text.splitlines())
    return {name: " ".join(value.split()) for name, _colon, value in fields}


def signals_of(status: dict[str, str], *masks: str) -> set[int]:
    """The signals in these fields of /proc/PID/status, without the C library's own (32 and 33).

    No program can set those with its functions, and so they may be ignored since before Ansible.
    """
    bits = 0
    for mask in masks:
        bits |= int(status[mask], 16)
    return {number for number in range(1, 65) if bits >> (number - 1) & 1} - {32, 33}
