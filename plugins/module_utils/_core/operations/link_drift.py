# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How the interfaces of a named namespace differ from its definition.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..definition.link import Link
from ..definition.model import Definition
from ..errors import Refused
from ..link.observe import Interface
from ..namespace import pins
from ..namespace.target import Target
from . import link_actions, link_lines

AS_WANTED, MISSING, DIFFERS, SURPLUS = "ok", "missing", "differs", "surplus"


def of(definition: Definition) -> list[dict[str, t.Any]]:
    """Each interface: its name, how it is, what it is to be, what there is in its place, and its other end.

    Raises Refused, KernelError, OSError.
    """
    there: dict[str, Interface] = {}
    differing: set[str] = set()
    if "net" in pins.pinned(definition.name):
        target = Target(namespace=definition.name)
        seen_now, differing = link_actions.compared(target, definition.links)
        there = dict(seen_now.interfaces)
        if _would_pass_on(definition):
            differing |= {link.name for link in definition.links if link.is_forwarded}
    found = []
    for link in definition.links:
        seen = there.pop(link.name, None)
        state = MISSING if seen is None else AS_WANTED
        if seen is not None and link.name in differing:
            state = DIFFERS
        observed = link_lines.of_found(seen) if seen is not None else ""
        wanted = link_lines.of_wanted(link)
        row = {"name": link.name, "state": state, "wanted": wanted, "observed": observed}
        found.append({**row, "peer": _peer(link)})
    found += [
        {
            "name": name,
            "state": SURPLUS,
            "wanted": "",
            "observed": link_lines.of_found(seen),
            "peer": None,
        }
        for name, seen in there.items()
        if name != "lo"
    ]
    return found


def _peer(link: Link) -> dict[str, t.Any] | None:
    """Its other end, and the named namespace that this is in: None for the host."""
    if link.peer is None:
        return None
    return {"name": link.peer.name, "namespace": link.peer.namespace or None}


def _would_pass_on(definition: Definition) -> bool:
    try:
        return bool(link_actions.passing_on(definition.name, definition.links))
    except Refused:
        return True
