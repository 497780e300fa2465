# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The options of a named namespace, and what becomes of them.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import time
import typing as t

from ..definition.properties import CLOCKS, PROPAGATIONS, Properties
from ..errors import Refused
from ..kinds import NAMES
from ..operations.namespace import NamespaceRequest
from . import link, unusable

if t.TYPE_CHECKING:
    from ..definition.link import Link

_CLOCKS = {"monotonic": time.CLOCK_MONOTONIC, "boottime": time.CLOCK_BOOTTIME}
# In seconds: half of what a ktime_t holds (proc_timens_set_offset() in the kernel's time/namespace.c).
_END_OF_TIME = ((1 << 63) - 1) // 10**9 // 2
OPTIONS: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "kinds": {"type": "list", "elements": "str", "choices": list(NAMES), "default": ["mnt"]},
    "propagation": {"type": "str", "choices": list(PROPAGATIONS), "default": "private"},
    "hostname": {"type": "str"},
    "domainname": {"type": "str"},
    "id_map": {"type": "raw"},
    "share": {"type": "dict", "default": {}},
    "loopback": {"type": "bool", "default": True},
    "links": link.OF_NAMESPACE,
    "sysctl": {"type": "dict", "default": {}},
    "time_offsets": {
        "type": "dict",
        "options": {clock: {"type": "int"} for clock in CLOCKS},
    },
    "persistent": {"type": "bool", "default": True},
    "recreate": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
}


def _id_map_of(params: t.Mapping[str, t.Any]) -> dict[str, t.Any] | None:
    """The ranges that the option asks for, as the definition records them."""
    value = params["id_map"]
    if value is None:
        if "user" not in params["kinds"]:
            return None
        value = "root"
    # Only who has a user namespace pays for this: to compile it takes as long as to look.
    from ..namespace import id_map

    return id_map.parse(value, id_map.Caller.of_this_process()).as_data()


def _links_of(params: t.Mapping[str, t.Any]) -> tuple[Link, ...] | None:
    """The interfaces, None where nothing is said of them. Raises Refused."""
    if not params["links"]:
        return None if params["links"] is None else ()
    # Only who has any pays for this.
    from ..operations import link_actions

    links = link_actions.named(link.all_wanted(params["links"], "links"), params["name"])
    link_actions.check_of(links, namespace=params["name"])
    return links


def _texts_of(params: t.Mapping[str, t.Any], option: str) -> dict[str, str]:
    """The values of an object as texts, flags as numbers. Raises Refused."""
    return {
        str(key): unusable.text(
            int(value) if isinstance(value, bool) else value, f"{option}: the value of {key}"
        )
        for key, value in params[option].items()
    }


def request_of(params: t.Mapping[str, t.Any], *, lock_timeout: float) -> NamespaceRequest:
    """The request that the options make. Raises Refused."""
    offsets = params["time_offsets"] or {}
    for clock, seconds in offsets.items():
        if seconds and not 0 <= time.clock_gettime(_CLOCKS[clock]) + seconds < _END_OF_TIME:
            raise Refused(
                f"time_offsets: with {seconds} seconds more the clock {clock} would be below zero, or overflow",
                "Take another one: see time_namespaces(7).",
            )
    return NamespaceRequest(
        name=params["name"],
        properties=Properties(
            kinds=tuple(sorted(set(params["kinds"]))),
            propagation=params["propagation"],
            hostname=params["hostname"],
            domainname=params["domainname"],
            id_map=_id_map_of(params),
            loopback=params["loopback"],
            share=_texts_of(params, "share"),
            sysctl=_texts_of(params, "sysctl"),
            time_offsets={clock: value for clock, value in offsets.items() if value},
        ),
        persistent=params["persistent"],
        links=_links_of(params),
        recreate=params["recreate"],
        force=params["force"],
        lock_timeout=lock_timeout,
    )
