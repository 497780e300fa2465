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

_TERMINAL = 0
# From the terminal, and so sent to the whole foreground group: the child has it already.
_SI_KERNEL = 0x80
# Those that ask a process to do something; the others tell it of its own mistakes, or stop it
# together with its group.
_PASSED_ON = {
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
    *range(_signal.SIGRTMIN, _signal.SIGRTMAX + 1),
}


def run(handles: Handles, body: t.Callable[[], int]) -> int:
    """Call ``body`` in a child that has joined ``handles``; end as it ends.

    The child dies with this process. Where we have the terminal the child gets it, in a process
    group of its own: ours cannot be named in its pid namespace. Raises KernelError.
    """
    waited_for = _PASSED_ON | {_signal.SIGCHLD}
    # Who hands the terminal around while others have it gets SIGTTOU for it.
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, waited_for | {_signal.SIGTTOU})
    has_terminal = _has_terminal()

    def child() -> int:
        processes.prctl(processes.PR_SET_PDEATHSIG, _signal.SIGKILL)
        if has_terminal:
            os.setpgid(0, 0)
            os.tcsetpgrp(_TERMINAL, os.getpgrp())
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
        return body()

    pid = enter.spawn(child, joins=handles)
    while True:
        found = _signal.sigwaitinfo(waited_for)
        if found.si_signo != _signal.SIGCHLD:
            if found.si_code != _SI_KERNEL:
                os.kill(pid, found.si_signo)
            continue
        ended, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if not ended:
            continue
        if has_terminal:
            _give_terminal_to(os.getpgrp())
        if os.WIFSTOPPED(status):
            # For the shell that started us we are the job; we go on when it says so.
            os.kill(os.getpid(), _signal.SIGSTOP)
            if has_terminal:
                _give_terminal_to(pid)
            os.kill(-pid if has_terminal else pid, _signal.SIGCONT)
        elif os.WIFSIGNALED(status):
            _die_of(os.WTERMSIG(status), before)
            return 128 + os.WTERMSIG(status)
        else:
            return os.WEXITSTATUS(status)


def _has_terminal() -> bool:
    try:
        return os.tcgetpgrp(_TERMINAL) == os.getpgrp()
    except OSError:
        return False


def _give_terminal_to(group: int) -> None:
    try:
        os.tcsetpgrp(_TERMINAL, group)
    except OSError:  # it was hung up
        pass


def _die_of(number: int, mask: t.Iterable[int]) -> None:
    """End by the same signal, without a core of our own beside the program's."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    if number != _signal.SIGKILL:
        _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
    os.kill(os.getpid(), number)
