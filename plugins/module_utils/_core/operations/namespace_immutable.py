# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the kernel lets nobody change about namespaces that live.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from ..definition.model import Definition
from ..definition.properties import Properties
from ..namespace import nsfs, pid_holder, pins
from ..namespace.target import Target
from ..process import proc
from ..syscalls import namespaces

# Properties of a definition, and the kind of namespace that has them from its birth on.
_PROPERTIES = (("id_map", "user"), ("time_offsets", "time"), ("propagation", "mnt"))


def differences(
    name: str,
    wanted: Properties,
    pinned: t.Mapping[str, int],
    definition: Definition | None,
) -> list[str]:
    """How ``name`` differs in that from the properties ``wanted``; nothing where it can be made so.

    ``pinned`` are the ids of the kinds that it has, ``definition`` says how they were made.
    """
    if not pinned or definition is None:
        return []
    found = []
    names = wanted.kinds
    is_owned = "user" in pinned or _has_owner(name, min(pinned))
    if "user" in names and not is_owned:
        found.append("its namespaces belong to no user namespace of their own")
    if "user" not in names and is_owned:
        found.append("its namespaces belong to its user namespace")
    for key, kind in _PROPERTIES:
        lives = kind in pinned or (kind == "user" and is_owned)
        old, new = getattr(definition.properties, key), getattr(wanted, key)
        if lives and kind in names and old != new:
            found.append(f"{key} is {old!r}, not {new!r}")
    surplus = [kind for kind in pinned if kind not in names]
    holder_pid = pid_holder.pid_of(name) if "pid" in names else None
    if holder_pid is not None:
        around = proc.ids_of_process(holder_pid, surplus)
        kept = [kind for kind in surplus if around.get(kind) == pinned[kind]]
        if kept:
            found.append(f"the holder of its pid namespace lives in its {', '.join(kept)}")
    return found


def _has_owner(name: str, kind: str) -> bool:
    """Whether the pinned namespace belongs to another user namespace than the caller's."""
    fd = _open_owner(name, kind)
    try:
        return nsfs.id_of(fd) != proc.ids_of_process("self", ["user"]).get("user")
    finally:
        os.close(fd)


def _open_owner(name: str, kind: str) -> int:
    with Target(namespace=name).open([kind], closed_too=True) as handles:
        return namespaces.owner(handles.fd_of(kind))


def pin_owner(name: str, kind: str) -> None:
    """Pin the user namespace that the one of ``kind`` belongs to. Raises KernelError."""
    fd = _open_owner(name, kind)
    try:
        pins.unpin(name, "user")
        pins.pin_file(name, "user", f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
