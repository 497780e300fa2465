# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Waiting for a program that had to be a child: signals go to it, its end becomes ours.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import typing as t

from ..namespace import enter
from ..namespace.target import Handles
from ..syscalls import processes

_TERMINAL = 0
# From the terminal, and so sent to the whole foreground group: the child has it already.
_SI_KERNEL = 0x80
# Those that ask a process to do something; the others tell it of its own mistakes, or stop it
# together with its group.
_PASSED_ON = {
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGWINCH,
    signal.SIGURG,
    signal.SIGIO,
    signal.SIGPWR,
    *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
}


def run(handles: Handles, body: t.Callable[[], int]) -> int:
    """Call ``body`` in a child that has joined ``handles``; end as it ends.

    The child dies with this process. Where we have the terminal the child gets it, in a process
    group of its own: ours cannot be named in its pid namespace. Raises KernelError.
    """
    waited_for = _PASSED_ON | {signal.SIGCHLD}
    # Who hands the terminal around while others have it gets SIGTTOU for it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited_for | {signal.SIGTTOU})
    has_terminal = _has_terminal()

    def child() -> int:
        processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
        if has_terminal:
            os.setpgid(0, 0)
            os.tcsetpgrp(_TERMINAL, os.getpgrp())
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return body()

    pid = enter.spawn(child, joins=handles)
    while True:
        found = signal.sigwaitinfo(waited_for)
        if found.si_signo != signal.SIGCHLD:
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
            os.kill(os.getpid(), signal.SIGSTOP)
            if has_terminal:
                _give_terminal_to(pid)
            os.kill(-pid if has_terminal else pid, signal.SIGCONT)
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
    with contextlib.suppress(OSError):  # it was hung up
        os.tcsetpgrp(_TERMINAL, group)


def _die_of(number: int, mask: t.Iterable[int]) -> None:
    """End by the same signal, without a core of our own beside the program's."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.kill(os.getpid(), number)
