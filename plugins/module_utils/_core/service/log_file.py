# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What services of supervisor "none" write, where systemd's journal keeps it for the others.

    /var/log/linux-namespaces/web/nginx.log      at most 10 MiB
    /var/log/linux-namespaces/web/nginx.log.1    what was in it before, up to .4

A file that the program wrote to by itself could not be held to a size while nobody of ours runs. So it writes to a
pipe, and a process that lives for as long as the pipe does writes it down (log_writer.py).
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import sys
import typing as t

from .. import host_paths
from ..process import proc, watch
from ..storage import atomic
from ..syscalls import processes, regular_files
from . import log_writer

# As the kubelet keeps the logs of a container.
LIMIT = 10 << 20
KEPT = 4
# How long it may take to write down what is left, in seconds.
_PATIENCE = 2.0
_SCRIPT_FD = 3
_REPORT_FD = 4
_SCRIPT = f"/proc/self/fd/{_SCRIPT_FD}"
# What a process of ours has in common with us, and nobody inside.
_HOST = ("mnt", "user")
_LAST_LINES = 20
_LAST_BYTES = 65536


def path_of(namespace: str, name: str) -> str:
    """Where the output of a service goes."""
    return f"{host_paths.LOGS}/{namespace}/{name}.log"


def parts_of(path: str) -> list[str]:
    """All files of the log that are there, the oldest first."""
    every = [*(f"{path}.{number}" for number in range(KEPT, 0, -1)), path]
    return [each for each in every if os.path.lexists(each)]


def remove(path: str) -> None:
    """Remove the log, and the directories that hold no other. Raises OSError."""
    for each in parts_of(path):
        os.unlink(each)
    for directory in (os.path.dirname(path), host_paths.LOGS):
        atomic.remove_directory(directory)


def writing_to(path: str) -> t.Callable[[int], bool]:
    """What tells of a process, by its pid, whether its output goes to the log."""
    own = proc.ids_of_process("self", _HOST)
    pipes = set()
    for pid in proc.all_pids():
        argv = proc.text_of(f"/proc/{pid}/cmdline").split("\0")
        # Somebody inside can have any name, and be given any pipe.
        if argv[3:5] == [_SCRIPT, path] and proc.ids_of_process(pid, _HOST) == own:
            pipes.add(_file(pid, 0))
    pipes.discard(None)
    return lambda pid: _file(pid, 1) in pipes


def _file(pid: int, fd: int) -> tuple[int, int] | None:
    try:
        found = os.stat(f"/proc/{pid}/fd/{fd}")
    except OSError:  # it has ended
        return None
    return found.st_dev, found.st_ino


class Written:
    """The log while a program is started that writes to it. Use it in a with statement.

    ``place`` gives the process that writes it down its cgroup, by its pid, before it does anything.
    """

    def __init__(self, path: str, place: t.Callable[[int], None]) -> None:
        self._path = path
        directory = os.path.dirname(path)
        atomic.make_directory(directory, mode=0o750)
        atomic.close(os.path.dirname(directory), mode=0o755)  # it may be of an earlier version
        flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(file, 0o640)
            os.chmod(directory, 0o750)  # version 0.1.0 left it open
            self._begin = os.fstat(file)
        finally:
            os.close(file)
        reader, self.fd = os.pipe()
        try:
            self._writer = _start_writer(path, reader, place)
        except BaseException:
            os.close(self.fd)
            raise
        finally:
            os.close(reader)

    def __enter__(self) -> Written:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Write nothing more: the writer ends with the last process that has the pipe."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def finish(self) -> None:
        """Wait until all is in the log that was written by programs that have ended."""
        self.close()
        watch.wait_for_end(watch.identify(self._writer), timeout=_PATIENCE)

    def last_lines(self) -> str:
        """The last lines that are in the log, and were not when this began. Raises OSError."""
        with open(regular_files.open_regular(self._path, os.O_NOFOLLOW), "rb") as log:
            now = os.fstat(log.fileno())
            begin = self._begin.st_size if os.path.samestat(now, self._begin) else 0
            log.seek(max(begin, now.st_size - _LAST_BYTES))
            text = log.read().decode("utf-8", "replace")
        return "\n".join(text.splitlines()[-_LAST_LINES:])


def _start_writer(path: str, reader: int, place: t.Callable[[int], None]) -> int:
    """Its process, a child which has nothing of ours but the pipe. Raises OSError."""
    loader: t.Any = log_writer.__spec__.loader if log_writer.__spec__ is not None else None
    with contextlib.ExitStack() as stack:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        stack.callback(os.close, null)
        script, text_end = os.pipe()
        stack.callback(os.close, script)
        text = stack.enter_context(open(text_end, "wb"))
        told, report = os.pipe()
        answer = stack.enter_context(open(told, "rb"))
        try:
            pid = os.fork()
            if not pid:
                _become_writer(path, reader, null, script, report)
        finally:
            os.close(report)
        place(pid)
        number = int(answer.read() or 0)
        if number:
            os.waitpid(pid, 0)
            raise OSError(number, os.strerror(number), sys.executable)
        text.write(loader.get_source(log_writer.__name__).encode())
    return pid


def _become_writer(path: str, reader: int, null: int, script: int, report: int) -> t.NoReturn:
    """Run the writer; what keeps it from that is told as its errno. Each descriptor is above the last."""
    try:
        os.setsid()
        os.chdir("/")
        os.umask(0o027)
        os.dup2(reader, 0)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.dup2(script, _SCRIPT_FD)
        os.dup2(report, _REPORT_FD, inheritable=False)
        report = _REPORT_FD
        processes.close_descriptors_from(_REPORT_FD + 1)
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb") as score:
            score.write(b"-900")  # its end would be that of the program
        argv = [
            sys.executable,
            "-I",
            "-S",
            _SCRIPT,
            path,
            str(LIMIT),
            str(KEPT),
        ]
        os.execve(sys.executable, argv, {})
    except OSError as error:
        os.write(report, str(error.errno).encode())
    finally:
        os._exit(1)
