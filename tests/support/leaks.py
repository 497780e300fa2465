# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a secret may come to light: the log of the host, its files, its list of processes."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import stat
import subprocess
import threading
import time
import typing as t

OTHERS_MAY_READ = stat.S_IROTH
PLACES = ("/etc", "/run", "/var")
_LARGEST = 4 << 20


class Watch:
    """What has come to light since it began."""

    def __init__(self) -> None:
        self.began = time.time() - 1
        self.logged: list[str] = []
        self.command_lines: set[str] = set()
        self._awaited: dict[str, pathlib.Path] = {}

    def touch_when_seen(self, command_line: str, path: pathlib.Path) -> None:
        """Make the file once a process with this in its command line was seen.

        A program that waits for it has been seen, however long a look at all processes takes.
        """
        self._awaited[command_line] = path

    def add(self, command_line: str) -> None:
        """Note the command line of a process."""
        self.command_lines.add(command_line)
        for awaited, path in self._awaited.items():
            if awaited in command_line:
                path.touch()

    def files(self) -> dict[str, str]:
        """The texts of files that others may read and that were written since."""
        found = {}
        for place in PLACES:
            for above, _folders, names in os.walk(place):
                for path in (pathlib.Path(above, name) for name in names):
                    with contextlib.suppress(OSError):
                        status = path.lstat()
                        readable = stat.S_ISREG(status.st_mode) and status.st_mode & OTHERS_MAY_READ
                        if readable and status.st_ctime >= self.began and status.st_size < _LARGEST:
                            found[str(path)] = path.read_text(errors="replace")
        return found

    def of(self, secrets: t.Iterable[str]) -> list[str]:
        """Which of the secrets was where."""
        places = {
            "the log": "\n".join(self.logged),
            "a list of processes": "\n".join(self.command_lines),
            **self.files(),
        }
        return [
            f"{secret} in {place}: {text[max(0, text.find(secret) - 80) :][:200]!r}"
            for secret in secrets
            for place, text in places.items()
            if secret in text
        ]


@contextlib.contextmanager
def watched() -> t.Iterator[Watch]:
    """Catch what is sent to syslog(3), and sample the command lines of all processes."""
    watch = Watch()
    done = threading.Event()
    with _syslog() as log:
        tasks = [
            threading.Thread(target=_receive, args=(log, watch, done)),
            threading.Thread(target=_sample, args=(watch, done)),
        ]
        for task in tasks:
            task.start()
        try:
            yield watch
        finally:
            done.set()
            for task in tasks:
                task.join()


def _receive(log: socket.socket, watch: Watch, done: threading.Event) -> None:
    while True:
        try:
            watch.logged.append(log.recv(1 << 16).decode("utf-8", "replace"))
        except TimeoutError:
            if done.is_set():
                return


def _sample(watch: Watch, done: threading.Event) -> None:
    while not done.is_set():
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError):
                    line = pathlib.Path(f"/proc/{name}/cmdline").read_bytes()
                    watch.add(line.replace(b"\0", b" ").decode("utf-8", "replace"))
        time.sleep(0.002)


@contextlib.contextmanager
def _syslog() -> t.Iterator[socket.socket]:
    """A /dev/log of our own, in a /dev of our own: the host's is everybody's."""
    devices = pathlib.Path("/run/tests/devices")
    devices.mkdir()
    # Private: what is mounted on /dev would appear there as well.
    subprocess.run(["mount", "--rbind", "--make-rprivate", "/dev", str(devices)], check=True)
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tests", "/dev"], check=True)
        try:
            for path in devices.iterdir():
                here = f"/dev/{path.name}"
                if path.is_dir() and not path.is_symlink():  # shm_open(3) follows no link
                    os.mkdir(here)
                    subprocess.run(["mount", "--rbind", str(path), here], check=True)
                elif path.name != "log":
                    os.symlink(path, here)
            log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            log.settimeout(0.1)
            log.bind("/dev/log")
            os.chmod("/dev/log", 0o666)
            with log:
                yield log
        finally:
            subprocess.run(["umount", "-l", "/dev"], check=True)
    finally:
        subprocess.run(["umount", "-R", "-l", str(devices)], check=True)
        devices.rmdir()
