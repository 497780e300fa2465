# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The processes that live in a named namespace, or are services of it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from .. import host_paths, kinds
from ..errors import KernelError, Refused
from ..namespace import nsfs, pid_holder, pins
from ..process import proc, watch
from ..syscalls import namespaces

if t.TYPE_CHECKING:
    from ..definition.service_note import Note


def of(name: str) -> list[proc.ProcessFacts]:
    """The processes that live in one of its namespaces, but for its holder, and its services.

    A service may have namespaces of its own, of all the kinds that the named one has: then only
    its note tells, and where that is damaged nobody does.
    """
    found = {facts.pid: facts for facts in [*_inside(name), *_services(name)]}
    return [found[pid] for pid in sorted(found)]


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


def _has_services(name: str) -> bool:
    try:
        return bool(os.listdir(host_paths.services(name)))
    except (FileNotFoundError, NotADirectoryError):
        return False


def _services(name: str) -> t.Iterator[proc.ProcessFacts]:
    for note in _notes(name):
        if isinstance(note, Refused):
            continue
        left = watch.session_of(note.process, lives_in=note.lives_in)
        for process in [note.process, *left]:
            facts = proc.process_facts(process.pid)
            if facts is not None and facts.start == process.start and facts.state not in "ZX":
                yield facts


def _inside(name: str) -> list[proc.ProcessFacts]:
    pinned = pins.pinned(name)
    own = proc.ids_of_process("self", pinned)
    wanted = {kind: number for kind, number in pinned.items() if own.get(kind) != number}
    if not wanted:
        return []
    nested = [_Nested(kind, wanted[kind]) for kind in kinds.NESTED if kind in wanted]
    holder_pid = pid_holder.pid_of(name)
    found = []
    for pid in proc.all_pids():
        ids = proc.ids_of_process(pid, wanted)
        lives_inside = any(ids.get(kind) == number for kind, number in wanted.items())
        if pid == holder_pid or not (
            lives_inside or any(each.holds(pid, ids.get(each.kind)) for each in nested)
        ):
            continue
        facts = proc.process_facts(pid)
        if facts is not None and facts.state not in "ZX":
            found.append(facts)
    return found


class _Nested:
    """Which namespaces of a kind lie somewhere below the one with this id."""

    def __init__(self, kind: str, number: int) -> None:
        self.kind = kind
        self._known: dict[int, bool] = {number: True}
        own = proc.ids_of_process("self", [kind])
        self._known.update(dict.fromkeys(own.values(), False))

    def holds(self, pid: int, number: int | None) -> bool:
        """Whether the namespace ``number`` of the process ``pid`` is one of them."""
        if number is None:
            return False
        if number not in self._known:
            self._known[number] = self._looked_up(pid)
        return self._known[number]

    def _looked_up(self, pid: int) -> bool:
        try:
            fd = os.open(f"/proc/{pid}/ns/{self.kind}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            while nsfs.id_of(fd) not in self._known:
                above = namespaces.parent(fd)
                os.close(fd)
                fd = above
            return self._known[nsfs.id_of(fd)]
        except KernelError:  # EPERM: there is none above that we could see
            return False
        finally:
            os.close(fd)


def kill_all(name: str, *, patience: float = 10.0) -> None:
    """Kill until none is left: what is killed may have children that are not.

    Raises KernelError, and Refused when some are left after ``patience`` seconds.
    """
    watch.kill(lambda: [watch.Running(each.pid, each.start) for each in of(name)], timeout=patience)


def as_data(processes: t.Iterable[proc.ProcessFacts]) -> list[dict[str, t.Any]]:
    """The processes as results show them."""
    return [{"pid": each.pid, "command": each.command, "uid": each.uid} for each in processes]
