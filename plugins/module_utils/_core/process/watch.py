# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Finding out whether a program that was started is up, and whether it still runs.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time
import typing as t

from ..errors import KernelError
from ..syscalls import processes
from . import kill, proc

_PAUSE = 0.01


class Running(t.NamedTuple):
    """A process, told from a later one with the same pid by when it started.

    ``start`` is in clock ticks since boot (proc_pid_stat(5)).
    """

    pid: int
    start: int


def identify(pid: int) -> Running:
    """The process ``pid``, which must be there. Raises ProcessLookupError."""
    facts = proc.process_facts(pid)
    if facts is None:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    return Running(pid, facts.start)


def is_alive(process: Running) -> bool:
    """Whether it runs: it is there, it is the same, and it is no zombie."""
    facts = proc.process_facts(process.pid)
    return facts is not None and facts.start == process.start and facts.state not in "ZX"


def send(process: Running, number: int) -> bool:
    """Send a signal; False when the process has ended. Raises KernelError."""
    try:
        pidfd = processes.pidfd_open(process.pid)
    except KernelError as error:
        if error.errno == errno.ESRCH:
            return False
        raise
    try:
        if not is_alive(process):  # the pid may be another's: the pidfd holds it from here on
            return False
        processes.pidfd_send_signal(pidfd, number)
        return True
    except KernelError as error:
        if error.errno == errno.ESRCH:
            return False
        raise
    finally:
        os.close(pidfd)


@contextlib.contextmanager
def watched(process: Running) -> t.Iterator[t.Callable[[float], bool]]:
    """Watch a process: yields what waits for that many seconds and says whether it has ended.

    It answers in other namespaces as well, where there may be no /proc. Raises KernelError.
    """
    try:
        pidfd = processes.pidfd_open(process.pid)
    except KernelError as error:
        if error.errno != errno.ESRCH:
            raise
        yield lambda _seconds: True
        return
    try:
        if not is_alive(process):  # the pid may be another's: the pidfd holds it from here on
            yield lambda _seconds: True
            return
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)  # readable from its end on (pidfd_open(2))
        yield lambda seconds: bool(poller.poll(seconds * 1000))
    finally:
        os.close(pidfd)


def wait_for_end(process: Running, *, timeout: float) -> bool:
    """Wait up to ``timeout`` seconds; True when it has ended. Raises KernelError."""
    with watched(process) as ends_within:
        return ends_within(timeout)


def is_in_session_of(process: Running, pid: int, *, lives_in: t.Mapping[str, int]) -> bool:
    """Whether the process ``pid`` lives in the session that ``process`` led, and is another one.

    What a program starts stays in its session unless it takes pains to leave it (setsid(2)).
    Only those count that live in the namespaces with the ids ``lives_in``, by kind: a foreign
    session may have got the number since, once all of this one had ended.
    """
    facts = proc.process_facts(pid)
    if facts is None or facts.session != process.pid or facts.state in "ZX":
        return False
    # A later session with the same number was started by a later leader.
    leader = proc.process_facts(process.pid)
    if leader is not None and leader.start != process.start:
        return False
    if pid == process.pid or facts.start < process.start:
        return False
    return proc.ids_of_process(pid, lives_in) == lives_in


def stop(process: Running, *, number: int, timeout: float) -> None:
    """End a process with signal ``number``, and after ``timeout`` seconds by force.

    Raises KernelError, and Refused where it does not end at all.
    """
    if not _heeds(process, number):
        number = signal.SIGKILL
    if send(process, number):
        # A stopped process acts on no signal but this one and SIGKILL (signal(7)).
        send(process, signal.SIGCONT)
        if not wait_for_end(process, timeout=timeout):
            send(process, signal.SIGKILL)
            if not wait_for_end(process, timeout=timeout):
                raise kill.survival([process.pid])


def _heeds(process: Running, number: int) -> bool:
    """Whether a signal that ends processes does anything to this one.

    The init of a pid namespace gets only the signals it has a handler for (pid_namespaces(7)).
    """
    try:
        with open(f"/proc/{process.pid}/status", encoding="utf-8", errors="replace") as status:
            fields = dict(line.partition(":")[::2] for line in status)
    except (FileNotFoundError, ProcessLookupError):
        return True
    pids = fields.get("NSpid", "").split()
    caught = int(fields.get("SigCgt", "0").strip(), 16)
    is_init = len(pids) > 1 and pids[-1] == "1"
    return not is_init or bool(caught >> (number - 1) & 1)


def wait_until(
    is_up: t.Callable[[], bool], ends_within: t.Callable[[float], bool], *, timeout: float
) -> bool:
    """Ask ``is_up`` again and again; False when the watched process ended or the time was up."""
    deadline = time.monotonic() + timeout
    while not is_up():
        if ends_within(_PAUSE) or time.monotonic() > deadline:
            return False
    return not ends_within(0)
