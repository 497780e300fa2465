# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The mount namespaces of a host with their mounts, each table read once.

Of one in which a process has the root of the namespace for its own, that process's table is read;
all others, as those that a name alone keeps, are joined one after the other by one child.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import os
import typing as t

from .. import host_paths, once
from ..mount import table
from ..mount.table import Mount
from ..namespace import enter, inhabitants
from ..process import import_guard, proc
from ..syscalls import namespaces, processes

_CLONE_NEWNS = 0x00020000
# How many are held open at a time (getrlimit(2)).
_AT_ONCE = 200
# Of so many of its processes it is looked whether they have the root of the namespace.
_TRIED = 20


class Space(t.NamedTuple):
    """A mount namespace."""

    id: int
    is_host: bool
    # Of the named namespace; empty for none.
    name: str
    # Where its file is mounted on the host.
    pins: tuple[str, ...]
    # The lowest of those that live in it; 0 for none.
    pid: int
    # From its root; empty where it could not be joined.
    mounts: t.Sequence[Mount]


def all_of(host: t.Sequence[Mount]) -> list[Space]:
    """All mount namespaces that the host knows of, its own the first; ``host`` are its mounts."""
    own = proc.ids_of_process("self", ["mnt"]).get("mnt", 0)
    pids = {number: found for (_kind, number), found in inhabitants.by_namespace(("mnt",)).items()}
    pinned = pins_in(host)
    tables: dict[int, t.Sequence[Mount]] = {own: host}
    joined: dict[int, str] = {}
    for number in {**pids, **pinned}:
        if number == own:
            continue
        there = _table_of(pids.get(number, ()))
        if there:
            tables[number] = there
        elif number in pinned:
            joined[number] = pinned[number][0]
        else:
            joined[number] = f"/proc/{pids[number][0]}/ns/mnt"
    numbers = [*joined]
    for first in range(0, len(numbers), _AT_ONCE):
        batch = numbers[first : first + _AT_ONCE]
        look = functools.partial(_tables_inside, [joined[each] for each in batch])
        tables.update(zip(batch, enter.run_inside(look)))
    return [
        Space(
            number,
            number == own,
            name_by(pinned.get(number, ())),
            tuple(pinned.get(number, ())),
            min(pids.get(number, [0])),
            tables[number],
        )
        for number in (own, *sorted({*pids, *pinned} - {own}))
    ]


def pins_in(mounts: t.Iterable[Mount]) -> dict[int, list[str]]:
    """The paths of the files of mount namespaces that are mounted, by their ids. Pure."""
    found: dict[int, list[str]] = {}
    for mount in mounts:
        if mount.fstype == "nsfs" and mount.root.startswith("mnt:"):
            found.setdefault(proc.parse_link(mount.root), []).append(mount.path)
    return found


def name_by(pins: t.Iterable[str]) -> str:
    """The name that a mount namespace is kept under, by the paths of its pins. Pure."""
    for pin in pins:
        above, name = os.path.split(os.path.dirname(pin))
        is_own = os.path.basename(pin) == "mnt" and above in (host_paths.BASE, host_paths.CLOSED)
        if is_own and host_paths.is_name(name):
            return name
    return ""


def _table_of(pids: t.Iterable[int]) -> list[Mount]:
    """The table that a process with the root of the namespace has; empty where there is none."""
    for pid in [*pids][:_TRIED]:
        with contextlib.suppress(OSError):  # it has ended meanwhile
            # Of what lies outside of its root a process sees nothing (proc_pid_mountinfo(5)).
            if os.readlink(f"/proc/{pid}/root") == "/":
                return table.read(f"/proc/{pid}/mountinfo")
    return []


def _tables_inside(paths: t.Sequence[str]) -> list[list[Mount]]:
    """The tables of the namespaces with these files; empty for what cannot be joined."""
    # As enter.spawn() does for who joins a target.
    import_guard.end()
    once.forget()
    processes.prctl(processes.PR_SET_DUMPABLE, 0)
    own_proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    opened = []
    for path in paths:
        fd = -1
        with contextlib.suppress(OSError):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        opened.append(fd)
    found: list[list[Mount]] = []
    for fd in opened:
        there: list[Mount] = []
        with contextlib.suppress(OSError):
            namespaces.setns(fd, _CLONE_NEWNS)
            there = table.read("self/mountinfo", dir_fd=own_proc)
        found.append(there)
    return found
