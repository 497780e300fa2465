# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Waiting for a program that had to be a child: signals go to it, its end becomes ours.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # signal loads enum, for the names of its numbers
import os
import resource

from ..namespace import enter
from ..namespace.target import Handles
from ..syscalls import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

    from .terminal import Inner

# What the kernel sends by itself: for the keys of a terminal, to all in the foreground, and for its
# end. The child is in another session, or another process group, and does not get it.
_SI_KERNEL = 0x80
# Those that ask a process to do something; the others tell it of its own mistakes.
PASSED_ON = {
    _signal.SIGHUP,
    _signal.SIGINT,
    _signal.SIGQUIT,
    _signal.SIGTERM,
    _signal.SIGUSR1,
    _signal.SIGUSR2,
    _signal.SIGALRM,
    _signal.SIGWINCH,
    _signal.SIGURG,
    _signal.SIGIO,
    _signal.SIGPWR,
    _signal.SIGTSTP,
    *range(_signal.SIGRTMIN, _signal.SIGRTMAX + 1),
}


def run(handles: Handles, body: t.Callable[[], int], terminal: Inner | None = None) -> int:
    """Call ``body`` in a child that has joined ``handles``; end as it ends.

    In a pid namespace the child dies with this process. It has a session of its own, or else
    ``terminal``, which is that of our session. Raises KernelError.
    """
    waited_for = PASSED_ON | {_signal.SIGCHLD}
    # Who hands the terminal around while others have it gets SIGTTOU for it.
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, waited_for | {_signal.SIGTTOU})
    mask = before if terminal is None else terminal.mask
    is_bound = "pid" in handles.kinds

    def child() -> int:
        if is_bound:
            processes.prctl(processes.PR_SET_PDEATHSIG, _signal.SIGKILL)
        if terminal is None:
            os.setsid()
        else:
            terminal.begin_job()
        if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
            _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # as the program has it in a moment
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
        return body()

    pid = enter.spawn(child, joins=handles)
    while True:
        found = _signal.sigwaitinfo(waited_for)
        if found.si_signo != _signal.SIGCHLD:
            _pass_on(found, pid, terminal)
            continue
        ended, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if not ended:
            continue
        if os.WIFSTOPPED(status):
            if terminal is None:
                # For the shell that started us we are the job; we go on when it says so.
                os.kill(os.getpid(), _signal.SIGSTOP)
            else:
                terminal.wait_to_go_on(pid, os.WSTOPSIG(status))
            _send(pid, _signal.SIGCONT, to_group=True)
            continue
        if terminal is not None:
            terminal.end_job()
        if os.WIFSIGNALED(status):
            die_of(os.WTERMSIG(status), mask)
            return 128 + os.WTERMSIG(status)
        return os.WEXITSTATUS(status)


def _pass_on(found: t.Any, pid: int, terminal: Inner | None) -> None:
    """Let the child have a signal that we got: all of its group, where ours would have had it."""
    number = found.si_signo
    is_from_kernel = found.si_code == _SI_KERNEL
    to_group = is_from_kernel or terminal is not None
    if number == _signal.SIGTSTP and terminal is None:
        # Where nobody has the program go on, it would stop for no other signal (signal(7)).
        _send(pid, _signal.SIGSTOP, to_group=to_group)
        stop_by(number)
        number = _signal.SIGCONT
    _send(pid, number, to_group=to_group)
    if number == _signal.SIGHUP and is_from_kernel:
        _send(pid, _signal.SIGCONT, to_group=True)  # as the kernel does: it may have been stopped


def stop_by(number: int, *, all_of_group: bool = False) -> None:
    """Stop until we are to go on: at once, where nobody could say so (an orphaned group)."""
    os.kill(0 if all_of_group else os.getpid(), number)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, {number})
    _signal.pthread_sigmask(_signal.SIG_BLOCK, {number})


def _send(pid: int, number: int, *, to_group: bool) -> None:
    """Signal the child, which we have not waited for yet; with its group, where it leads one."""
    try:
        os.kill(-pid if to_group else pid, number)
    except ProcessLookupError:
        os.kill(pid, number)


def die_of(number: int, mask: t.Iterable[int]) -> None:
    """End by the same signal, without a core of our own beside the program's."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    if number != _signal.SIGKILL:
        _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
    os.kill(os.getpid(), number)
