# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The table of the eight kinds of namespace, from which everything follows that differs between them.

From namespaces(7) and include/uapi/linux/sched.h. A part of `nsctl exec`, which does not load
typing: it takes longer than the rest.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t


class Kind:
    """One kind of namespace."""

    __slots__ = ("flag", "for_children", "name", "nested", "shown_by")

    def __init__(
        self,
        name: str,
        flag: int,
        *,
        for_children: bool = False,
        nested: bool = False,
        shown_by: tuple[str, ...] = (),
    ) -> None:
        # As in /proc/PID/ns and lsns(8).
        self.name = name
        # CLONE_NEW*.
        self.flag = flag
        # unshare(2) and setns(2) leave the caller where it was: its next children live there.
        self.for_children = for_children
        # Others of the kind may lie inside, and end with it.
        self.nested = nested
        # File systems of which a mount shows one namespace of the kind, wherever it lies.
        self.shown_by = shown_by

    @property
    def handle(self) -> str:
        """The file in /proc/PID/ns of the namespace that the children of PID are born in."""
        return f"{self.name}_for_children" if self.for_children else self.name


# The order is the order of joining for an unprivileged caller (nsenter(1)): the user namespace
# grants the rights that the others ask for; mnt is early because joining it resets root and cwd.
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("user", 0x10000000, nested=True),
        Kind("mnt", 0x00020000),
        Kind("uts", 0x04000000),
        Kind("ipc", 0x08000000, shown_by=("mqueue",)),
        Kind("pid", 0x20000000, for_children=True, nested=True, shown_by=("proc",)),
        Kind("cgroup", 0x02000000, shown_by=("cgroup", "cgroup2")),
        Kind("net", 0x40000000, shown_by=("sysfs",)),
        Kind("time", 0x00000080, for_children=True),
    )
}

NAMES: tuple[str, ...] = tuple(sorted(KINDS))
FOR_CHILDREN = frozenset(name for name, kind in KINDS.items() if kind.for_children)
NESTED = frozenset(name for name, kind in KINDS.items() if kind.nested)
# The kind that a mount of this file system shows.
SHOWN: dict[str, str] = {fstype: name for name, kind in KINDS.items() for fstype in kind.shown_by}
# Those that a process can leave for new ones of by itself, with its rights over the others: pid and
# time are for its children, and a new user namespace owns none of those that are there.
IN_PLACE: tuple[str, ...] = tuple(
    sorted(name for name, kind in KINDS.items() if not kind.for_children and name != "user")
)
# What has to be joined to change mounts: the mount namespace, and the rights over it.
FOR_MOUNTS = frozenset(("mnt", "user"))


def flags_of(names: t.Iterable[str]) -> int:
    """The CLONE_NEW* flags of these kinds, or-ed together."""
    flags = 0
    for name in names:
        flags |= KINDS[name].flag
    return flags


def kind_of_flag(flag: int) -> str:
    """The name of the kind with this CLONE_NEW* flag. KeyError where there is none."""
    for kind in KINDS.values():
        if kind.flag == flag:
            return kind.name
    raise KeyError(flag)


def in_join_order(names: t.Iterable[str], *, privileged: bool) -> list[str]:
    """These kinds in the order in which they can be joined one by one.

    A caller with rights over the owners of all of them joins the user namespace last: once
    inside it has none over the others that an older user namespace owns. A caller without
    them must join it first, for the rights that it grants (user_namespaces(7)).
    """
    wanted = set(names)
    ordered = [name for name in KINDS if name in wanted]
    if privileged and "user" in wanted:
        ordered.remove("user")
        ordered.append("user")
    return ordered
