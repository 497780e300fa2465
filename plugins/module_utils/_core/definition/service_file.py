# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The file of a service that systemd keeps running: what it runs, and with which secrets.

    /etc/linux-namespaces/services/web:nginx.json

Only root can read it: it holds the environment of the program, which nobody else gets to see and
nothing on the host ever runs with. It outlives a reboot, as the unit does that has `nsctl service`
read it.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import typing as t

from .. import host_paths, once
from ..errors import Refused
from ..process import proc
from ..storage import atomic, json_file
from .data import Fields, unreadable

if t.TYPE_CHECKING:
    from .service import ServiceSpec

DIRECTORY = f"{host_paths.DEFINITIONS}/services"
VERSION = 1
_MODE = 0o700


def path_of(namespace: str, name: str) -> str:
    """Where the file is. No name of a namespace or service holds the colon that parts them."""
    return f"{DIRECTORY}/{host_paths.checked_name(namespace)}:{host_paths.checked_name(name)}.json"


@once.kept
def names(namespace: str) -> list[str]:
    """The names of the services of a namespace that have a file or a unit, sorted."""
    found, above = set(), host_paths.file_name(namespace)
    for directory, first, last in (
        (DIRECTORY, f"{above}:", ".json"),
        (host_paths.UNITS, host_paths.unit_name(above, "")[: -len(".service")], ".service"),
    ):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for listed in proc.listed(directory):
                each = listed.removesuffix(".new")  # what a killed run was writing
                if each.startswith(first) and each.endswith(last):
                    found.add(each[len(first) : -len(last)])
    return sorted(name for name in found if host_paths.is_name(name))


@once.kept
def read(namespace: str, name: str) -> ServiceSpec | None:
    """The service that is kept, None where there is none. Raises Refused where it is damaged."""
    path = path_of(namespace, name)
    atomic.close(DIRECTORY, mode=_MODE)
    try:
        data = json_file.read(path)
        return None if data is None else _spec_of(data, namespace, name)
    except (ValueError, Refused) as error:
        raise Refused(
            f"{path} is damaged: {error}",
            f"Remove it, and have service {name} started by a task with argv.",
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error


def _spec_of(data: object, namespace: str, name: str) -> ServiceSpec:
    # 9 ms to load, with what a program is, for who only asks whether there is a service.
    from .service import ServiceSpec

    fields = Fields(data, "the file")
    version = fields.take("version", int)
    if version != VERSION:
        raise ValueError(f"it has version {version}, this collection reads version {VERSION}")
    spec = ServiceSpec.read_for(fields.take("spec", dict), namespace, name)
    fields.done()
    spec.program.checked()
    return spec.checked()


def write(spec: ServiceSpec) -> None:
    """Keep the service. Call it with the lock of the namespace held. Raises OSError."""
    atomic.make_directory(host_paths.DEFINITIONS, mode=host_paths.DEFINITIONS_MODE)
    atomic.make_directory(DIRECTORY, mode=_MODE)
    atomic.close(DIRECTORY, mode=_MODE)
    content = {"version": VERSION, "spec": spec.to_data()}
    json_file.write(path_of(spec.namespace, spec.name), content)


def remove(namespace: str, name: str) -> None:
    """Keep nothing of the service any more. Raises OSError."""
    atomic.remove(path_of(namespace, name))
    for directory in (DIRECTORY, host_paths.DEFINITIONS):
        atomic.remove_directory(directory)


def is_there(namespace: str, name: str) -> bool:
    """Whether remove() has something to do, be it what a killed run was writing."""
    return atomic.is_there(path_of(namespace, name))
