# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Reading the mount table: the text of /proc/PID/mountinfo as records (proc_pid_mountinfo(5)).

The kernel hands it out by 4 KiB at a time, whatever is asked for (seq_file), and others may mount and
unmount in between. What is there all the time is in it exactly once: the kernel goes on after the
mount that it came to, by its number that is never given again from Linux 6.8 on, and by a mark in its
list since 5.8. What comes and goes meanwhile may be in it or not; a row is true of the moment at which
it was read. So nobody is to rely on finding a mount by what was seen before: see TargetView.found().

Parsing is pure: it takes text, so that a fixture is a text file.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import collections
import functools
import os
import re
import typing as t

from .. import once, redact
from ..definition.layout import ancestors
from ..process import proc

# Of a table in which a number stands twice: 3 of 3,000 readings beside a process that only mounts.
_READINGS = 10

_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount(t.NamedTuple):
    """One mount, as the kernel lists it. Paths are what they are: no suffix is stripped."""

    id: int
    # The id of the mount that it is on.
    parent: int
    # "major:minor".
    device: str
    # The part of the file system that is mounted.
    root: str
    # Where it is mounted, from the root of whoever read the table.
    path: str
    # Words of the mount's own.
    flags: tuple[str, ...]
    # The optional fields: ("shared:4", "master:2").
    peers: tuple[str, ...]
    fstype: str
    src: str
    # Words of the file system.
    options: tuple[str, ...]

    @property
    def propagation(self) -> str:
        """private, slave, shared, unbindable, or "shared,slave" (findmnt(8))."""
        words = []
        for peer in self.peers:
            name = peer.partition(":")[0]
            if name in ("shared", "unbindable"):
                words.append(name)
            elif name == "master":
                words.append("slave")
        return ",".join(words) or "private"


def as_data(mount: Mount) -> dict[str, t.Any]:
    """The mount as results show it, without secrets."""
    return {
        "id": mount.id,
        "parent": mount.parent,
        "path": mount.path,
        "src": redact.address(mount.src),
        "fstype": mount.fstype,
        "root": mount.root,
        "device": mount.device,
        "opts": redact.words(words_of(mount)),
        "propagation": mount.propagation,
    }


def words_of(mount: Mount) -> list[str]:
    """All words of a mount, as findmnt(8) joins them: ``ro`` when either half says so."""
    writable = "ro" not in mount.options
    flags = [flag if writable or flag != "rw" else "ro" for flag in mount.flags]
    return [*flags, *(word for word in mount.options if word not in ("ro", "rw"))]


def unescape(text: str) -> str:
    r"""Undo the kernel's octal escapes (\040 for a space; a backslash is always \134)."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda match: chr(int(match.group(1), 8)), text)


def split_options(text: str) -> tuple[str, ...]:
    r"""The words of an option field. A comma inside a value stands there as \054 or \, ."""
    if "\\" not in text:
        return tuple(text.split(",")) if text else ()
    return tuple(unescape(word) for word in re.split(r"(?<!\\),", text) if word)


def pairs_of(options: t.Iterable[str]) -> list[tuple[str, str | None]]:
    """The words of a file system as (key, value); a flag has no value."""
    split = (word.partition("=") for word in options)
    return [(key, value if sign else None) for key, sign, value in split]


def read(path: str = proc.OWN_MOUNTS, *, dir_fd: int | None = None, only: str = "") -> list[Mount]:
    """The mounts in a file of /proc, which may be named from an open directory.

    With ``only``, those whose line has this text. The number of a mount that was taken away while it
    was read may stand there once more, of one that came since; what is on either could not be told
    apart, so that it is read again. Raises OSError.
    """
    if dir_fd is None:
        return [*_read_path(path, only)]
    return _read(path, dir_fd, only)


@once.kept
def _read_path(path: str, only: str) -> list[Mount]:
    return _read(path, None, only)


def _read(path: str, dir_fd: int | None, only: str) -> list[Mount]:
    for _attempt in range(_READINGS):
        found = _read_once(path, dir_fd, only)
        if len({mount.id for mount in found}) == len(found):
            break
    return found


def _read_once(path: str, dir_fd: int | None, only: str) -> list[Mount]:
    if dir_fd is None and path == proc.OWN_MOUNTS:
        text = proc.own_mounts()
        return parse("\n".join(line for line in text.split("\n") if only in line) if only else text)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=dir_fd)
    # A mount point may have a carriage return in its name, which the kernel does not escape.
    with open(fd, encoding="utf-8", errors="surrogateescape", newline="\n") as table:
        return parse("".join(line for line in table if only in line) if only else table.read())


def parse(text: str) -> list[Mount]:
    """The mounts in ``text``, in its order (a mount follows its parent).

    Fields are separated by exactly one space, since a source may be empty. Raises ValueError
    for a line that is no mountinfo line.
    """
    return [_parse_line(line) for line in text.split("\n") if line]


@functools.lru_cache(maxsize=1 << 14)  # who reads it again and again finds most lines as they were
def _parse_line(line: str) -> Mount:
    before, separator, after = line.partition(" - ")
    fields = before.split(" ")
    tail = after.split(" ", 2)
    if not separator or len(fields) < 6 or len(tail) < 3:
        raise ValueError(f"not a mountinfo line: {line!r}")
    return Mount(
        id=int(fields[0]),
        parent=int(fields[1]),
        device=fields[2],
        root=unescape(fields[3]),
        path=unescape(fields[4]),
        flags=split_options(fields[5]),
        peers=tuple(fields[6:]),
        fstype=unescape(tail[0]),
        src=unescape(tail[1]),
        options=split_options(tail[2]),
    )


class Table:
    """A mount table, indexed.

    One that changed while it was read may go round in a circle: a mount that was moved meanwhile.
    """

    def __init__(self, mounts: t.Sequence[Mount]) -> None:
        self.mounts = mounts
        self.by_id = {mount.id: mount for mount in mounts}
        self._on: dict[int, list[Mount]] = {}
        for mount in mounts:
            if mount.parent != mount.id:
                self._on.setdefault(mount.parent, []).append(mount)

    def stacked_under(self, mount: Mount) -> list[Mount]:
        """The mounts at the same path beneath ``mount``, from the top down."""
        found: list[Mount] = []
        lower = self.by_id.get(mount.parent)
        seen = {mount.id}
        while lower is not None and lower.path == mount.path and lower.path != "/":
            if lower.id in seen:
                break
            seen.add(lower.id)
            found.append(lower)
            lower = self.by_id.get(lower.parent)
        return found

    def descendants(self, mount_id: int) -> list[Mount]:
        """What is mounted below the mount with this id, a mount after the one it stands on.

        The table lists them by age: a mount can be older than the one that it was moved onto.
        """
        found: list[Mount] = []
        seen = {mount_id}
        waiting = collections.deque([mount_id])
        while waiting:
            for upper in self._on.get(waiting.popleft(), []):
                if upper.id not in seen:
                    seen.add(upper.id)
                    found.append(upper)
                    waiting.append(upper.id)
        return found


def paths_by_device(mounts: t.Iterable[Mount]) -> dict[str, set[str]]:
    """Where each file system is mounted: paths by "major:minor"."""
    found: dict[str, set[str]] = {}
    for mount in mounts:
        found.setdefault(mount.device, set()).add(mount.path)
    return found


def below(mounts: t.Iterable[Mount], path: str) -> list[Mount]:
    """The mounts whose path lies below ``path`` (not at it), in table order."""
    prefix = path.rstrip("/") + "/"
    return [mount for mount in mounts if mount.path.startswith(prefix) and mount.path != prefix]


def reachable(mounts: t.Sequence[Mount]) -> list[Mount]:
    """The mounts that no other one hides, in the order of the table. Pure.

    A mount may stand in the table before the one that it is mounted on: it can be older.
    """
    children: dict[int, list[Mount]] = {}
    for mount in mounts:
        children.setdefault(mount.parent, []).append(mount)
    by_id = {mount.id: mount for mount in mounts}
    found = set()
    pending = [mount for mount in mounts if mount.parent not in by_id or mount.parent == mount.id]
    while pending:
        mount = pending.pop()
        on_it = [each for each in children.get(mount.id, []) if each.id != mount.id]
        covering = [each for each in on_it if each.path == mount.path]
        # What was mounted above another one of the same mount lies in the way to that.
        paths = {each.path for each in on_it}
        on_it = [each for each in on_it if paths.isdisjoint(ancestors(each.path))]
        if not covering:
            found.add(mount.id)
        pending += covering or on_it
    return [mount for mount in mounts if mount.id in found]
