# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Who shares which namespace with whom, the host's own included.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .. import host_paths, kinds, once
from ..namespace import pins
from ..operations import info, namespace_state
from ..process import proc


def all_namespaces(*, names: t.Collection[str] = kinds.NAMES) -> list[dict[str, t.Any]]:
    """Every namespace of these kinds that somebody lives in or that is pinned, with who has it.

    ``owner`` is the named namespace that it is the own one of, ``sharers`` those that share it, and
    ``users`` those that have no own one of this kind, and so the host's.
    """
    with once.Look():
        host = proc.ids_of_process(1, names) or proc.ids_of_process("self", names)
        every = {each.id: each for each in info.namespaces(names=names)}
        sharers: dict[int, list[str]] = {}
        users: dict[int, list[str]] = {}
        for name in namespace_state.known_names():
            own, shared = pins.pinned(name), pins.shared(name)
            for _other, number in shared.values():
                sharers.setdefault(number, []).append(name)
            for kind in names if own or shared else ():
                if kind not in own and kind not in shared and kind in host:
                    users.setdefault(host[kind], []).append(name)
    return [
        {
            "kind": each.kind,
            "id": each.id,
            "is_host": host.get(each.kind) == each.id,
            "owner": each.name,
            "sharers": sharers.get(each.id, []),
            "users": users.get(each.id, []),
            "processes": each.processes,
            "pid": each.pid,
            "command": each.command,
            "pins": [pin for pin in each.pins if not _is_ours(pin)],
            "parent": each.parent,
        }
        for each in every.values()
    ]


def touching(name: str, every: t.Sequence[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Those of them that the named namespace lives in. Pure."""
    return [
        each
        for each in every
        if name == each["owner"] or name in each["sharers"] or name in each["users"]
    ]


def _is_ours(pin: str) -> bool:
    return pin.startswith((f"{host_paths.BASE}/", f"{host_paths.CLOSED}/"))
