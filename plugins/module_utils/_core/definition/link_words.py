# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The words that options of interfaces take.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

HOST, NAMESPACE = "host", "namespace"
MOVED = "moved"


class Kind(t.NamedTuple):
    """What is special about a kind of interface."""

    # The options that it takes beside those that all have.
    takes: tuple[str, ...]
    # Those of them without which it makes no sense.
    needs: tuple[str, ...] = ()
    # Whether it has a hardware address that can be chosen.
    has_mac: bool = True


# By the words of ip-link(8).
KINDS: dict[str, Kind] = {
    "veth": Kind(("peer", "masquerade", "publish")),
    "macvlan": Kind(("parent", "parent_in", "mode"), ("parent",)),
    "ipvlan": Kind(("parent", "parent_in", "mode"), ("parent",), has_mac=False),
    "vlan": Kind(("parent", "parent_in", "id"), ("parent", "id")),
    "bridge": Kind(()),
    "dummy": Kind(()),
    "vrf": Kind(("table",), ("table",)),
    "wireguard": Kind(("wireguard",), ("wireguard",), has_mac=False),
    MOVED: Kind(("parent", "force")),
}
# By kind, the first is what the kernel takes by itself, or what is taken here.
MODES = {
    "macvlan": ("bridge", "private", "vepa", "passthru"),
    "ipvlan": ("l2", "l3", "l3s"),
}
