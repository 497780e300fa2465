# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A terminal of the program's own, where nsctl was started on one.

    the caller's terminal -- nsctl -- pseudo-terminal -- the leader of its session -- the program

nsctl stays what it is among the caller's jobs, and copies (forwarder.py). The leader is ours as
well: a key stops only a program whose parent lives in the same session, and can have it go on.
It waits for the program (wait_for_child.py), and nsctl for it.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # signal loads enum, for the names of its numbers
import errno
import fcntl
import os
import stat
import termios

from .. import actions
from ..namespace.target import Handles
from ..syscalls import processes
from . import NOT_STARTED, streams, wait_for_child
from .forwarder import BLOCKED, FOREGROUND, NOT_STOPPED, Forwarder

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t


class Inner:
    """The program's terminal, for the leader of its session."""

    def __init__(self, fd: int, tell: int, answer: int, mask: t.Iterable[int]) -> None:
        self._fd = fd
        # To the forwarder, and from it.
        self._tell = tell
        self._answer = answer
        # The signals that are blocked in the program.
        self.mask = mask
        self._in_foreground = False

    def acquire(self) -> None:
        """Make it that of our session. From now on the keys lead to somebody."""
        fcntl.ioctl(self._fd, termios.TIOCSCTTY, 0)
        self._in_foreground = self._ask(NOT_STOPPED)

    def begin_job(self) -> None:
        """To be called in the program's process: ours has no number in another pid namespace."""
        os.setpgid(0, 0)
        if self._in_foreground:
            self._give_to(os.getpgrp())

    def wait_to_go_on(self, pid: int, number: int) -> None:
        """The program, of this pid, was stopped by the signal ``number``."""
        self.end_job()
        if self._ask(number):
            self._give_to(pid)

    def _ask(self, number: int) -> bool:
        """Whether the program is in the foreground, as soon as it is to go on."""
        os.write(self._tell, bytes([number]))
        return os.read(self._answer, 1) == FOREGROUND

    def end_job(self) -> None:
        """Take the terminal back. At our end the kernel hangs up whoever has it then."""
        self._give_to(os.getpgrp())

    def _give_to(self, group: int) -> None:
        try:
            os.tcsetpgrp(self._fd, group)
        except OSError:  # it was hung up
            pass


def run(
    taken: t.Sequence[int],
    handles: Handles,
    body: t.Callable[[], int],
    complain: t.Callable[[Exception], int],
) -> int:
    """Call ``body`` in a child that has joined ``handles``, with a terminal of its own.

    ``taken`` are the standard streams that are terminals. What keeps the child from being born is
    told to ``complain``, on the new terminal; it returns the exit code. Ends as the child ends.
    Raises StepFailed.
    """
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, BLOCKED)
    device = streams.device_of(taken[0])
    ours = [fd for fd in taken if streams.device_of(fd) == device]
    master, slave = actions.run("open a pseudo-terminal", os.openpty, explain=_explain)
    forwarder = Forwarder(
        taken[0], master, on_screen=1 in ours, wants_keys=0 in ours and not _is_pipe(1)
    )
    new = dict.fromkeys(ours, slave)
    # Another terminal than the caller's: the program may write to it, but not type into it.
    for fd in [fd for fd in taken if fd not in ours]:
        source, new[fd] = os.pipe()
        forwarder.add_screen(source, fd)
    asked, tell = os.pipe()
    answered, answer = os.pipe()
    leader = os.fork()
    if leader == 0:
        code = NOT_STARTED
        try:
            forwarder.forget()
            os.close(asked)
            os.close(answer)
            code = _lead(new, handles, body, Inner(slave, tell, answered, before))
        except Exception as error:
            code = complain(error)
        finally:
            os._exit(code)
    for fd in {slave, tell, answered, *new.values()}:
        os.close(fd)
    status = forwarder.run(leader, asked, answer)
    if os.WIFSIGNALED(status):
        wait_for_child.die_of(os.WTERMSIG(status), before)
        return 128 + os.WTERMSIG(status)
    return os.WEXITSTATUS(status)


def _lead(
    new: t.Mapping[int, int], handles: Handles, body: t.Callable[[], int], inner: Inner
) -> int:
    """Be the leader of a session on the new terminal; ``new`` are descriptors by stream."""
    os.setsid()
    for fd, replacement in new.items():
        os.dup2(replacement, fd)
    if "pid" in handles.kinds:
        processes.prctl(processes.PR_SET_PDEATHSIG, _signal.SIGKILL)
    inner.acquire()
    return wait_for_child.run(handles, body, inner)


def _is_pipe(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _explain(error: OSError) -> tuple[str, str]:
    if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return (
            "this host has no pseudo-terminals",
            "Mount a devpts on /dev/pts, or let the streams of nsctl be no terminals.",
        )
    if error.errno == errno.ENOSPC:
        return "all pseudo-terminals are in use", "Raise the sysctl kernel.pty.max."
    return "", ""
