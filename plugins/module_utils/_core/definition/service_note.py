# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is noted of a service that was started without systemd.

The note is in /run/linux-namespaces/NAME/services/SERVICE.json, from before the program runs: a
killed run leaves no process that nobody knows.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from .. import host_paths
from ..errors import Refused
from ..process import watch
from ..process.program import Program
from ..storage import atomic, json_file


class Note(t.NamedTuple):
    """The program, the process that it is, and how it is to be treated.

    ``lives_in`` are the ids of its namespaces, by kind: of those that it joined and its own.
    """

    program: Program
    kinds: tuple[str, ...]
    process: watch.Running
    lives_in: dict[str, int]
    reload_signal: str = ""
    reload_argv: tuple[str, ...] = ()
    stop_signal: str = ""


def path_of(namespace: str, name: str) -> str:
    """Where the note of a service is."""
    return f"{host_paths.directory(namespace)}/services/{host_paths.checked_name(name)}.json"


def names(namespace: str) -> list[str]:
    """The names of the services that are noted in the namespace, sorted."""
    try:
        found = os.listdir(f"{host_paths.directory(namespace)}/services")
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name[:-5] for name in found if name.endswith(".json"))


def read(namespace: str, name: str) -> Note | None:
    """The note of a service, None where there is none. Raises Refused where it is damaged."""
    path = path_of(namespace, name)
    try:
        noted = json_file.read(path)
        return None if noted is None else _from_data(noted)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Refused(
            f"{path} is damaged: {error}",
            f"End what still runs in namespace {namespace}, and remove the file.",
        ) from error


def write(namespace: str, name: str, note: Note) -> None:
    """Write the note. Call it with the lock of the namespace held. Raises OSError."""
    json_file.write(path_of(namespace, name), _as_data(note))


def remove(namespace: str, name: str) -> None:
    """Remove the note. Raises OSError."""
    atomic.remove(path_of(namespace, name))


def _as_data(note: Note) -> dict[str, t.Any]:
    data = note._asdict()
    data["program"] = note.program.to_data()
    data["process"] = note.process._asdict()
    return data


def _from_data(data: t.Mapping[str, t.Any]) -> Note:
    return Note(
        program=Program.from_data(data["program"]),
        kinds=tuple(data["kinds"]),
        process=watch.Running(**data["process"]),
        lives_in=dict(data["lives_in"]),
        reload_signal=data["reload_signal"],
        reload_argv=tuple(data["reload_argv"]),
        stop_signal=data["stop_signal"],
    )
