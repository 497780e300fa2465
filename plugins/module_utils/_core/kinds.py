# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The table of the eight kinds of namespace: names, flags, files, and the order of joining.

From namespaces(7) and include/uapi/linux/sched.h. Everything that differs between kinds
follows from this table.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t


class Kind(t.NamedTuple):
    """One kind: ``name`` as in /proc/PID/ns, its CLONE_NEW* ``flag``, and the ``handle``.

    ``handle`` is the file below /proc/PID/ns that names the namespace which the *children* of
    PID are born in. Only pid and time have one that differs: the caller of unshare(2) itself
    stays where it was.
    """

    name: str
    flag: int
    handle: str


# The order is the order of joining for an unprivileged caller (nsenter(1)): the user namespace
# grants the rights that the others ask for; mnt is early because joining it resets root and cwd.
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("user", 0x10000000, "user"),
        Kind("mnt", 0x00020000, "mnt"),
        Kind("uts", 0x04000000, "uts"),
        Kind("ipc", 0x08000000, "ipc"),
        Kind("pid", 0x20000000, "pid_for_children"),
        Kind("cgroup", 0x02000000, "cgroup"),
        Kind("net", 0x40000000, "net"),
        Kind("time", 0x00000080, "time_for_children"),
    )
}

NAMES: tuple[str, ...] = tuple(sorted(KINDS))


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
