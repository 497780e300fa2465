# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Creating what is missing of a named namespace.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import typing as t

from ..actions import Action
from ..definition import file as definitions
from ..definition.model import LINKS
from ..definition.properties import Properties
from ..install import instance
from ..namespace import create, gate, pins
from ..namespace.settings import Setting

if t.TYPE_CHECKING:
    from ..actions import Answer
    from ..namespace.id_map import IdMaps


def creation(
    name: str,
    wanted: Properties,
    missing: t.Collection[str],
    pinned: t.Collection[str],
    settable: t.Sequence[Setting],
) -> Action:
    """The action that creates namespaces of the ``missing`` kinds, beside those that are pinned.

    ``settable`` are the settings that are made in them. Raises Refused.
    """
    making = create.Making(
        kinds=missing,
        propagation=wanted.propagation,
        id_maps=_id_maps_of(wanted),
        time_offsets=tuple(wanted.time_offsets.items()) if "time" in missing else (),
        settings=settable,
    )
    return Action(
        f"create {', '.join(sorted(missing))}",
        lambda: _create(name, making, pinned),
        functools.partial(_explain, creates=missing),
    )


def _id_maps_of(wanted: Properties) -> IdMaps | None:
    if wanted.id_map is None:
        return None
    # 3 ms to compile, for what most do not have.
    from ..namespace import id_map

    return id_map.parse(wanted.id_map, id_map.Caller.of_this_process())


def _create(name: str, making: create.Making, pinned: t.Collection[str]) -> None:
    gate.close(name)
    pins.prepare(name)
    definition = definitions.load(name)
    was = definition
    if definition is not None and "mnt" in making.kinds:
        # With a mount namespace end its pivots, and the steps that are not recorded; the others
        # are to be taken anew.
        steps = tuple(step.title for step in definition.steps if not step.only_if_asked)
        missing = (*steps, *(each for each in definition.missing if each == LINKS))
        definition = definition.replace(pivoted=(), volatile=(), missing=missing)
    if definition is not None and "net" in making.kinds:
        definition = definition.awaiting_links()
    # Without its state nobody knows what is missing, which is not to be found out anew each time.
    if definition is not None and (definition != was or not definitions.has_state(name)):
        instance.keep(definition)
    create.create(name, making, pinned=pinned)


def _explain(error: OSError, *, creates: t.Collection[str]) -> Answer:
    # 2 ms to compile, for a failure.
    from ..namespace import explain

    return explain.birth(error, joins=None, creates=creates)
