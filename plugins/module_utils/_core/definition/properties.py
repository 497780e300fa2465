# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The properties of a named namespace: what it is, before anything is mounted in it.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .data import Fields


@dataclasses.dataclass(frozen=True)
class Properties:
    """See the options of ns_namespace, which have the same names."""

    # Sorted, each once.
    kinds: tuple[str, ...] = ("mnt",)
    # Of all mounts when the mount namespace is made: private, slave, shared or unchanged.
    propagation: str = "private"
    # None leaves what the host has.
    hostname: str | None = None
    domainname: str | None = None
    # In the form of the option id_map, where it lists ranges; None without a user namespace.
    id_map: dict[str, t.Any] | None = None
    # Whether lo is up in its net namespace.
    loopback: bool = True
    sysctl: dict[str, str] = dataclasses.field(default_factory=dict)
    # Seconds by clock: monotonic, boottime.
    time_offsets: dict[str, int] = dataclasses.field(default_factory=dict)

    def to_data(self) -> dict[str, t.Any]:
        """The JSON form; of kinds that it does not have nothing is said."""
        data: dict[str, t.Any] = {"kinds": sorted(self.kinds), "propagation": self.propagation}
        for key in ("hostname", "domainname", "id_map"):
            if getattr(self, key) is not None:
                data[key] = getattr(self, key)
        if "net" in self.kinds:
            data["loopback"] = self.loopback
        for key in ("sysctl", "time_offsets"):
            if getattr(self, key):
                data[key] = dict(getattr(self, key))
        return data

    @classmethod
    def from_data(cls, data: t.Any) -> Properties:
        """The properties of a JSON form. Raises ValueError."""
        fields = Fields(data, "properties")
        found = cls(
            kinds=tuple(sorted(set(fields.texts("kinds")))),
            propagation=fields.take("propagation", str),
            hostname=fields.maybe("hostname", str),
            domainname=fields.maybe("domainname", str),
            id_map=fields.maybe("id_map", dict),
            loopback=fields.take("loopback", bool, True),
            sysctl=fields.table("sysctl", str),
            time_offsets=fields.table("time_offsets", int),
        )
        fields.done()
        return found
