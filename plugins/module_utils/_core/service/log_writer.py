# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The process that writes down what a service of supervisor "none" says, within limits.

    log_writer.py LOG LIMIT KEPT

It reads its standard input to the end and appends that to LOG; before LOG is longer than LIMIT bytes it becomes LOG.1,
that LOG.2 and so on, up to LOG.KEPT. It never ends before its input, and never waits for anything but that: what
cannot be written is lost, and the service goes on.

There are two processes, one that writes and its parent, and either outlives the other. For where nobody reads a pipe
any more, the program ends by SIGPIPE with its next line (pipe(7)), and nobody would start it again.

A program by itself: log_file.py has its text run by a Python of its own, which shares no memory with a module. So it
imports nothing of ours.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import stat
import sys
import time

_CHUNK = 1 << 16
# How long to wait until another process is tried to be made, in seconds.
_PAUSE = 0.1
_PAUSE_ALONE = 10
# Not through links, nor waiting for who reads a FIFO: the directory is root's, but may have been somebody's.
_FLAGS = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def append(path: str, data: bytes, *, limit: int, kept: int) -> None:
    """Append to the log, of which ``kept`` earlier parts stay. Raises OSError.

    Several may do so at once: the file is locked meanwhile, and what has become an earlier part is let go of.
    """
    while True:
        fd = os.open(path, _FLAGS, 0o640)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(f"{path} is no file")
            fcntl.flock(fd, fcntl.LOCK_EX)
            if not _is_at(fd, path):
                continue
            size = os.fstat(fd).st_size
            if size and size + len(data) > limit:
                _rotate(path, kept)
                continue
            _write(fd, data)
            return
        finally:
            os.close(fd)


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _rotate(path: str, kept: int) -> None:
    for number in range(kept, 0, -1):
        earlier = f"{path}.{number - 1}" if number > 1 else path
        with contextlib.suppress(FileNotFoundError):
            os.rename(earlier, f"{path}.{number}")


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def main(path: str, limit: int, kept: int) -> None:
    """Write down what comes in."""
    # It ends with what it reads, whoever wants to end what.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    while not _is_written(path, limit, kept):
        pass


def _is_written(path: str, limit: int, kept: int) -> bool:
    """Whether all is, by two processes. False in the one that is left when the other was killed."""
    watched, held = os.pipe()  # the child learns by it that the parent has ended
    try:
        try:
            child = os.fork()
        except OSError:  # no pid, no memory
            return _write_down(path, limit, kept, watched, patience=_PAUSE_ALONE)
        if child:
            return _has_written(child)
        os.close(held)
        held = -1
        return _write_down(path, limit, kept, watched, patience=None)
    finally:
        os.close(watched)
        if held >= 0:
            os.close(held)


def _has_written(child: int) -> bool:
    """Wait for the child, which somebody may have stopped or killed."""
    while True:
        found = os.waitid(os.P_PID, child, os.WEXITED | os.WSTOPPED)
        if found is not None and found.si_code == os.CLD_STOPPED:
            os.kill(child, signal.SIGCONT)
            continue
        if found is not None and (found.si_code, found.si_status) == (os.CLD_EXITED, 0):
            return True
        time.sleep(_PAUSE)
        return False


def _write_down(path: str, limit: int, kept: int, watched: int, *, patience: float | None) -> bool:
    """Write to the end of what comes in, or until ``watched`` is closed or patience is at its end."""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(watched, 0)
    while True:
        ready = dict(poll.poll(None if patience is None else patience * 1000))
        if 0 not in ready:
            return False
        data = os.read(0, _CHUNK)
        if not data:
            return True
        with contextlib.suppress(OSError):  # a full disk, or a directory there: it may be later
            append(path, data, limit=limit, kept=kept)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
