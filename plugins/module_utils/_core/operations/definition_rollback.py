# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Going back to the generation before the one that serves: built again beside it, from what was kept of it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import os

from .. import actions, host_paths
from ..actions import undo
from ..definition import file as definitions
from ..definition import generations
from ..definition import root as roots
from ..definition.generations import Generation
from ..definition.model import Definition
from ..errors import Refused
from ..namespace import exchange, pins
from . import (
    definition_back,
    definition_generation,
    definition_root,
    definition_steps,
    definition_switch,
    namespace,
    namespace_share,
    namespace_state,
    restore,
)
from .definition_request import DefinitionRequest, How, Outcome
from .definition_work import Work


def run(name: str, how: How, *, lock_timeout: float) -> Outcome:
    """Have the generation serve that did before the one that does; in check mode only say how.

    What serves now is kept, so that the next time leads back to it. Raises Refused before anything was
    changed, StepFailed; then what served serves on, or again.
    """
    with namespace_state.locked(name, check=how.check, timeout=lock_timeout):
        outcome = Outcome(name)
        outcome.note(definition_back.settle(name, check=how.check))
        there = definitions.load(name)
        if there is None:
            raise restore.unknown(name)
        coming = _before(there)
        _check(there, coming)
        outcome.generation = coming.number
        title = f"generation of {name}"
        step = f"build generation {coming.number} of {name}"
        before = definition_generation.of_what_serves(there)
        outcome.note(
            [step],
            {title: f"{before.number}, {before.made_of}"},
            {title: f"{coming.number}, {coming.made_of}"},
        )
        if not how.check:
            definition_generation.keep(before)
            try:
                actions.run(step, lambda: _build(there, coming, how))
                _note_next(name, coming)
            except BaseException as error:
                undo(error, [functools.partial(exchange.discard, name)])
                raise
            definition_generation.restore_files(coming)
    if outcome.generation:
        definition_switch.switch_to(coming, outcome, check=how.check)
    return outcome


def _before(there: Definition) -> Generation:
    """The one that is gone back to. Raises Refused where there is none."""
    name = there.name
    if there.own_root is None:
        raise Refused(
            f"namespace {name} has no root of its own, and so no generations",
            "Give it a root with rootfs of linux.namespaces.ns_definition.",
        )
    others = generations.load(name).but(generations.number_of(there))
    if not others:
        raise Refused(
            f"there is no generation of {name} to go back to",
            "One is kept with keep_generations of at least 1, once another root has taken its place.",
        )
    return max(others, key=lambda each: each.ended)


def _check(there: Definition, coming: Generation) -> None:
    name, root = there.name, coming.root
    if "mnt" not in pins.pinned(name):
        raise Refused(f"namespace {name} is down", f"Bring it up first: `nsctl up {name}`.")
    if set(coming.definition.properties.kinds) != set(there.properties.kinds):
        raise Refused(
            f"generation {coming.number} of {name} had other kinds of namespace",
            "Have it made anew from its definition of then, with recreate: true.",
        )
    if root.manner != roots.TMPFS and not os.path.isdir(root.unpacked):
        raise Refused(
            f"the root of generation {coming.number} of {name} is gone: {root.unpacked}",
            "Have the namespace made from its source again.",
        )
    namespace_share.check_nobody_shares(name, kinds=("pid",))


def _build(there: Definition, coming: Generation, how: How) -> None:
    name, was = there.name, coming.definition
    own = namespace.NamespaceRequest(name, there.properties, persistent=False)
    every = tuple((step, True) for step in was.all_steps)
    work = Work(DefinitionRequest(own, steps=every), how, Outcome(name))
    definition_generation.begin(name, there.properties)
    with host_paths.as_next(name):
        definition_steps.take(work, definition_root.steps(work, ""))
        definition_generation.verify(coming.root.verify, name)


def _note_next(name: str, coming: Generation) -> None:
    found = generations.load(name)
    actions.run(
        "note the next generation", lambda: generations.save(name, found._replace(next=coming))
    )
