# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which processes use a mount, or write to it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
import typing as t

from ...process import proc
from ...syscalls import files

_MOST = 5
_SECONDS = 5.0


class User(t.NamedTuple):
    """A process that uses a mount."""

    # As the host sees it.
    pid: int
    # Its name (proc(5), comm).
    command: str

    def __str__(self) -> str:
        return f"{self.pid} ({self.command})"


def of_mount(host_proc: int, mount_id: int) -> list[User]:
    """The first few processes that have a file, a directory or a mapping of the mount in use.

    ``host_proc`` is the host's /proc, ``mount_id`` the number in mountinfo. The search ends
    after five seconds. Processes that the caller may not look into are left out.
    """
    return _search(host_proc, lambda process: _uses(process, mount_id))


def writing(host_proc: int, *, mount_id: int, device: int) -> list[User]:
    """The first few processes that have a file open for writing on the mount.

    Those on another mount of the same file system (``device``) come after: they hold a file
    system writable, not the mount.
    """
    here = _search(host_proc, lambda process: _writes(process, mount_id=mount_id))
    return here or _search(host_proc, lambda process: _writes(process, device=device))


def having_open(host_proc: int, *, rdevs: t.Container[int]) -> list[User]:
    """The first few processes that have one of these devices open."""
    return _search(host_proc, lambda process: _has_open(process, rdevs))


def pids(host_proc: int) -> list[str]:
    """The names of the directories of all processes in the host's /proc, the oldest first."""
    return sorted((name for name in _names(host_proc, ".") if name.isdecimal()), key=int)


def listed(users: t.Sequence[User]) -> str:
    """The processes as text: ``4242 (nginx), 4243 (sh)``."""
    shown = ", ".join(map(str, users))
    return f"{shown} and perhaps others" if len(users) == _MOST else shown


def _search(host_proc: int, matches: t.Callable[[int], bool]) -> list[User]:
    deadline = time.monotonic() + _SECONDS
    itself = os.readlink("self", dir_fd=host_proc)
    found: list[User] = []
    names = [name for name in pids(host_proc) if name != itself]
    # Those in the same mount namespace as this process are the likely ones: look at them first.
    own = _link(host_proc, "self/ns/mnt")
    names.sort(key=lambda name: _link(host_proc, f"{name}/ns/mnt") != own)
    for name in names:
        if len(found) == _MOST or time.monotonic() > deadline:
            break
        with contextlib.suppress(OSError), _opened(host_proc, name) as process:
            if matches(process):
                found.append(User(int(name), proc.text_of("comm", dir_fd=process).strip()))
    return found


def _link(directory: int, name: str) -> str:
    with contextlib.suppress(OSError):
        return os.readlink(name, dir_fd=directory)
    return ""


def _uses(process: int, mount_id: int) -> bool:
    links = ["cwd", "root", "exe"]
    links += [f"{where}/{name}" for where in ("fd", "map_files") for name in _names(process, where)]
    return any(_mount_of(process, link) == mount_id for link in links)


def _writes(process: int, *, mount_id: int = -1, device: int = -1) -> bool:
    for name in _names(process, "fd"):
        with contextlib.suppress(OSError), _opened(process, f"fd/{name}") as fd:
            place = files.place_of(fd)
            if mount_id not in (-1, place.mount_id) or device not in (-1, place.device):
                continue
            text = proc.text_of(f"fdinfo/{name}", dir_fd=process)
            lines = dict(line.split(":", 1) for line in text.splitlines())
            flags = int(lines.get("flags", "0"), 8)
            if flags & os.O_ACCMODE in (os.O_WRONLY, os.O_RDWR):
                return True
    return False


def _has_open(process: int, rdevs: t.Container[int]) -> bool:
    for name in _names(process, "fd"):
        with contextlib.suppress(OSError):
            status = os.stat(f"fd/{name}", dir_fd=process)
            if stat.S_ISBLK(status.st_mode) and status.st_rdev in rdevs:
                return True
    return False


def _mount_of(process: int, link: str) -> int:
    with contextlib.suppress(OSError), _opened(process, link) as fd:
        return files.place_of(fd).mount_id
    return -1


@contextlib.contextmanager
def _opened(directory: int, name: str) -> t.Iterator[int]:
    fd = os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=directory)
    try:
        yield fd
    finally:
        os.close(fd)


def _names(directory: int, name: str) -> list[str]:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return []
    try:
        return os.listdir(fd)
    except OSError:
        return []
    finally:
        os.close(fd)
