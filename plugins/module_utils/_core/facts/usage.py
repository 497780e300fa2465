# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What named namespaces and their services use: processes, memory and time of processors.

Of a service its cgroup tells, where that is one of version 2; of all else inside the processes do.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from .. import host_paths, once
from ..definition import service_file, service_names
from ..install import systemctl
from ..namespace import cgroups
from ..operations import namespace_members
from ..process import cgroup
from ..process.proc import ProcessFacts

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def of_many(names: t.Sequence[str]) -> list[dict[str, t.Any]]:
    """What each uses, and of that each of its services.

    ``processes`` is how many there are, ``memory`` is in bytes, ``cpu`` in seconds; ``restarts`` is how
    often systemd has started a service again, None where nobody does. Raises SystemctlFailed, OSError.
    """
    with once.Look():
        restarts = _restarts(names)
        return [_of(name, restarts) for name in names]


def _of(name: str, restarts: t.Mapping[str, int]) -> dict[str, t.Any]:
    members = {facts.pid: facts for facts in namespace_members.of(name)}
    services: list[dict[str, t.Any]] = []
    by_service = _by_service(name, members.values())
    for service in sorted({*service_names.known(name), *by_service} - {""}):
        place, inside = by_service.get(service, ("", []))
        counted = cgroup.usage_of(place) if place else None
        memory = counted.memory if counted is not None else None
        services.append(
            {
                "name": service,
                "processes": len(inside),
                "memory": _memory(inside) if memory is None else memory,
                "cpu": _cpu(inside) if counted is None else counted.cpu,
                "restarts": restarts.get(host_paths.unit_name(name, service)),
            }
        )
    _place, others = by_service.get("", ("", []))
    return {
        "name": name,
        "processes": len(members),
        "memory": _memory(others) + sum(each["memory"] for each in services),
        "cpu": _cpu(others) + sum(each["cpu"] for each in services),
        "restarts": sum(each["restarts"] or 0 for each in services),
        "services": services,
    }


# The directory of a cgroup, and the processes in it.
_Group = tuple[str, list[ProcessFacts]]


def _by_service(name: str, members: t.Iterable[ProcessFacts]) -> dict[str, _Group]:
    """Those of each service with its cgroup; by the empty name all others."""
    owners = cgroups.owners_of(name)
    for service in service_file.names(name):
        owners[host_paths.unit_name(name, service)] = service
    found: dict[str, _Group] = {}
    for facts in members:
        own = next(
            (
                (owners[place.rpartition("/")[2]], place)
                for place in cgroup.places_of(facts.pid)
                if place.rpartition("/")[2] in owners
            ),
            ("", ""),
        )
        found.setdefault(own[0], (own[1], []))[1].append(facts)
    return found


def _memory(processes: t.Iterable[ProcessFacts]) -> int:
    return sum(each.pages for each in processes) * _PAGE


def _cpu(processes: t.Iterable[ProcessFacts]) -> float:
    return sum(each.ticks for each in processes) / _TICK


def _restarts(names: t.Iterable[str]) -> dict[str, int]:
    """How often systemd has started each unit again, which one run of systemctl tells of all."""
    units = [
        host_paths.unit_name(name, service)
        for name in names
        for service in service_file.names(name)
    ]
    if not units or not systemctl.runs_here():
        return {}
    said = systemctl.run("show", "--property", "Id,NRestarts", *units)
    found = {}
    for block in said.split("\n\n"):
        facts = dict(line.partition("=")[::2] for line in block.splitlines())
        if facts.get("NRestarts", "").isdigit():
            found[facts.get("Id", "")] = int(facts["NRestarts"])
    return found
