# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is noted of a service that runs without systemd: what it is, and which process it is.

The note is in /run/linux-namespaces/NAME/services/SERVICE.json, from before the program runs: a
killed run leaves no process that nobody knows.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from .. import host_paths, once
from ..errors import Refused
from ..process import proc
from ..process.watch import Running
from ..storage import atomic, json_file
from .data import Fields, unreadable

if t.TYPE_CHECKING:
    from .service import ServiceSpec

# Notes of 0.1.0 have no version: see _of_0_1_0().
VERSION = 2


class Note(t.NamedTuple):
    """A service that was started, until it is removed."""

    spec: ServiceSpec
    # The process that is the program, or was.
    process: Running
    # The ids of its namespaces, by kind: of those that it joined and its own.
    lives_in: dict[str, int]
    # The inodes of the sockets that were handed over to it, in the order of those of spec.
    sockets: tuple[int, ...] = ()

    def to_data(self) -> dict[str, t.Any]:
        """The JSON form."""
        return {
            "version": VERSION,
            "spec": self.spec.to_data(),
            "process": {"pid": self.process.pid, "start": self.process.start},
            "lives_in": self.lives_in,
            **({"sockets": list(self.sockets)} if self.sockets else {}),
        }

    @classmethod
    def from_data(cls, data: t.Any, namespace: str, name: str) -> Note:
        """The note of a service of that name in a JSON form. Raises ValueError."""
        # 9 ms to load, with what a program is, for who only asks whether there is a service.
        from .service import ServiceSpec

        fields = Fields(data, "the note")
        version = fields.take("version", int, 1)
        if version == 1:
            spec = _of_0_1_0(fields, namespace, name)
        elif version == VERSION:
            spec = ServiceSpec.read_for(fields.take("spec", dict), namespace, name)
        else:
            raise ValueError(f"it has version {version}, this collection reads version {VERSION}")
        process = Fields(fields.take("process", dict), "the process")
        running = Running(process.take("pid", int), process.take("start", int))
        process.done()
        lives_in = fields.table("lives_in", int)
        sockets = fields.take("sockets", list, [])
        fields.done()
        if not all(isinstance(each, int) and not isinstance(each, bool) for each in sockets):
            raise ValueError("sockets of the note holds something that is no number")
        if not lives_in:
            raise ValueError("the note does not say which namespaces the process lives in")
        return cls(spec, running, lives_in, tuple(sockets))


def path_of(namespace: str, name: str) -> str:
    """Where the note of a service is."""
    return f"{host_paths.services(namespace)}/{host_paths.checked_name(name)}.json"


@once.kept
def names(namespace: str) -> list[str]:
    """The names of the services that are noted in the namespace, sorted."""
    notes = host_paths.services(namespace)
    try:
        found = proc.listed(notes) if host_paths.is_directory(notes) else ()
    except FileNotFoundError:
        return []
    every = [name[:-5] for name in found if name.endswith(".json")]
    return sorted(name for name in every if host_paths.is_name(name))


@once.kept
def read(namespace: str, name: str) -> Note | None:
    """The note of a service, None where there is none. Raises Refused where it is damaged."""
    path = path_of(namespace, name)
    hint = f"End what still runs in namespace {namespace}, and remove the file."
    try:
        found = json_file.read(path)
        return None if found is None else Note.from_data(found, namespace, name)
    except ValueError as error:
        raise Refused(f"{path} is damaged: {error}", hint) from error
    except OSError as error:
        raise unreadable(path, error, hint) from error


def write(note: Note) -> None:
    """Write the note. Call it with the lock of the namespace held. Raises OSError."""
    directory = host_paths.services(note.spec.namespace)
    atomic.make_directory(directory, mode=0o700)  # somebody may have removed it
    os.chmod(directory, 0o700)  # version 0.1.0 left it open
    json_file.write(path_of(note.spec.namespace, note.spec.name), note.to_data())


def remove(namespace: str, name: str) -> None:
    """Remove the note. Raises OSError."""
    atomic.remove(path_of(namespace, name))


def _of_0_1_0(fields: Fields, namespace: str, name: str) -> ServiceSpec:
    """The service that version 0.1.0 noted, which knew less of it. Raises ValueError."""
    from ..process.program import Program  # from_data() has loaded it
    from .service import Reload, ServiceSpec

    reload_by = Reload(fields.take("reload_signal", str), fields.texts("reload_argv"))
    return ServiceSpec(
        namespace=namespace,
        name=name,
        program=Program.from_data(fields.take("program", dict)),
        kinds=fields.texts("kinds"),
        reload=reload_by if reload_by != Reload() else None,
        stop_signal=fields.take("stop_signal", str),
    )
