# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What /proc says of processes, and of the namespaces that they live in (proc(5)).

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os

from .. import kinds, once
from ..errors import KernelError
from ..values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

_CHUNK = 65536


def parse_link(text: str) -> int:
    """The id in the text of a link in /proc/PID/ns, such as "mnt:[4026531832]"."""
    return int(text[text.index("[") + 1 : -1])


def ids_of_process(pid: int | str, names: t.Iterable[str] = kinds.NAMES) -> dict[str, int]:
    """The ids of the namespaces that the process ``pid`` ("self" too) lives in, by kind.

    Kinds that the kernel lacks, and processes that may not be looked into or have ended, are
    left out.
    """
    ids = {}
    for name in names:
        try:
            ids[name] = parse_link(os.readlink(f"/proc/{pid}/ns/{name}"))
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            pass
    return ids


OWN_MOUNTS = "/proc/self/mountinfo"


@once.kept
def own_mounts() -> str:
    """The mount table of this process (proc_pid_mountinfo(5)). Raises OSError.

    A mount point may have a carriage return in its name, which the kernel does not escape.
    """
    with open(OWN_MOUNTS, encoding="utf-8", errors="surrogateescape", newline="\n") as table:
        return table.read()


@once.kept
def listed(directory: str) -> tuple[str, ...]:
    """The names in a directory of the host; none where that is not there. Raises OSError."""
    try:
        return tuple(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return ()


@once.kept
def all_pids() -> tuple[int, ...]:
    """The pids of all processes that /proc shows."""
    return tuple(int(name) for name in os.listdir("/proc") if name.isdigit())


class ProcessFacts(Value):
    """What /proc/PID says of a process (proc_pid_stat(5))."""

    __slots__ = ("command", "pages", "parent", "pid", "session", "start", "state", "ticks", "uid")

    def __init__(
        self,
        *,
        pid: int,
        parent: int,
        session: int,
        state: str,
        ticks: int,
        start: int,
        pages: int,
        uid: int,
        command: str,
    ) -> None:
        self.pid = pid
        # The pid of its parent.
        self.parent = parent
        # The pid of the leader of its session.
        self.session = session
        # A letter: "Z" and "X" are those of a process that has ended.
        self.state = state
        # How long it has kept processors busy, in clock ticks.
        self.ticks = ticks
        # In clock ticks since boot: tells it from a later process with the same pid.
        self.start = start
        # How much of it is in memory, in pages.
        self.pages = pages
        # Its effective uid.
        self.uid = uid
        # Its arguments with spaces between them; the name of its file where it has none.
        self.command = command


@once.kept
def process_facts(pid: int) -> ProcessFacts | None:
    """The facts of a process, or None when it has ended."""
    try:
        directory = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY)
    except (FileNotFoundError, PermissionError):
        # For want of a descriptor nobody is to count as dead.
        return None
    try:
        stat_line = _read_at(directory, "stat").decode("utf-8", "surrogateescape")
        arguments = _read_at(directory, "cmdline")
        uid = os.fstat(directory).st_uid
    except OSError as error:
        if error.errno in (errno.ESRCH, errno.ENOENT):
            return None
        raise
    finally:
        os.close(directory)
    # The name stands in parentheses and may hold any character: look for the last one.
    name_end = stat_line.rindex(")")
    fields = stat_line[name_end + 2 :].split()
    words = [word.decode("utf-8", "replace") for word in arguments.split(b"\0") if word]
    return ProcessFacts(
        pid=pid,
        parent=int(fields[1]),
        session=int(fields[3]),
        state=fields[0],
        ticks=int(fields[11]) + int(fields[12]),
        start=int(fields[19]),
        pages=int(fields[21]),
        uid=uid,
        command=" ".join(words) or stat_line[stat_line.index("(") + 1 : name_end],
    )


def _read_at(directory: int, name: str) -> bytes:
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        content = chunk = os.read(fd, _CHUNK)
        # These files are read whole when the buffer is large enough: a short read was the last.
        while len(chunk) == _CHUNK:
            chunk = os.read(fd, _CHUNK)
            content += chunk
        return content
    finally:
        os.close(fd)


def text_of(path: str, *, dir_fd: int | None = None) -> str:
    """The text of a file of /proc, which may be named from there; empty where there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=dir_fd)
        with open(fd, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def write(path: str, text: str, *, dir_fd: int | None = None) -> None:
    """Write to a file of /proc, in one go: some take no second one. Raises KernelError.

    It may be named from an open directory.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=dir_fd)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
    except OSError as error:
        shown = {"path": path, "text": text}
        raise KernelError("write", error.errno or errno.EIO, shown) from error
