# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Finding and ending everything that a process has started, also what left its session.

An orphan comes back to its nearest living ancestor that is a child subreaper (prctl(2)), as long
as that is in the same pid namespace; in another one it goes to the init there. So a pid
namespace that is joined takes a warden: an ancestor that lives in it.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import time
import typing as t

from ..errors import KernelError, Refused
from ..syscalls import processes
from . import kill as killing
from . import proc

_PAUSE = 0.005
_PATIENCE = 10.0


def adopt_orphans() -> None:
    """Let the orphans among the descendants of this process become its children."""
    processes.prctl(processes.PR_SET_CHILD_SUBREAPER, 1)


@contextlib.contextmanager
def reaped(child: int) -> t.Iterator[None]:
    """Take note of the end of all children but ``child`` while the block runs, by SIGCHLD.

    A program may leave orphans behind as fast as it can fork, each of which keeps its pid until
    then. Call it in the main thread.
    """

    def reap(_signal: int, _frame: object) -> None:
        while True:
            with contextlib.suppress(ChildProcessError):
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if found is not None and found.si_pid != child:
                    os.waitpid(found.si_pid, os.WNOHANG)
                    continue
            return

    before = signal.signal(signal.SIGCHLD, reap)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


def become_warden() -> None:
    """Fork, and return in the child. This process keeps its orphans, and ends as the child does."""
    adopt_orphans()
    child = os.fork()
    if not child:
        return
    # What the child holds open is none of this process's business.
    processes.close_descriptors_from(0)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            _end_with(status)


def _end_with(status: int) -> t.NoReturn:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(OSError, ValueError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def kill_all(child: int, *, is_warden: bool) -> int:
    """Kill everything this process has started, ``child`` last; return the child's wait status.

    ``is_warden`` says that the child is one. Raises Refused when something cannot be killed.
    """
    spared = set()
    with killing.before_all_others():
        if is_warden:
            # Stopped, it does not end with its own child, and so keeps what that leaves behind.
            os.kill(child, signal.SIGSTOP)
            spared.add(child)
        _kill_descendants(spared, child)
        os.kill(child, signal.SIGKILL)  # nothing new where it has ended: its pid is kept for us
        _pid, status = os.waitpid(child, 0)
        _kill_descendants(set(), -1)
    return status


def _kill_descendants(spared: t.Collection[int], child: int) -> None:
    """Kill all of them but ``spared``, who reap nobody, as this process meanwhile does only here."""
    deadline = time.monotonic() + _PATIENCE
    dead: set[int] = set()
    while True:
        seen, living = _pass(spared, dead)
        if not living:
            # Of a line of processes, each of which ends as the next is born, one pass may miss all that live. But
            # each that ends leaves an orphan to us, or to who is spared, and a dead child stays until it is
            # reaped: where the next pass sees the same, none was born in between.
            again, living = _pass(spared, dead)
            if not living and again == seen:
                return
        if time.monotonic() > deadline:
            shown = ", ".join(map(str, living)) or "new ones"
            raise Refused(
                f"processes that the program started cannot be killed: {shown}",
                "They belong to another user, or wait for a device.",
                processes=living,
            )
        _reap_all_but(child)


def _pass(spared: t.Collection[int], dead: set[int]) -> tuple[set[int], list[int]]:
    """Kill each descendant that is found to live; all that were seen, and those that lived.

    ``dead`` are children of who is spared that need no second look; more are added.
    """
    seen: set[int] = set()
    living: list[int] = []
    left = [(pid, os.getpid()) for pid in _children(os.getpid())]
    while left:
        # The youngest first, and at once: who is reached late has been replaced by a child.
        pid, parent = left.pop()
        seen.add(pid)
        if pid not in spared:
            if pid in dead:
                continue
            if _kill(pid, parent):
                living.append(pid)
            elif parent in spared:
                dead.add(pid)
        left += [(each, pid) for each in _children(pid)]
    return seen, living


def _kill(pid: int, parent: int) -> bool:
    """Kill it, where the caller may; whether it lived."""
    try:
        pidfd = processes.pidfd_open(pid)
    except KernelError as error:
        return error.errno != errno.ESRCH
    try:
        facts = proc.process_facts(pid)
        if facts is None or facts.state in "ZX":
            return False
        # Its parent tells it from a later process that got the same pid.
        if facts.parent in (parent, os.getpid()):
            with contextlib.suppress(KernelError):
                processes.pidfd_send_signal(pidfd, signal.SIGKILL)
        return True
    finally:
        os.close(pidfd)


def _children(parent: int) -> list[int]:
    try:
        children: list[int] = []
        for task in os.listdir(f"/proc/{parent}/task"):
            with open(f"/proc/{parent}/task/{task}/children", encoding="utf-8") as listed:
                children += map(int, listed.read().split())
        return children
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ESRCH):
            raise
        if not os.path.exists("/proc/thread-self/children"):  # without CONFIG_PROC_CHILDREN
            facts = [proc.process_facts(pid) for pid in proc.all_pids()]
            return [each.pid for each in facts if each is not None and each.parent == parent]
        return []  # the process has ended


def _reap_all_but(child: int) -> None:
    """Take away zombies that came back to this process; without that their pids pile up."""
    for pid in _children(os.getpid()):
        facts = proc.process_facts(pid)
        if pid != child and facts is not None and facts.state == "Z":
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
    time.sleep(_PAUSE)
