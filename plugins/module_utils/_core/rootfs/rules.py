# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How a source is to be unpacked.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ..namespace.id_map import IdMaps


class Rules(t.NamedTuple):
    """How to unpack."""

    # How much may come out, in bytes; 0 for any amount.
    size_limit: int = 0
    # keep or skip.
    device_nodes: str = "keep"
    # Of the user namespace that owners are shifted for; None leaves them as they are.
    id_maps: IdMaps | None = None

    @property
    def lasting(self) -> dict[str, t.Any]:
        """The rules by which the same source makes another root, where not the default."""
        found: dict[str, t.Any] = {}
        if self.device_nodes != "keep":
            found["device_nodes"] = self.device_nodes
        if self.id_maps is not None:
            found["id_map"] = self.id_maps.as_data()
        return found


DEFAULT = Rules()
