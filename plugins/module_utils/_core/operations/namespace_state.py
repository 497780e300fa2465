# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is there of a named namespace: as results show it, and for their diff.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from .. import host_paths
from ..definition import file as definitions
from ..definition.model import Definition
from ..errors import Refused
from ..mount.view import TargetView, open_host_proc
from ..namespace import enter, pins
from ..namespace.target import Target
from . import namespace_members


def is_there(name: str) -> bool:
    """Whether anything is kept for the name, be it what a killed run left."""
    return (
        os.path.isdir(host_paths.directory(name))
        or definitions.has_files(name)
        or pins.has_logs(name)
    )


def loaded_or_not(name: str) -> tuple[Definition | None, list[str]]:
    """The definition, or None with why it cannot be read."""
    try:
        return definitions.load(name), []
    except Refused as error:
        return None, [f"{error.reason}; archives that were kept for its roots stay"]


def describe(name: str) -> dict[str, t.Any]:
    """The named namespace as results show it."""
    definition, _damage = loaded_or_not(name)
    pinned = pins.pinned(name)
    return {
        "name": name,
        "kinds": {
            kind: {"id": number, "path": pins.path(name, kind)} for kind, number in pinned.items()
        },
        "processes": namespace_members.as_data(namespace_members.of(name)),
        "persistent": definition.persistent if definition is not None else False,
        "root": _root_of(definition, pinned),
    }


def _root_of(definition: Definition | None, pinned: t.Container[str]) -> str:
    """The new root that it was pivoted to last."""
    if definition is None or not definition.pivoted or "mnt" not in pinned:
        return "/"
    layout = definition.layout
    host_proc = open_host_proc()
    try:
        with Target(namespace=definition.name).open(["mnt"]) as handles:
            # Only inside it shows whether a pivot that was noted was made as well.
            pivoted: tuple[str, ...] = enter.call(
                lambda: TargetView(host_proc, layout).layout.pivoted, joins=handles
            )
            return pivoted[-1] if pivoted else "/"
    finally:
        os.close(host_proc)


def described(name: str, definition: Definition | None) -> dict[str, t.Any]:
    """For the diff: the state in a few lines."""
    if not is_there(name):
        return {}
    found = definition.properties.to_data() if definition is not None else {}
    found["kinds"] = sorted(pins.pinned(name))
    found["persistent"] = definition.persistent if definition is not None else False
    return found
