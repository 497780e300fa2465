# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Interfaces in a line, for people.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

from ..definition.link import Link
from ..link.observe import Interface


def of_found(found: Interface) -> str:
    """One that is there."""
    kind = found.kind or "device"
    return _line(kind, found.up, found.mtu, found.mac, found.master, found.addresses)


def of_wanted(link: Link, found: Interface | None = None) -> str:
    """One that is wanted; of what is left to the kernel what is ``found``."""
    mtu = link.mtu or (found.mtu if found is not None else 0)
    mac = link.mac or (found.mac if found is not None else "")
    return _line(link.kind, link.up, mtu, mac, link.master, link.addresses)


def _line(kind: str, up: bool, mtu: int, mac: str, master: str, addresses: tuple[str, ...]) -> str:
    words = [kind, "up" if up else "down"]
    words += [f"mtu {mtu}"] if mtu else []
    words += [f"mac {mac}"] if mac else []
    words += [f"in {master}"] if master else []
    return " ".join([*words, *addresses])
