# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The properties of a named namespace: what it is, before anything is mounted in it.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .. import host_paths, redact
from ..kinds import NAMES
from ..values import Value
from .data import Fields, shortened, usable

# The words that the option propagation of ns_namespace takes, and the clocks of time_offsets.
PROPAGATIONS = ("private", "slave", "shared", "unchanged")
CLOCKS = ("monotonic", "boottime")
# What named namespaces can have in common. Its mounts are its own: they are what its definition is about. Who
# owns a namespace is settled when that is made (user_namespaces(7)).
SHARABLE = tuple(kind for kind in NAMES if kind not in ("mnt", "user"))


class Properties(Value):
    """See the options of ns_namespace, which have the same names."""

    __slots__ = (
        "domainname",
        "hostname",
        "id_map",
        "kinds",
        "loopback",
        "propagation",
        "share",
        "sysctl",
        "time_offsets",
    )

    def __init__(
        self,
        kinds: tuple[str, ...] = ("mnt",),
        propagation: str = "private",
        hostname: str | None = None,
        domainname: str | None = None,
        id_map: dict[str, t.Any] | None = None,
        loopback: bool = True,
        sysctl: dict[str, str] | None = None,
        time_offsets: dict[str, int] | None = None,
        share: dict[str, str] | None = None,
    ) -> None:
        # Sorted, each once.
        self.kinds = kinds
        # Of all mounts when the mount namespace is made: private, slave, shared or unchanged.
        self.propagation = propagation
        # None leaves what the host has.
        self.hostname = hostname
        self.domainname = domainname
        # In the form of the option id_map, where it lists ranges; None without a user namespace.
        self.id_map = id_map
        # Whether lo is up in its net namespace.
        self.loopback = loopback
        self.sysctl = sysctl or {}
        # Seconds by clock: monotonic, boottime.
        self.time_offsets = time_offsets or {}
        # By kind the named namespace of which it has that, in place of one of its own.
        self.share = share or {}

    def to_data(self) -> dict[str, t.Any]:
        """The JSON form; of kinds that it does not have nothing is said."""
        data: dict[str, t.Any] = {"kinds": sorted(self.kinds), "propagation": self.propagation}
        for key in ("hostname", "domainname", "id_map"):
            if getattr(self, key) is not None:
                data[key] = getattr(self, key)
        if "net" in self.kinds:
            data["loopback"] = self.loopback
        for key in ("share", "sysctl", "time_offsets"):
            if getattr(self, key):
                data[key] = dict(getattr(self, key))
        return data

    def shown(self, was: Properties | None = None) -> dict[str, t.Any]:
        """The JSON form without secrets; that they are others than they were is told."""
        known = {}
        for key, value in self.sysctl.items():
            text = redact.parameter(key, value)
            is_other = was is not None and was.sysctl.get(key, value) != value
            known[key] = f"another {text}" if text != value and is_other else text
        return self.replace(sysctl=known).to_data()

    @classmethod
    def from_data(cls, data: t.Any) -> Properties:
        """The properties of a JSON form. Raises ValueError."""
        fields = Fields(data, "properties")
        found = cls(
            kinds=tuple(sorted(set(fields.texts("kinds")))),
            propagation=fields.word("propagation", PROPAGATIONS),
            hostname=fields.maybe("hostname", str),
            domainname=fields.maybe("domainname", str),
            id_map=fields.maybe("id_map", dict),
            loopback=fields.take("loopback", bool, True),
            sysctl=fields.table("sysctl", str),
            time_offsets=fields.table("time_offsets", int),
            share=fields.table("share", str),
        )
        fields.done()
        for key, text in (("hostname", found.hostname), ("domainname", found.domainname)):
            usable(text or "", f"{key} of properties")
        for text in (*found.sysctl, *found.sysctl.values()):
            usable(text, "sysctl of properties")
        strange = [word for word in found.share.values() if not host_paths.is_name(word)]
        strange += [kind for kind in found.share if kind not in SHARABLE]
        if strange:
            raise ValueError(f"share of properties has {shortened(strange[0])!r}")
        unknown = [clock for clock in found.time_offsets if clock not in CLOCKS]
        if unknown:
            raise ValueError(f"time_offsets of properties have no clock {shortened(unknown[0])!r}")
        return found
