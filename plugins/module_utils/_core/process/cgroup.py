# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A cgroup of its own for a process that is to outlive whoever starts it, and its end with all in it.

Whoever runs a play may be killed with its cgroup: by systemd at the end of a unit, by what runs the
jobs of a CI. A process that we leave behind so gets a cgroup beside, in each tree that groups
processes: that of version 2, and of version 1 those with a name (systemd's) and the freezer. Trees
of version 1 that only limit resources are left alone. What it forks is in there too, whatever it
does with sessions and parents (cgroups(7)).

With systemd the cgroup is that of a scope (see scope.py), without it one below the top of the tree
as the caller sees it: that of its container, most often. Its name is drawn by lot, so that nobody
else has it, and found again by it: where it lies follows. Where cgroups cannot be made there is
none, and nothing here fails for it.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import typing as t

from .. import once
from ..errors import KernelError
from ..syscalls import processes
from . import kill as killing
from . import proc, scope

_PAUSE = 0.01
# How long the freezer of version 1 may take to stop all, in seconds.
_FREEZING = 1.0


class _Tree(t.NamedTuple):
    # Where its top, as far as the caller sees, is mounted.
    top: str
    # How /proc/PID/cgroup names it: empty for version 2.
    name: str
    # Where that mount lies in the tree.
    root: str


@once.kept
def _trees() -> list[_Tree]:
    """The trees that group processes, where they are mounted first (proc_pid_mountinfo(5))."""
    found: dict[str, _Tree] = {}
    text = ""
    with contextlib.suppress(OSError):  # there is no /proc
        text = proc.own_mounts()
    for line in text.split("\n")[:-1]:
        place, _dash, kind = line.partition(" - ")
        fstype, _source, words = kind.split(" ", 2)
        root, top = place.split(" ")[3:5]
        names = [""] if fstype == "cgroup2" else []
        if fstype == "cgroup":
            names = [each for each in words.split(",") if each[:5] == "name=" or each == "freezer"]
        # Others are mounted together with none of these; what is out of sight has a root of "/..".
        if names and not root.startswith("/.."):
            found.setdefault(names[0], _Tree(top, names[0], root))
    return list(found.values())


def _directory(tree: _Tree, name: str) -> str | None:
    """Where the cgroup of this name is in the tree; None where it is not."""
    places = [f"{tree.top}/{name}"]
    above = _of_manager(tree)
    if above is not None:
        places.append(f"{tree.top}{above}/system.slice/{name}.scope")
    return next((place for place in places if os.path.isdir(place)), None)


@once.kept
def _groups_of_init() -> list[str]:
    return proc.text_of("/proc/1/cgroup").splitlines()


@once.kept
def _of_manager(tree: _Tree) -> str | None:
    """The cgroup that systemd has all of its own below, from the top on; None where there is none."""
    for line in _groups_of_init():
        _number, name, path = line.split(":", 2)
        if name.rpartition(",")[2] == tree.name and path.endswith("/init.scope"):
            above = path[: -len("/init.scope")]
            root = tree.root.rstrip("/")
            return above[len(root) :] if above.startswith(root) else None
    return None


def directories(name: str) -> list[str]:
    """Where the cgroup of this name is, in each tree that has it."""
    places = [_directory(tree, name) for tree in _trees()]
    return [place for place in places if place is not None]


def make(name: str, pid: int, *, title: str) -> None:
    """Move the process into a new cgroup of this name, in each tree where one can be made.

    ``title`` is what systemd calls the scope.
    """
    with scope.begun(name, title):
        for tree in _trees():
            if _directory(tree, name) is None:
                with contextlib.suppress(OSError):  # EROFS, EACCES: in a container; a limit
                    os.mkdir(f"{tree.top}/{name}")
        join(name, pid)


def join(name: str, pid: int) -> None:
    """Move the process into the cgroup of this name, where it is and that can be."""
    for place in directories(name):
        _told(f"{place}/cgroup.procs", str(pid))


def processes_in(name: str) -> list[int]:
    """The pids of all that live in it, those that have ended left out."""
    found = _listed(directories(name))
    return sorted(pid for pid in found if not killing.has_ended(pid))


class Usage(t.NamedTuple):
    """What has been used in a cgroup of version 2 (cgroups: Documentation/admin-guide/cgroup-v2.rst)."""

    # In bytes; None where the memory of its own is not counted.
    memory: int | None
    # In seconds.
    cpu: float


def usage_of(place: str) -> Usage | None:
    """What all in this directory have used; None where it is not one of version 2."""
    times = dict(line.split() for line in proc.text_of(f"{place}/cpu.stat").splitlines())
    if "usage_usec" not in times:
        return None
    memory = proc.text_of(f"{place}/memory.current").strip()
    return Usage(int(memory) if memory else None, int(times["usage_usec"]) / 1e6)


@once.kept
def places_of(pid: int) -> list[str]:
    """The directories of the cgroup of version 2 that a process is in, and of those above; the last is its own."""
    top = next((tree for tree in _trees() if not tree.name), None)
    path = next(
        (
            line[3:]
            for line in proc.text_of(f"/proc/{pid}/cgroup").splitlines()
            if line.startswith("0::/")
        ),
        "",
    )
    root = top.root.rstrip("/") if top is not None else ""
    if top is None or not path.startswith(root):
        return []
    parts = path[len(root) :].strip("/").split("/")
    return [f"{top.top}/{'/'.join(parts[:length])}" for length in range(1, len(parts) + 1)]


def _listed(places: t.Iterable[str]) -> set[int]:
    found: set[int] = set()
    for place in places:
        for above, _folders, _files in os.walk(place):
            found.update(map(int, proc.text_of(f"{above}/cgroup.procs").split()))
    return found - {0}  # one of a pid namespace that the caller does not see


def end(name: str, *, timeout: float) -> None:
    """Kill all in it. Raises KernelError, and Refused where some are left after ``timeout`` seconds."""
    places = directories(name)
    deadline = time.monotonic() + timeout
    while left := [pid for pid in _listed(places) if not killing.has_ended(pid)]:
        if time.monotonic() > deadline:
            raise killing.survival(left)
        # Linux 5.14, version 2: at once, with what they fork meanwhile. Who moved them here may not have
        # come as far as that tree.
        reached: set[int] = set()
        for place in places:
            there = _listed([place])
            if _told(f"{place}/cgroup.kill", "1"):
                reached |= there
        if not reached.issuperset(left):
            with _stopped(places):
                _kill(places)
        time.sleep(_PAUSE)


@contextlib.contextmanager
def _stopped(places: t.Collection[str]) -> t.Iterator[None]:
    """Nothing in it runs, and so nothing forks; the freezer of version 1 or 2 (Linux 5.2)."""
    frozen = [each for each in places if _told(f"{each}/freezer.state", "FROZEN")]
    by_v2 = [each for each in places if _told(f"{each}/cgroup.freeze", "1")]
    try:
        deadline = time.monotonic() + _FREEZING
        while any(proc.text_of(f"{each}/freezer.state") == "FREEZING\n" for each in frozen):
            if time.monotonic() > deadline:
                break
            time.sleep(_PAUSE)
        yield
    finally:
        # That of version 1 holds back SIGKILL as well.
        for each in frozen:
            _told(f"{each}/freezer.state", "THAWED")
        for each in by_v2:
            _told(f"{each}/cgroup.freeze", "0")


def _kill(places: t.Collection[str]) -> None:
    with contextlib.ExitStack() as stack:
        opened = {}
        for pid in _listed(places):
            with contextlib.suppress(KernelError):  # it has ended
                opened[pid] = processes.pidfd_open(pid)
                stack.callback(os.close, opened[pid])
        # A number may have been given to another process until it was opened.
        for pid in opened.keys() & _listed(places):
            with contextlib.suppress(KernelError):
                processes.pidfd_send_signal(opened[pid], signal.SIGKILL)


def remove(name: str, *, timeout: float) -> None:
    """Remove it, in which nothing lives any more. What cannot go yet stays."""
    deadline = time.monotonic() + timeout
    for place in directories(name):
        if place.endswith(".scope"):
            continue  # systemd's
        while not _removed(place) and time.monotonic() < deadline:
            time.sleep(_PAUSE)  # EBUSY: the last process is about to be gone


def _removed(place: str) -> bool:
    for above, _folders, _files in os.walk(place, topdown=False):
        try:
            os.rmdir(above)
        except FileNotFoundError:
            pass
        except OSError:
            return False
    return True


def _told(path: str, text: str) -> bool:
    """Whether the file is there and has taken the text."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, text.encode())
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
