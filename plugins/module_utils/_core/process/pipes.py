# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Feeding a child process and collecting what it writes, of any size, until it ends.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import time
import typing as t

from ..syscalls import processes

_CHUNK = 1 << 16
# As ansible.builtin.command: what the child leaves behind may go on to write, with pauses of
# less than this, in seconds.
_SILENCE = 1.0


class Streams(t.NamedTuple):
    """Open files that become the standard streams of a program."""

    stdin: int
    stdout: int
    stderr: int


class Pipes:
    """The pipes of a child that is to be started. Use it in a with statement.

    ``streams`` are the child's ends. ``stdin`` is what it gets to read; without it that is
    /dev/null.
    """

    def __init__(self, stdin: bytes) -> None:
        self._input = memoryview(stdin)
        self._out, stdout = os.pipe()
        self._err, stderr = os.pipe()
        self._in = -1
        if stdin:
            child_stdin, self._in = os.pipe()
        else:
            child_stdin = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self.streams = Streams(child_stdin, stdout, stderr)
        self._collected: dict[int, bytearray] = {self._out: bytearray(), self._err: bytearray()}
        self._selector = selectors.DefaultSelector()

    @property
    def stdout(self) -> bytes:
        """What the child has written to its standard output so far."""
        return bytes(self._collected[self._out])

    @property
    def stderr(self) -> bytes:
        """What the child has written to its standard error so far."""
        return bytes(self._collected[self._err])

    def close_child_ends(self) -> None:
        """Close the ends of the child, which has its own copies."""
        for fd in self.streams:
            os.close(fd)
        self.streams = Streams(-1, -1, -1)

    def collect(self, child: int, *, deadline: float | None) -> bool:
        """Feed and collect until the child has ended; False when the time was up before.

        ``deadline`` is in terms of time.monotonic().
        """
        pidfd = processes.pidfd_open(child)
        try:
            self._selector.register(pidfd, selectors.EVENT_READ)
            for fd in self._collected:
                os.set_blocking(fd, False)
                self._selector.register(fd, selectors.EVENT_READ)
            if self._in >= 0:
                os.set_blocking(self._in, False)
                self._selector.register(self._in, selectors.EVENT_WRITE)
            while pidfd in self._selector.get_map():
                if not self._serve(_remaining(deadline), pidfd):
                    return False
            self._drop(self._in)
            while self._selector.get_map():
                if not self._serve(min(_SILENCE, _remaining(deadline) or _SILENCE), pidfd):
                    break
            return True
        finally:
            os.close(pidfd)

    def _serve(self, wait: float | None, pidfd: int) -> bool:
        """Do what can be done; False when there was nothing for ``wait`` seconds."""
        events = self._selector.select(wait)
        for key, _mask in events:
            if key.fd == pidfd:
                self._selector.unregister(pidfd)
            elif key.fd == self._in:
                self._feed()
            else:
                self._take(key.fd)
        return bool(events)

    def _feed(self) -> None:
        try:
            self._input = self._input[os.write(self._in, self._input[:_CHUNK]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:  # the child does not want more
            self._input = self._input[:0]
        if not self._input:
            self._drop(self._in)

    def _take(self, fd: int) -> None:
        try:
            chunk = os.read(fd, _CHUNK)
        except BlockingIOError:
            return
        self._collected[fd] += chunk
        if not chunk:
            self._selector.unregister(fd)

    def _drop(self, fd: int) -> None:
        if fd < 0:
            return
        with contextlib.suppress(KeyError):
            self._selector.unregister(fd)
        if fd == self._in:
            os.close(fd)
            self._in = -1

    def __enter__(self) -> Pipes:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._selector.close()
        for fd in (*self.streams, self._out, self._err, self._in):
            if fd >= 0:
                os.close(fd)


def _remaining(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - time.monotonic(), 0.0)
