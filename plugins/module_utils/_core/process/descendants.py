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
# Of parents of parents: more than anybody nests.
_MOST_CLIMBED = 4096


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
        if is_warden:
            # Its children are not ours to be waited for: see below.
            killing.all_of(lambda pid: _is_below(pid, child), timeout=_PATIENCE)
        os.kill(child, signal.SIGKILL)  # nothing new where it has ended: its pid is kept for us
        _pid, status = os.waitpid(child, 0)
        # The lists of children miss some while others end (proc(5)), and so all of a line in which each
        # ends as the next is born. What nobody misses is that there are none to be waited for.
        _kill_descendants(set(), -1, until=_has_no_children)
    return status


def _has_no_children() -> bool:
    """Whether this process has none, living or dead. Each orphan below it is one."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def _is_below(pid: int, ancestor: int) -> bool:
    """Whether the process is a descendant of the other one, which it becomes a child of when its parent ends."""
    each, climbed = pid, 0
    while each > 1 and climbed < _MOST_CLIMBED:
        facts = proc.process_facts(each)
        if facts is None and each == pid:
            return False
        # A parent that has ended meanwhile is no one's any more: who was its child has another one.
        each = facts.parent if facts is not None else pid
        climbed += 1
        if each == ancestor:
            return True
    return False


def _kill_descendants(
    spared: t.Collection[int], child: int, *, until: t.Callable[[], bool] = lambda: True
) -> None:
    """Kill them until none is seen, and what ``until`` asks is true as well."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        living = _living_descendants(spared)
        if not living and until():
            return
        for pid, parent in living:
            _kill(pid, parent)
        if time.monotonic() > deadline:
            shown = ", ".join(str(pid) for pid, _parent in living) or "new ones"
            raise Refused(
                f"processes that the program started cannot be killed: {shown}",
                "They belong to another user, or wait for a device.",
                processes=[pid for pid, _parent in living],
            )
        _reap_all_but(child)


def _kill(pid: int, parent: int) -> None:
    with contextlib.suppress(KernelError):
        pidfd = processes.pidfd_open(pid)
        try:
            facts = proc.process_facts(pid)
            # Its parent tells it from a later process that got the same pid.
            if facts is not None and facts.parent in (parent, os.getpid()):
                processes.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)


def _living_descendants(spared: t.Collection[int]) -> list[tuple[int, int]]:
    """The (pid, parent) of all living descendants of this process but ``spared``."""
    found = []
    parents = [os.getpid()]
    while parents:
        parent = parents.pop()
        for pid in _children(parent):
            parents.append(pid)
            facts = proc.process_facts(pid)
            if pid not in spared and facts is not None and facts.state not in "ZX":
                found.append((pid, parent))
    return found


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
