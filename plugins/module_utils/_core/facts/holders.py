# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What holds a path, a device or an image: mounts of all namespaces, processes, and the kernel.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from .. import once
from ..definition import file as definitions
from ..errors import Refused
from ..mount import table
from ..mount.table import Mount
from ..process import proc
from ..syscalls import files, statmount
from . import holders_kernel, holders_mounts, holders_spaces, holders_subject, holders_users
from .holders_kernel import Hold
from .holders_mounts import Holding, Known
from .holders_spaces import Space
from .holders_subject import Subject
from .holders_users import Use

# Of a command that is shown, in characters.
_LONGEST = 60
_UNITS = (".service", ".scope")


class Holder(t.NamedTuple):
    """A process that uses it."""

    pid: int
    uid: int
    command: str
    # The unit of systemd that it is in; empty for none.
    unit: str
    # The id of its mount namespace.
    space: int
    uses: tuple[Use, ...]

    @property
    def short(self) -> str:
        """Its command in a line that is not too long."""
        return self.command if len(self.command) <= _LONGEST else f"{self.command[:_LONGEST]}..."


class Found(t.NamedTuple):
    """All that holds it."""

    subject: Subject
    spaces: list[Space]
    holdings: list[Holding]
    # What is mounted in it, where it is no mount itself.
    below: list[tuple[Space, Mount]]
    processes: list[Holder]
    kernel: list[Hold]
    # What could not be looked at, for people.
    notes: list[str]

    @property
    def itself(self) -> Holding | None:
        """The mount of the host that was asked about."""
        mounts = self.holdings if self.subject.is_mount else ()
        own = [
            each for each in mounts if each.space.is_host and each.mount.path == self.subject.real
        ]
        return own[-1] if own else None

    @property
    def is_busy(self) -> bool:
        """Whether that mount cannot be unmounted as it is."""
        own = self.itself
        if own is None:
            return False
        used = {use.mount for each in self.processes for use in each.uses}
        return bool(own.on_top or own.mount.id in used or self._held_by_file)

    @property
    def _held_by_file(self) -> bool:
        # An overlay keeps the file system, and not the mount.
        return any(each.kind in ("loop", "swap") for each in self.kernel)

    @property
    def is_held(self) -> bool:
        """Whether anything holds it, but for the very mount that was asked about."""
        others = [each for each in self.holdings if each is not self.itself]
        return bool(others or self.below or self.processes or self.kernel or self.is_busy)

    def space_of_mount(self, number: int) -> Space | None:
        """The namespace that the mount with this number is in."""
        for space in self.spaces:
            if any(mount.id == number for mount in space.mounts):
                return space
        return None


def of(path: str) -> Found:
    """What holds the path of the host, or what is there. Raises KernelError, OSError."""
    with once.Look():
        host = table.read()
        subject = holders_subject.of(path, host)
        spaces = holders_spaces.all_of(host)
        if not subject.is_mount:
            parts = (*subject.parts, *holders_mounts.elsewhere_at(subject, spaces))
            subject = subject._replace(parts=tuple(dict.fromkeys(parts)))
        shown = {mount.id for space in spaces for mount in space.mounts if subject.is_of(mount)}
        known = {
            space.id: _known(space)
            for space in spaces
            if space.name and any(mount.id in shown for mount in space.mounts)
        }
        sockets = holders_users.sockets_by_inode()
        wanted = holders_users.Wanted(subject, spaces, shown, sockets)
        users, unseen = holders_users.of(wanted)
        homes = holders_users.homes_of_processes()
        notes = [
            f"{holders_mounts.title(space)} cannot be joined: what is mounted there is not known"
            for space in spaces
            if not space.mounts
        ]
        if unseen:
            notes.append(f"{unseen} processes could not be looked at: something does not answer")
        if not subject.answers:
            notes.append(f"nothing answers at {subject.path}: what is there is told by its text")
        return Found(
            subject,
            spaces,
            holders_mounts.of(subject, spaces, shown, known),
            [] if subject.is_mount else holders_mounts.mounted_below(subject, spaces, shown),
            [*_holders(users, homes)],
            holders_kernel.of(subject, spaces),
            notes,
        )


def _known(space: Space) -> Known:
    """What is known of a named namespace, by its pin and its definition."""
    steps: frozenset[str] = frozenset()
    with contextlib.suppress(Refused, OSError):
        definition = definitions.load(space.name)
        if definition is not None:
            mounted = [step.path for step in definition.all_steps if step.do == "mount"]
            steps = frozenset({*mounted, *map(definition.layout.now, mounted)})
    pin = next(each for each in space.pins if holders_spaces.name_by([each]) == space.name)
    with contextlib.suppress(OSError):
        fd = os.open(pin, os.O_RDONLY | os.O_CLOEXEC)
        try:
            newest = files.unique_mount_id(fd)  # of those that were there when it was made
            found = statmount.mounts_of(fd)
        finally:
            os.close(fd)
        if found is not None:
            return Known(frozenset(each.listed for each in found if each.id < newest), steps)
    return Known(None, steps)


def _holders(
    users: t.Iterable[holders_users.User], homes: t.Mapping[int, int]
) -> t.Iterator[Holder]:
    for user in users:
        facts = proc.process_facts(user.pid)
        if facts is None:  # it has ended meanwhile
            continue
        unit = unit_of(proc.text_of(f"/proc/{user.pid}/cgroup"))
        home = homes.get(user.pid, 0)
        yield Holder(user.pid, facts.uid, facts.command, unit, home, user.uses)


def unit_of(text: str) -> str:
    """The unit of systemd that a process is in, by its /proc/PID/cgroup; empty for none. Pure."""
    for line in text.splitlines():
        number, _colon, rest = line.partition(":")
        name, _colon, path = rest.partition(":")
        if number == "0" or name == "name=systemd":
            for part in reversed(path.split("/")):
                if part.endswith(_UNITS):
                    return part
    return ""


def as_data(found: Found) -> dict[str, t.Any]:
    """The same as results show it."""
    subject = found.subject
    return {
        "path": subject.path,
        "real": subject.real,
        "kind": subject.kind,
        "held": found.is_held,
        "busy": found.is_busy,
        "mounts": [
            {
                **_space_as_data(each.space),
                **table.as_data(each.mount),
                "peers": list(each.mount.peers),
                "how": each.how,
                "origin": each.origin,
                "follows_host": each.follows,
                "mounted_on_it": [upper.path for upper in each.on_top],
            }
            for each in found.holdings
        ],
        "mounted_below": [
            {**_space_as_data(space), **table.as_data(mount)} for space, mount in found.below
        ],
        "processes": [
            {
                "pid": each.pid,
                "uid": each.uid,
                "command": each.command,
                "unit": each.unit or None,
                "namespace_id": each.space,
                "uses": [
                    {
                        "how": use.how,
                        "fd": use.fd if use.fd >= 0 else None,
                        "access": use.access,
                        "path": use.path,
                        "mount": use.mount or None,
                    }
                    for use in each.uses
                ],
            }
            for each in found.processes
        ],
        "kernel": [{"kind": each.kind, "text": each.text} for each in found.kernel],
        "notes": found.notes,
    }


def _space_as_data(space: Space) -> dict[str, t.Any]:
    return {
        "namespace": space.name or None,
        "is_host": space.is_host,
        "namespace_id": space.id,
        "pid": space.pid or None,
        "pins": list(space.pins),
    }
