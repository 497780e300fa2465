# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Running the programs that make root file systems: mmdebstrap, skopeo, umoci, tar, cp.

They work with what a stranger has made, as root. So each runs in a mount namespace of its own,
in which only what it has to write can be written, in a pid namespace that ends with us, and
without a network, unless it is to fetch something: an image in a file may name an address.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import collections
import errno
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import typing as t

from .. import kinds
from ..errors import KernelError
from ..namespace import enter
from ..namespace.target import Handles
from ..process import installed
from ..syscalls import detached, mounts, namespaces, processes
from .progress import Progress, silent

# Of what a program writes, kept for the error.
_LINES_KEPT = 30
# What is longer becomes several, in bytes.
_LINE_LIMIT = 1 << 16


def is_there(program: str) -> bool:
    """Whether the program is installed."""
    return shutil.which(program) is not None


def needed(program: str, *, for_what: str) -> None:
    """Raises Refused with the package of the program where that is missing."""
    if not is_there(program):
        raise installed.missing(program, f"{for_what} needs {program}")


class Failed(Exception):
    """A program failed: the last lines that it wrote."""

    def __init__(self, lines: t.Sequence[str]) -> None:
        super().__init__(lines[-1] if lines else "it ended early")
        self.lines = list(lines)


def answer(command: t.Sequence[str], *, limit: int, seconds: float, network: bool = False) -> bytes:
    """What the command writes to its standard output: at most ``limit`` bytes, within ``seconds``.

    It has the ``network`` where that is asked for. Raises Failed.
    """
    began = time.monotonic()
    with tempfile.TemporaryFile() as complaints:
        program = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            preexec_fn=None if network else _leave_network,
            start_new_session=True,  # without the caller's terminal
        )
        end = threading.Timer(seconds, program.kill)
        end.start()
        try:
            with t.cast("t.IO[bytes]", program.stdout) as output:
                said = output.read(limit + 1)
            status = program.wait() if len(said) <= limit else 0
        finally:
            end.cancel()
            program.kill()
            program.wait()
        if len(said) > limit:
            raise Failed([f"{command[0]} answers with more than {limit >> 20} MB"])
        if status and time.monotonic() - began >= seconds:
            raise Failed([f"{command[0]} has not answered within {seconds:g} seconds"])
        if status:
            complaints.seek(max(0, complaints.tell() - _LINE_LIMIT))
            lines = complaints.read(_LINE_LIMIT).decode("utf-8", "replace").splitlines()
            raise Failed(lines[-_LINES_KEPT:])
        return said


def _leave_network() -> None:
    try:
        namespaces.unshare(kinds.KINDS["net"].flag)
    except KernelError as error:
        # Nothing of a plain user's is at stake, and root without that right cannot unpack it either.
        if error.errno != errno.EPERM:
            raise


def run(
    command: list[str],
    *,
    writable: t.Sequence[str],
    scratch: str,
    progress: Progress = silent,
    directory: int = -1,
    network: bool = False,
) -> None:
    """Run the command; only below the directories ``writable`` it can write.

    In the open ``directory``, or else in the root. It has the ``network`` where that is asked for.
    ``scratch`` is where it puts temporary files. Each line that it writes goes to
    ``progress``. Raises Failed, KernelError.
    """
    read_fd, write_fd = os.pipe()
    child = -1
    try:
        creates = ("mnt", "pid") if network else ("mnt", "net", "pid")
        child = _start(command, writable, scratch, write_fd, directory, creates)
        os.close(write_fd)
        write_fd = -1
        last: collections.deque[str] = collections.deque(maxlen=_LINES_KEPT)
        with open(read_fd, encoding="utf-8", errors="replace", closefd=False) as output:
            for line in iter(lambda: output.readline(_LINE_LIMIT), ""):
                # A progress bar writes over its line.
                line = line.rstrip("\r\n").rpartition("\r")[2].strip()
                if line:
                    last.append(line)
                    progress(f"{command[0]}: {line}")
        _pid, status = os.waitpid(child, 0)
        child = -1
        if status:
            raise Failed(last)
    finally:
        if child > 0:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        for fd in (read_fd, write_fd):
            if fd >= 0:
                os.close(fd)


def _start(
    command: list[str],
    writable: t.Sequence[str],
    scratch: str,
    output: int,
    directory: int,
    creates: t.Collection[str],
) -> int:
    environment = {
        **os.environ,
        "TMPDIR": scratch,
        "DEBIAN_FRONTEND": "noninteractive",
        "LC_ALL": "C.UTF-8",
    }
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def body() -> int:
        processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
        mounts.mount("none", "/", flags=mounts.MS_REC | mounts.MS_PRIVATE)
        _make_read_only(writable)
        mounts.mount("proc", "/proc", fstype="proc")
        os.dup2(null, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir("/" if directory < 0 else directory)
        os.umask(0o022)
        return _run_as_init(command, environment)

    try:
        return enter.spawn(body, joins=Handles({}), creates=creates)
    finally:
        os.close(null)


def _make_read_only(writable: t.Sequence[str]) -> None:
    """Everything but these directories. Before Linux 5.12 everything stays as it is."""
    trees = [(path, detached.open_tree(_AT_FDCWD, path)) for path in writable]
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        detached.mount_setattr(root, attr_set=mounts.MOUNT_ATTR_RDONLY, recursive=True)
    except KernelError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
        return
    for path, tree in trees:
        target = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        detached.move_mount(tree, target)
        os.close(target)
        os.close(tree)


_AT_FDCWD = -100


def _run_as_init(command: list[str], environment: dict[str, str]) -> int:
    """Run it as a child: the first process of a pid namespace gets no signals by default.

    The first process also has to wait for those whose parents have ended.
    """
    program = os.fork()
    if program == 0:
        os.setsid()
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        processes.close_descriptors_from(3)
        try:
            os.execvpe(command[0], command, environment)
        finally:
            os._exit(127)
    while True:
        pid, status = os.wait()
        if pid == program:
            return 0 if status == 0 else 1
