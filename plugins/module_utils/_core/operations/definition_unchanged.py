# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whether named namespaces are what is wanted already, many of them at once: see as_defined.py.

Where that leaves a doubt, the answer is no, and the operations look again, one by one.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import typing as t

from ..definition import file as definitions
from ..definition import service_names
from ..definition.model import Definition
from ..definition.steps import Step
from ..errors import Refused, StepFailed
from ..mount import table
from ..process import pool
from . import as_defined, definition_files
from .as_defined import Prepared
from .definition_request import DefinitionRequest

# So many are open at once, with some descriptors each.
_BATCH = 32


def among(requests: t.Sequence[DefinitionRequest]) -> list[bool]:
    """Which of them are as wanted, but for their services, for certain."""
    batches = [range(at, min(at + _BATCH, len(requests))) for at in range(0, len(requests), _BATCH)]

    def look(number: int) -> list[bool]:
        return _look([requests[each] for each in batches[number]])

    if len(batches) == 1:
        # A process that has others look takes as long as the one that does.
        try:
            return look(0)
        except Exception:
            return [False] * len(requests)
    answers = pool.run(len(batches), look)
    return [
        answer
        for batch, answered in zip(batches, answers)
        for answer in (answered if answered is not None else [False] * len(batch))
    ]


def _look(requests: t.Sequence[DefinitionRequest]) -> list[bool]:
    host_mounts = table.read()
    with contextlib.ExitStack() as stack:
        prepared = [_prepared(request, host_mounts, stack) for request in requests]
        return as_defined.entered(prepared, host_mounts, lambda look: look is not None)


def _prepared(
    request: DefinitionRequest, host_mounts: t.Sequence[table.Mount], stack: contextlib.ExitStack
) -> Prepared | None:
    """What is left to be looked at inside; None where it is not certain to be as wanted."""
    try:
        definition = definitions.load(request.name)
        if definition is None or not _is_recorded(request, definition):
            return None
        if {*service_names.known(request.name)} - {each.name for each in request.services}:
            return None
        return as_defined.prepared_of(request.namespace, definition, host_mounts, stack)
    except (Refused, StepFailed, OSError):
        return None


def _is_recorded(request: DefinitionRequest, definition: Definition) -> bool:
    """Whether the definition is what is wanted. A root of its own takes a longer look."""
    wanted: list[tuple[Step, bool]] = [(each.step(), True) for each in request.mounts]
    wanted = wanted or [*request.steps]
    every = [*((step, True) for step in definition.steps)]
    every += [(step, False) for step in definition.volatile]
    if not definition.persistent:
        wanted = [(step, False) for step, _lasts in wanted]
    return (
        request.root is None is definition.own_root
        and definition_files.are_as_wanted(request, definition)
        and not definition.missing
        and every == wanted
        and all(as_defined.is_seen(step) for step, _lasts in every)
    )
