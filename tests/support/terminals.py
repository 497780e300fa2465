# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal with somebody at it: a pseudo-terminal, and a program that leads a session on it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
import typing as t

from waiting import wait_until

_START = (
    "import fcntl, os, signal, sys, termios\n"
    "os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    # Whoever runs the tests may ignore them.
    "for name in ('INT', 'QUIT', 'TSTP', 'TTIN', 'TTOU', 'HUP'):\n"
    "    signal.signal(getattr(signal, 'SIG' + name), signal.SIG_DFL)\n"
    "os.execvpe(sys.argv[1], sys.argv[1:], os.environ)\n"
)
PROMPT = b"at-the-host> "
SHELL = ("bash", "--norc", "--noprofile", "--noediting", "-i")


class Terminal:
    """The side of the person: ``process`` leads the session, ``said`` is what is not read yet."""

    def __init__(self, *argv: str, size: tuple[int, int] = (24, 80)) -> None:
        self._leader, self.follower = os.openpty()
        self.resize(*size)
        environment = {
            **os.environ,
            "PS1": PROMPT.decode(),
            "TERM": "dumb",
            "BASH_SILENCE_DEPRECATION_WARNING": "1",
            "HISTFILE": "",
        }
        self.said = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, *(argv or SHELL)],
            stdin=self.follower,
            stdout=self.follower,
            stderr=self.follower,
            env=environment,
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.kill()
        self.process.wait()
        self.hang_up()

    def hang_up(self) -> None:
        """Close both sides, as a window is closed."""
        for fd in (self._leader, self.follower):
            with contextlib.suppress(OSError):
                os.close(fd)

    def resize(self, rows: int, columns: int) -> None:
        """Give it another size."""
        fcntl.ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    @property
    def modes(self) -> list[t.Any]:
        """Its modes, as of termios.tcgetattr()."""
        return termios.tcgetattr(self.follower)

    def type(self, text: str) -> None:
        """Type that."""
        data = text.encode()
        while data:
            data = data[os.write(self._leader, data) :]

    def until(self, text: str, *, seconds: float = 20.0) -> str:
        """Read until that was printed; what came before it."""
        wanted = text.encode()
        deadline = time.monotonic() + seconds
        while wanted not in self.said and time.monotonic() < deadline:
            self.read(0.1)
        assert wanted in self.said, (text, self.said[-2000:])
        before, _wanted, self.said = self.said.partition(wanted)
        return before.decode("utf-8", "replace")

    def prompt(self, *, seconds: float = 20.0) -> str:
        """Read until the shell's prompt; what came before it."""
        return self.until(PROMPT.decode(), seconds=seconds)

    def read(self, seconds: float) -> bool:
        """Read what comes within that time; whether there was something."""
        if not select.select([self._leader], [], [], seconds)[0]:
            return False
        try:
            chunk = os.read(self._leader, 65536)
        except OSError:  # EIO: nobody has the other side
            return False
        self.said += chunk
        return bool(chunk)

    def given_away(self) -> None:
        """Wait until the shell has given the terminal to a job: keys are for that from then on.

        It does so after it has said which one, and a person does not type as fast.
        """
        assert wait_until(lambda: os.tcgetpgrp(self._leader) not in (0, self.process.pid))

    def rest(self, seconds: float = 0.5) -> str:
        """What comes until nothing has come for that long, and what was not read before."""
        while self.read(seconds):
            pass
        said, self.said = self.said, b""
        return said.decode("utf-8", "replace")

    def run(self, line: str, *, seconds: float = 20.0) -> str:
        """Have the shell carry out a line; what was printed until its next prompt."""
        self.type(f"{line}\n")
        self.until("\n", seconds=seconds)  # the echo
        return self.prompt(seconds=seconds)

    def wait(self, seconds: float = 20.0) -> int:
        """The exit code of the leader; meanwhile what it prints is read."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.05)
        return self.process.wait(1)
