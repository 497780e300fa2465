# SPDX-License-Identifier: GPL-3.0-or-later
"""What the model of a named namespace is made of: places, mounts, steps, services."""

from __future__ import annotations

import dataclasses

# Places that are mounted on, and the one that each lies on. ROOT is what becomes the root; OUT
# lies outside of it, and so is out of reach after the pivot.
ABOVE = {"root": "", "root/a": "root", "root/a/in": "root/a", "root/b": "root", "out": ""}
PLACES = tuple(ABOVE)
ROOT, OUT = "root", "out"
# The step of the pivot, among the places of the other steps.
PIVOT = "pivot"
# The kinds that a pid namespace's holder lives in, where the name has them.
AROUND_HOLDER = frozenset(("user", "mnt"))
# Whose mounts can be changed from one variant to the other without a new mount.
RECONFIGURED = ("tmpfs",)


class Refusal(Exception):
    """The task must fail, and change nothing."""


@dataclasses.dataclass(frozen=True)
class What:
    """What is mounted somewhere: as a task asks for it, or as it is."""

    # tmpfs, bind, overlay, loop; or foreign: what somebody has mounted by hand.
    kind: str
    # Of two sizes, sources or orders of layers.
    variant: int = 0
    ro: bool = False
    # As the option; of what is there, what the kernel says.
    propagation: str = ""

    def fresh(self, *, on: What | None) -> What:
        """What a new mount of it is, on the mount ``on`` or on one that is private."""
        known = self.propagation
        if known == "slave" and self.kind != "bind":  # of the host's, which is shared
            known = "private"
        if not known:
            known = "shared" if on is not None and on.propagation == "shared" else "private"
        return dataclasses.replace(self, propagation=known)

    def is_made_of(self, wanted: What) -> bool:
        """Whether this mount can be changed into that one."""
        same = self.variant == wanted.variant or self.kind in RECONFIGURED
        return self.kind == wanted.kind and same

    def changed_into(self, wanted: What) -> What:
        """This mount, changed into that one."""
        has = self.propagation
        if wanted.propagation == "slave":  # of nothing: mount_namespaces(7)
            has = "private" if has == "shared" else has
        elif wanted.propagation:
            has = wanted.propagation
        return dataclasses.replace(wanted, propagation=has)


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of the definition."""

    place: str
    # Of a pivot: whether the old root is kept.
    what: What | bool
    # Whether it outlives a reboot.
    lasts: bool


@dataclasses.dataclass(frozen=True)
class Service:
    """A service that is known."""

    program: int
    runs: bool = True
    # Whether it was started in the pid namespace of the name, and so ends with that.
    in_pid: bool = False
