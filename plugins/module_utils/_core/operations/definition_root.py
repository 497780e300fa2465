# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The root that a named namespace has of its own, and all that is mounted in it: see definition/root.py.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import dataclasses
import os

from ..definition import file as definitions
from ..definition import root as roots
from ..definition.root import OwnRoot
from ..definition.steps import MountStep, PivotStep, RootStep, Step
from ..errors import Refused
from ..mount.wanted import WantedMount
from ..namespace import pins
from ..rootfs.request import RootRequest
from . import definition_home, definition_volumes
from .definition_work import Work

# What is at the place of a root where none is.
_NONE = ("absent", "empty")
# Of what is hidden.
_NAMED = 10


def have_on_host(work: Work) -> str:
    """The label of the root that is mounted; empty for none."""
    root, request = work.request.root, work.request.unpacked
    if root is None or request is None:
        if work.request.files:
            work.do(definition_home.closing(work.request.home))
        return ""
    closing = definition_home.closing(root.home)
    if root.manner == roots.TMPFS:
        work.do(definition_home.making(root))
        return _label_of_tmpfs(work, root)
    if closing and work.check:
        request = dataclasses.replace(request, reachable=True)  # it is to be closed first
    work.do(definition_home.making(root))
    result = work.unpack(request)
    work.replaced = request.path if result.replaces else ""
    is_another = result.replaces and result.before.partition(",")[0] not in _NONE
    if is_another and work.check:
        if root.upper == roots.NEW:
            # What was written to that one is not to hide what is in the new one.
            raise another(request)
        if not work.outcome.is_anew and _has_root(work, root):
            raise Refused(f"its root is another than {request.source} is now", recreate=True)
    if is_another and not work.check and root.upper == roots.KEEP:
        _warn_of_hidden(work, root)
    return _label(work, root, result.digest)


def _warn_of_hidden(work: Work, root: OwnRoot) -> None:
    """Tell what was written to the root before, and is seen in the place of what is newer in this one."""
    # For who keeps what was written.
    from ..rootfs import hidden

    old = hidden.replaced(root.unpacked)
    upper = f"{root.place}/upper"
    if not old or not os.path.isdir(upper):
        return
    try:
        found = hidden.hiding(upper, old, root.unpacked, _NAMED)
    except OSError as error:
        why = f"what hides newer files cannot be told: {error}"
        work.note([], warnings=[why])
        return
    if found.total:
        more = f" and {found.total - _NAMED} more" if found.total > _NAMED else ""
        paths = f"{', '.join(found.paths)}{more}"
        told = f"what was written to the root before hides what is newer: {paths}. See upper: new"
        work.note([], warnings=[told])


def another(request: RootRequest) -> Refused:
    """That a root is there which is another one, so that it takes the next generation."""
    return Refused(
        f"its root is another than {request.source} is now", next_root=True, recreate=True
    )


def _has_root(work: Work, root: OwnRoot) -> bool:
    definition = definitions.load(work.name)
    return (
        definition is not None
        and definition.find(PivotStep.do, root.new_root) is not None
        and bool(pins.pinned(work.name))
    )


def _label(work: Work, root: OwnRoot, digest: str) -> str:
    """That of a root that is there already is kept, whoever gave it."""
    label = roots.label_of(work.name, digest)
    there = _mounted(work, root)
    return there.src if there and roots.is_of_same(there.src, label) else label


def _label_of_tmpfs(work: Work, root: OwnRoot) -> str:
    """The same for one in memory: what it was made of is recorded beside it."""
    there = _mounted(work, root)
    return there.src if there and there.fstype == "tmpfs" else work.name


def _mounted(work: Work, root: OwnRoot) -> MountStep | None:
    definition = None if work.outcome.is_anew else definitions.load(work.name)
    there = definition and definition.find(MountStep.do, root.new_root)
    return there if isinstance(there, MountStep) else None


def steps(work: Work, label: str) -> list[Step]:
    """All steps of the definition, in their order: as it is kept, those last that end with a reboot."""
    root, mounts = work.request.root, work.request.mounts
    every: list[Step] = [*mounts]
    if work.request.steps:
        every = [step for step, _lasts in work.request.steps]
    if root is not None:
        first, then = root.steps([*_volumes(work, root), *mounts])
        unpacked = [RootStep(root.new_root)] if root.manner == roots.TMPFS else []
        every = [root.mount(label), *unpacked, *first, *then]
    return [
        WantedMount.of(step).checked()
        if isinstance(step, MountStep) and not isinstance(step, WantedMount)
        else step
        for step in every
    ]


def _volumes(work: Work, root: OwnRoot) -> list[MountStep]:
    definition = definitions.load(work.name)
    there = [
        step
        for step in (definition.all_steps if definition is not None else ())
        if isinstance(step, MountStep)
    ]
    given = {step.path for step in work.request.mounts}
    found = definition_volumes.mounts(root, work.outcome.config, there)
    wanted = [step for step in found if step.path not in given]
    work.do(definition_volumes.making(root, wanted))
    return wanted
