# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The process that is the holder of a pid namespace: see pid_holder.py.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import typing as t

from ..syscalls import processes

# An init gets no signal that it has no handler for, unless it has it blocked (kill(2)): then it
# can be read from a signalfd. So this waits for SIGTERM, and ends with it; the end of a host
# would have to wait for a holder that did not.
_ARGV = ("head", "-c", "128")
_ENDED_BY = (signal.SIGTERM,)
_MFD_EXEC = 0x10  # Linux 6.3, and then needed where vm.memfd_noexec is 1
_PROGRAM_FD = 3


class Shape(t.NamedTuple):
    """What a holder is made of, opened before it leaves the host: see shape()."""

    # /dev/null.
    null: int
    # A copy of the program in memory, or -1.
    program: int
    # The root where that has its libraries.
    host_root: os.stat_result


@contextlib.contextmanager
def shape() -> t.Iterator[Shape]:
    """Open what become() takes."""
    with contextlib.ExitStack() as stack:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        stack.callback(os.close, null)
        program = _sealed_copy(shutil.which(_ARGV[0], path="/bin:/usr/bin") or "/usr/bin/head")
        if program >= 0:
            stack.callback(os.close, program)
        yield Shape(null, program, os.stat("/"))


def _sealed_copy(path: str) -> int:
    """The program in memory, where nobody can change it, or -1.

    /proc/1/exe is open to root inside, and would be the host's own file (CVE-2019-5736).
    """
    with contextlib.suppress(OSError), open(path, "rb") as program:
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        try:
            fd = os.memfd_create(_ARGV[0], flags | _MFD_EXEC)
        except OSError:  # EINVAL: an older kernel
            fd = os.memfd_create(_ARGV[0], flags)
        with open(os.dup(fd), "wb") as copy:
            shutil.copyfileobj(program, copy)
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        return fd
    return -1


def become(made_of: Shape) -> t.NoReturn:
    """Turn this process into a holder: nothing open, nothing to do, and children are reaped."""
    # As who enters: should it stay Python, nobody inside is to open what that runs.
    processes.prctl(processes.PR_SET_DUMPABLE, 0)
    os.setsid()
    os.chdir("/")
    # The kernel reaps the children of who ignores SIGCHLD; that survives execve(2) (wait(2)).
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, _ENDED_BY)
    os.dup2(processes.signalfd(_ENDED_BY), 0)
    for standard in (1, 2):
        os.dup2(made_of.null, standard)
    # A program takes less memory than Python. But its libraries are those of the root that it
    # starts in: in a root that is not the host's, stay Python, which has all of its own.
    if made_of.program >= 0 and os.path.samestat(os.stat("/"), made_of.host_root):
        os.dup2(made_of.program, _PROGRAM_FD, inheritable=False)
        processes.close_descriptors_from(_PROGRAM_FD + 1)
        with contextlib.suppress(OSError):
            os.execve(_PROGRAM_FD, _ARGV, {})
    processes.close_descriptors_from(_PROGRAM_FD)
    os.read(0, 128)
    os._exit(0)
