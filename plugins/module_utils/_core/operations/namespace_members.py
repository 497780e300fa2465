# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The processes that live in a named namespace, or are services of it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .. import host_paths, kinds, once
from ..definition import service_file
from ..errors import Refused
from ..namespace import cgroups, inhabitants, pid_holder, pins
from ..process import kill, proc, watch

if t.TYPE_CHECKING:
    from ..definition.service_note import Note


def of(name: str) -> list[proc.ProcessFacts]:
    """The processes that live in one of its namespaces, but for its holder, and its services.

    A service may have namespaces of its own, of all the kinds that the named one has: then its
    cgroup and its note tell, and where there is none and that is damaged nobody does.
    """
    every = [*_inside(name), *_in_cgroups(name), *_services(name)]
    found = {facts.pid: facts for facts in every}
    return [found[pid] for pid in sorted(found)]


def of_services(name: str) -> set[int]:
    """The pids of those among of() that end with its services."""
    found = {facts.pid for facts in _services(name)}
    found.update(cgroups.processes_of(name))
    units = [host_paths.unit_name(name, each) for each in service_file.names(name)]
    if units:
        found.update(pid for pid in proc.all_pids() if _is_in_unit(pid, units))
    return found


def _is_in_unit(pid: int, units: t.Iterable[str]) -> bool:
    try:
        lines = proc.text_of(f"/proc/{pid}/cgroup").splitlines()
    except OSError:
        return False
    return any(unit in line.split("/") for line in lines for unit in units)


def damaged_notes(name: str) -> list[Refused]:
    """Why the notes of its services cannot be read, for each that cannot."""
    return [found for found in _notes(name) if isinstance(found, Refused)]


def _notes(name: str) -> t.Iterator[Note | Refused]:
    if not _has_services(name):
        return
    # 6 ms to compile, for who has no service.
    from ..definition import service_note

    for service in service_note.names(name):
        try:
            note = service_note.read(name, service)
        except Refused as error:
            yield error
        else:
            if note is not None:
                yield note


@once.kept
def _has_services(name: str) -> bool:
    notes = host_paths.services(name)
    try:
        return host_paths.is_directory(notes) and bool(proc.listed(notes))
    except FileNotFoundError:
        return False


def _services(name: str) -> t.Iterator[proc.ProcessFacts]:
    for note in _notes(name):
        if isinstance(note, Refused):
            continue
        for pid in proc.all_pids():
            if _is_of(note, pid) and (facts := _living(pid)) is not None:
                yield facts


def _is_of(note: Note, pid: int) -> bool:
    """Whether the process is the program of a service, or in its session."""
    if pid == note.process.pid:
        return watch.is_alive(note.process)
    return watch.is_in_session_of(note.process, pid, lives_in=note.lives_in)


def _in_cgroups(name: str) -> list[proc.ProcessFacts]:
    holder_pid = pid_holder.pid_of(name)
    found = [_living(pid) for pid in cgroups.processes_of(name) if pid != holder_pid]
    return [facts for facts in found if facts is not None]


def _living(pid: int) -> proc.ProcessFacts | None:
    facts = proc.process_facts(pid)
    return None if facts is None or kill.has_ended(pid) else facts


def _inside(name: str) -> list[proc.ProcessFacts]:
    holder_pid = pid_holder.pid_of(name)
    members = _Members(name)
    if once.is_looking():
        pids: t.Iterable[int] = members.all()
    else:
        # The youngest first, and each at once: those that keep forking are gone by the time that they are
        # reached late.
        every = sorted(proc.all_pids() if members.can_be else (), reverse=True)
        pids = filter(members.have, every)
    found = (_living(pid) for pid in pids if pid != holder_pid)
    return [facts for facts in found if facts is not None]


class _Members:
    """Which processes live in one of its namespaces, or in one below."""

    def __init__(self, name: str) -> None:
        pinned = pins.pinned(name)
        own = proc.ids_of_process("self", pinned)
        self._own = own
        self._wanted = {kind: number for kind, number in pinned.items() if own.get(kind) != number}

    @property
    def can_be(self) -> bool:
        """Whether there are namespaces to live in."""
        return bool(self._wanted)

    def all(self) -> set[int]:
        """Their pids, by one pass for all names."""
        if not self.can_be:
            return set()
        living = inhabitants.by_namespace()
        found: set[int] = set()
        for kind, number in self._wanted.items():
            found.update(living.get((kind, number), ()))
            if kind in kinds.NESTED:
                for below, above in inhabitants.lines(kind).items():
                    if number in above:
                        found.update(living[(kind, below)])
        return found

    def have(self, pid: int) -> bool:
        """Whether the process is one of them."""
        ids = proc.ids_of_process(pid, self._wanted)
        return any(
            ids.get(kind) == number
            or (
                kind in kinds.NESTED
                and ids.get(kind) != self._own.get(kind)
                and number in inhabitants.line(f"/proc/{pid}/ns/{kind}")
            )
            for kind, number in self._wanted.items()
        )


def kill_all(name: str, *, patience: float = 10.0) -> None:
    """Kill all of them, and with a pid namespace its holder. Call it with the lock held.

    Raises KernelError, OSError, and Refused when some are left after ``patience`` seconds.
    """
    # What is in it ends with its init, whatever it forks; so does what is in a cgroup of ours.
    pid_holder.end(name)
    cgroups.end(name, timeout=patience)
    members = _Members(name)
    notes = [note for note in _notes(name) if not isinstance(note, Refused)]
    kill.all_of(
        lambda pid: members.have(pid) or any(_is_of(note, pid) for note in notes),
        timeout=patience,
    )


def as_data(processes: t.Iterable[proc.ProcessFacts]) -> list[dict[str, t.Any]]:
    """The processes as results show them."""
    return [{"pid": each.pid, "command": each.command, "uid": each.uid} for each in processes]
