# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Doing the same for many names at once, each in a process of its own, with a time limit.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import time
import typing as t

from ..syscalls import processes

_AT_ONCE = 8
# select(2) takes no longer than some days.
_LONGEST_WAIT = 3600.0


class _Ended(Exception):
    """Somebody wants this to end."""


class _Child(t.NamedTuple):
    # The index of its name.
    position: int
    pid: int
    # By time.monotonic().
    deadline: float
    # What it has said so far.
    answer: bytearray


def run(
    names: t.Sequence[str], action: t.Callable[[str], t.Any], *, limit: float
) -> list[t.Any | None]:
    """Call ``action`` with each name; return the answers, which travel as JSON, in that order.

    None stands for a process that was killed, after ``limit`` seconds or by somebody else. It
    is not waited for: one that hangs in the kernel does not even end when it is killed. SIGTERM
    ends all of them, and this with the answers that there are.
    """
    answers: list[t.Any | None] = [None] * len(names)
    with selectors.DefaultSelector() as selector:
        before = signal.signal(signal.SIGTERM, _end)
        try:
            _run(selector, list(enumerate(names)), action, limit, answers)
        except _Ended:
            for key in selector.get_map().values():
                os.kill(key.data.pid, signal.SIGKILL)
        finally:
            signal.signal(signal.SIGTERM, before)
    return answers


def _end(*_about: object) -> None:
    raise _Ended


def _run(
    selector: selectors.BaseSelector,
    waiting: list[tuple[int, str]],
    action: t.Callable[[str], t.Any],
    limit: float,
    answers: list[t.Any | None],
) -> None:
    while waiting or selector.get_map():
        while waiting and len(selector.get_map()) < _AT_ONCE:
            position, name = waiting.pop(0)
            pid, fd = _started(name, action)
            child = _Child(position, pid, time.monotonic() + limit, bytearray())
            selector.register(fd, selectors.EVENT_READ, child)
        running = list(selector.get_map().values())
        nearest = min(key.data.deadline for key in running) - time.monotonic()
        ready = {key.fd for key, _events in selector.select(min(max(0.0, nearest), _LONGEST_WAIT))}
        for key in running:
            child = key.data
            if key.fd in ready:
                chunk = os.read(key.fd, 65536)
                child.answer.extend(chunk)
                if chunk:
                    continue
                answers[child.position] = _finished(child)
            elif time.monotonic() < child.deadline:
                continue
            else:
                os.kill(child.pid, signal.SIGKILL)
            selector.unregister(key.fd)
            os.close(key.fd)


def _started(name: str, action: t.Callable[[str], t.Any]) -> tuple[int, int]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.close(reader)
        message = json.dumps(action(name)).encode()
        while message:
            message = message[os.write(writer, message) :]
        status = 0
    finally:
        os._exit(status)


def _finished(child: _Child) -> t.Any | None:
    _pid, status = os.waitpid(child.pid, 0)
    return json.loads(child.answer) if status == 0 else None
