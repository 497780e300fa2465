# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Taking the steps of a named namespace: what it has, and is not to have any more, goes before.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import itertools
import typing as t

from .. import host_paths
from ..actions import Action, run_all
from ..definition import file as definitions
from ..definition.model import Definition
from ..definition.places import Places
from ..definition.steps import MountStep, PivotStep, RootStep, Step
from ..errors import Refused
from ..mount.wanted import WantedMount
from ..rootfs import record
from . import definition_files, mount, pivot_root, rootfs
from .definition_request import WantedFile, differing
from .definition_work import Work
from .mount_result import RECORDED


def unmount_others(work: Work, steps: t.Sequence[Step]) -> None:
    """What is there, by the definition, and is not wanted any more: the last one first."""
    definition = definitions.load(work.name)
    if definition is None:
        return
    every = definition.all_steps
    left = kept(definition, steps)
    if len(left) == len(every):
        return
    surplus = [each for index, each in enumerate(every) if index not in left]
    for each in surplus:
        if isinstance(each, PivotStep) and any(
            note.new_root == each.new_root for note in definition.pivoted
        ):
            raise Refused(
                f"it was pivoted to {each.new_root}, which is not wanted any more",
                recreate=True,
            )
    within = definition.within_reach([note.new_root for note in definition.pivoted])
    gone = [
        WantedMount(each.path, state="unmounted")
        for each in reversed(surplus)
        if isinstance(each, MountStep) and each in within
    ]
    _mount(work, gone)


def take(work: Work, steps: t.Sequence[Step]) -> None:
    """Have all of them, in their order. Neighbouring mounts go together."""

    def together(step: Step) -> tuple[bool, int]:
        return work.lasts(step), 0 if isinstance(step, MountStep) else id(step)

    definition = definitions.load(work.name)
    pivoted = [note.new_root for note in definition.pivoted] if definition is not None else []
    is_made = False
    for _each, group in itertools.groupby(steps, together):
        batch = list(group)
        step = batch[0]
        if isinstance(step, PivotStep):
            is_to_come = work.check and is_made and step.new_root not in pivoted
            _pivot(work, step, is_to_come=is_to_come)
        elif isinstance(step, RootStep):
            _unpack_inside(work, step, is_to_come=work.check and is_made)
        else:
            made = _mount(work, [each for each in batch if isinstance(each, WantedMount)])
            is_made = is_made or made


def _mount(work: Work, wanted: t.Sequence[WantedMount]) -> bool:
    """Whether there was anything to do."""
    if not wanted:
        return False
    result = mount.run(
        mount.MountRequest(
            work.target,
            tuple(wanted),
            persistent=None if work.lasts(wanted[0]) else False,
            lock_timeout=work.request.namespace.lock_timeout,
        ),
        check=work.check,
    )
    warnings = [*result.left_out, *result.warnings]
    if not result.actions:
        work.note([], warnings=warnings)
        return False
    before, after = differing(result.before, result.after)
    # That a mount which changes is recorded goes without saying.
    unsaid = {f"{key}{RECORDED}" for key in (*before, *after)}
    work.note(
        result.actions,
        {f"{key} in {work.name}": value for key, value in before.items() if key not in unsaid},
        {f"{key} in {work.name}": value for key, value in after.items() if key not in unsaid},
        warnings=warnings,
    )
    return True


def _unpack_inside(work: Work, step: RootStep, *, is_to_come: bool) -> None:
    request = work.request.unpacked
    if request is None:
        lasts = None if work.lasts(step) else False
        timeout = work.request.namespace.lock_timeout
        request = rootfs.checked(
            record.request_of(step, work.target, persistent=lasts, lock_timeout=timeout)
        )
    if is_to_come and request.source is not None:
        what = f"{request.source.verb} {request.source} to {request.path}"
        work.note([what, f"record the root at {request.path}"])
        return
    try:
        work.unpack(request)
    except Refused as error:
        if work.request.unpacked is not None and error.facts.get("recreate"):
            raise Refused(error.reason, error.hint, **{**error.facts, "next_root": True}) from error
        raise


def _pivot(work: Work, step: PivotStep, *, is_to_come: bool) -> None:
    if is_to_come:
        # What becomes the root is still to be mounted.
        work.note(
            [f"pivot to {step.new_root}", f"record the pivot to {step.new_root}"],
            {f"root in {work.name}": "/"},
            {f"root in {work.name}": step.new_root},
        )
        return
    request = pivot_root.PivotRequest(
        target=work.target,
        new_root=step.new_root,
        put_old=step.put_old,
        persistent=None if work.lasts(step) else False,
        lock_timeout=work.request.namespace.lock_timeout,
    )
    result = pivot_root.run(request, check=work.check)
    if result.actions:
        work.note(
            result.actions,
            {f"{key} in {work.name}": value for key, value in result.before.items()},
            {f"{key} in {work.name}": value for key, value in result.after.items()},
        )


def write_files(
    work: Work, planned: t.Iterable[tuple[Action, WantedFile]], *, beside: bool = False
) -> None:
    """Have these in the files, each by its action.

    Where the next generation is built ``beside``, it is that which checks them. Raises StepFailed.
    """
    for action, wanted in planned:
        title = f"{wanted.file.dest} of {work.name}"
        before, after = definition_files.shown(work.request.home, wanted)
        with host_paths.as_next(work.name) if beside else contextlib.nullcontext():
            done = run_all([action], check=work.check)
        work.note(done, {} if before is None else {title: before}, {title: after})


def kept(definition: Definition, steps: t.Sequence[Step]) -> list[int]:
    """The indexes of the steps of the definition that are among these, in the order of these."""
    places = Places(definition.all_steps)
    found = [places.index(step.do, step.path) for step in steps]
    return list(dict.fromkeys(index for index in found if index is not None))
