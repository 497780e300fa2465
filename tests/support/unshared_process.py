# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes in new namespaces that do nothing, as the fixture unshared_process starts them."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import typing as t


class Unshared(t.NamedTuple):
    """A process in namespaces of its own that does nothing; ``pid`` as the host sees it."""

    pid: int

    def run(self, *argv: str, check: bool = True) -> str:
        """Run a command in all of its namespaces and its root; return what it prints."""
        words = ["nsenter", "--target", str(self.pid), "--all", "--root", "--wd=/", "--", *argv]
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        assert not check or done.returncode == 0, (argv, done.stderr)
        return done.stdout

    @contextlib.contextmanager
    def started(self, argv: t.Sequence[str]) -> t.Iterator[int]:
        """A process in all of its namespaces that prints a line when it is ready; its pid."""
        words = ["nsenter", "--target", str(self.pid), "--all", "--no-fork", "--", *argv]
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == b"\n", f"{argv} failed"
                yield process.pid
            finally:
                process.kill()

    def mountinfo(self) -> list[str]:
        """The lines of its mount table."""
        text = pathlib.Path(f"/proc/{self.pid}/mountinfo").read_bytes().decode()
        return text.split("\n")[:-1]

    def mounted_on(self, path: str) -> list[str]:
        """The lines of its mount table for ``path`` (without characters that are escaped)."""
        return [line for line in self.mountinfo() if line.split(" ")[4] == path]


class UnsharedProcess(t.Protocol):
    def __call__(
        self, kinds: t.Collection[str] = ("mnt",), *, options: t.Sequence[str] = ()
    ) -> Unshared: ...


_LONG_NAMES = {"mnt": "mount"}


def start_unshared(
    stack: contextlib.ExitStack, kinds: t.Collection[str], options: t.Sequence[str]
) -> Unshared:
    """Start one with unshare(1); it ends with the stack."""
    words = [f"--{_LONG_NAMES.get(kind, kind)}" for kind in kinds]
    forks = {"pid", "time"} & set(kinds)
    if forks:
        words += ["--fork", "--kill-child"]
    if "pid" in kinds and "mnt" in kinds:
        words.append("--mount-proc")
    ready, tell = os.pipe()
    # It dies with us, also when we are killed.
    argv = ["setpriv", "--pdeathsig", "KILL", "unshare", *words, *options]
    argv += ["sh", "-c", "echo; exec sleep infinity"]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=tell)
    stack.callback(_end, process)
    os.close(tell)
    with open(ready, "rb") as pipe:
        assert pipe.readline() == b"\n", f"{argv} failed"
    return Unshared(_only_child(process.pid) if forks else process.pid)


def _only_child(pid: int) -> int:
    (child,) = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
