# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The standard streams that nsctl was given: no terminal of the caller's may reach the inside.

Who has a descriptor of it, or has it as controlling terminal, types into the caller's shell
(TIOCSTI, and TIOCLINUX on a console: CVE-2017-5226).
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # signal loads enum, for the names of its numbers
import errno
import fcntl
import os
import stat
import termios

from ..errors import Refused
from ..process import proc

STREAMS = (0, 1, 2)
_CONTROLLING = "/dev/tty"
# Of /dev/null, /dev/zero and their like.
_MEMORY_DEVICES = 1


def secure() -> None:
    """Leave none of the streams to chance: the first thing to do.

    In the place of one that is closed we hold /dev/null, which execve(2) closes: else the next
    file that we open would be the program's. So is one that was a terminal and was hung up, or
    that cannot be used but opened anew by name.
    """
    for fd in STREAMS:
        try:
            found = os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)  # the lowest number that is free
            continue
        if (
            stat.S_ISCHR(found.st_mode)
            and os.major(found.st_rdev) != _MEMORY_DEVICES
            and not os.isatty(fd)
            and os.major(found.st_rdev) in _majors_of_terminals()
        ):
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            os.dup2(null, fd)
            os.close(null)


def terminals() -> list[int]:
    """Which of the streams are terminals."""
    return [fd for fd in STREAMS if os.isatty(fd)]


def leave_terminal() -> None:
    """Have no controlling terminal, in this process: for one that has none as a stream.

    Without one it gets a session of its own. With one it stays in its process group, so that the
    keys of the terminal go on to reach it (^C), and only the way through /dev/tty ends. To be
    called before the root is joined, whose /dev/tty may be anything. Raises Refused, OSError.
    """
    try:
        terminal = os.open(_CONTROLLING, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        try:
            os.setsid()
        except PermissionError:  # it leads a process group, as the job of a shell does
            if error.errno not in (errno.ENXIO, errno.EIO) and _has_controlling_terminal():
                raise Refused(
                    f"the terminal cannot be kept from the program: {_CONTROLLING} cannot be "
                    f"opened: {error.strerror}",
                    "Run it in a session of its own: setsid nsctl ...",
                ) from error
        return
    # Where a leader of a session leaves its terminal, all in the foreground get SIGHUP.
    before = _signal.signal(_signal.SIGHUP, _signal.SIG_IGN)
    try:
        fcntl.ioctl(terminal, termios.TIOCNOTTY)
    finally:
        _signal.signal(_signal.SIGHUP, before)
        os.close(terminal)


def device_of(fd: int) -> int:
    """The number of the terminal, also where it was opened as /dev/tty."""
    number = os.fstat(fd).st_rdev
    return _controlling_terminal() if number == os.makedev(5, 0) else number


def _has_controlling_terminal() -> bool:
    return _controlling_terminal() != 0


def _controlling_terminal() -> int:
    """Its device number, or 0: tty_nr of proc_pid_stat(5)."""
    fields = proc.text_of("/proc/self/stat").rpartition(")")[2].split()
    return int(fields[4]) if len(fields) > 4 else 0


def _majors_of_terminals() -> set[int]:
    """The major numbers that drivers of terminals have."""
    lines = [line.split() for line in proc.text_of("/proc/tty/drivers").splitlines()]
    return {int(words[2]) for words in lines if len(words) > 2 and words[2].isdigit()}
