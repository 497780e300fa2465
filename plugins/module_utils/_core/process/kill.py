# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Killing all of many processes, also of those that keep forking.

A process with a signal pending does not fork any more (fork(2) is begun anew after the signal), so
what was killed is done with. What counts is to find those that are born meanwhile before they have
children: by who is never kept waiting for the CPU, and looks at no process twice.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
import typing as t

from ..errors import KernelError, Refused
from ..syscalls import processes
from . import proc

_PAUSE = 0.01
# How many survivors a message names.
_NAMED = 5
# Where a process stands that its cgroup has frozen: the freezer of version 1 holds back SIGKILL.
_FROZEN = ("__refrigerator", "get_signal", "do_freezer_trap")


def all_of(is_one: t.Callable[[int], bool], *, timeout: float) -> None:
    """Kill each process of which ``is_one`` says by its pid that it is one, until none is left.

    Raises KernelError, and Refused where some are left after ``timeout`` seconds, with what they
    wait for.
    """
    deadline = time.monotonic() + timeout
    with before_all_others():
        while found := _pass(is_one, deadline):
            if time.monotonic() > deadline:
                raise survival([pid for pid in found if not has_ended(pid)])
            time.sleep(_PAUSE)


def _pass(is_one: t.Callable[[int], bool], deadline: float) -> list[int]:
    """Kill all that are found by looking at each process once, and who they are.

    A list of processes holds at least one of a line of parents and children, each of which ends
    when the next is born. So it is looked through again until no number is new in it.
    """
    seen: set[int] = set()
    found = []
    while new := sorted(set(proc.all_pids()) - seen, reverse=True):
        # The youngest first: who is reached late has been replaced by a child.
        found += [pid for pid in new if _kill(pid, is_one)]
        seen.update(new)
        if time.monotonic() > deadline:
            break
    return found


def _kill(pid: int, is_one: t.Callable[[int], bool]) -> bool:
    try:
        pidfd = processes.pidfd_open(pid)
    except KernelError as error:
        if error.errno in (errno.ESRCH, errno.EINVAL):
            return False
        raise
    try:
        # The number may be another's by now: the pidfd holds it from here on.
        if pid == os.getpid() or not is_one(pid) or has_ended(pid):
            return False
        processes.pidfd_send_signal(pidfd, signal.SIGKILL)
        return True
    except KernelError as error:
        if error.errno != errno.ESRCH:
            raise
        return False
    finally:
        os.close(pidfd)


def has_ended(pid: int) -> bool:
    """Whether the process is not there, or at its end: it has let go of its namespaces.

    A zombie has, which its parent may keep for ever, and so has the init of a pid namespace while it
    waits until such parents have taken note of those that lived there (zap_pid_ns_processes() in
    kernel/pid_namespace.c).
    """
    try:
        os.readlink(f"/proc/{pid}/ns/mnt")
    except (FileNotFoundError, ProcessLookupError):
        return True
    except PermissionError:
        pass
    return False


@contextlib.contextmanager
def before_all_others() -> t.Iterator[None]:
    """Come before all processes without a fixed priority (sched(7)), where that is allowed.

    Among hundreds that want all of the CPU who is to end them would have a hundredth of it.
    """
    try:
        policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
        fixed = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, fixed, os.sched_param(os.sched_get_priority_min(os.SCHED_FIFO)))
    except OSError:  # EPERM: a container, or no time is set aside for such in our cgroup
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameter)


def survival(pids: t.Sequence[int]) -> Refused:
    """Why these processes live on after SIGKILL: what was found by looking at them."""
    told = []
    hints = []
    for pid in pids:
        facts = proc.process_facts(pid)
        if facts is None:
            continue
        where = proc.text_of(f"/proc/{pid}/wchan").strip("0\n")
        why = f"is in state {facts.state}"
        if facts.state == "D" and where in _FROZEN:
            why = "is frozen by its cgroup"
            hints.append("Thaw the cgroup (freezer.state).")
        elif facts.state == "D":
            why = f"waits in the kernel{f' ({where})' if where else ''}"
            hints.append("It ends when the device or file system that it waits for answers.")
        told.append(f"{pid} ({facts.command}) {why}")
    if not hints:
        hints.append("New ones are born as fast as they are killed: run it again.")
    more = f", and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    return Refused(
        f"processes live on after SIGKILL: {', '.join(told[:_NAMED]) or 'new ones'}{more}",
        " ".join(dict.fromkeys(hints)),
        processes=list(pids),
    )
