# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_definition does with one named namespace: bring all of it to what is wanted.

By the operations of the other modules, one after the other: the definition is what they record. All of it
is planned in check mode first; so nothing has changed where it turns out that the namespace has to be made
anew, and that was not allowed.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import typing as t

from .. import actions, host_paths
from ..actions import run_all
from ..definition import file as definitions
from ..definition import root as roots
from ..definition import service_names
from ..definition.model import Definition
from ..definition.steps import Step
from ..errors import Refused
from ..install import instance
from ..rootfs.request import removal_of_old
from . import (
    definition_back,
    definition_files,
    definition_generation,
    definition_home,
    definition_root,
    definition_services,
    definition_steps,
    namespace,
    namespace_members,
    namespace_removal,
    namespace_state,
    whole,
)
from .definition_request import DefinitionRequest, How, Outcome
from .definition_work import Work


class _Plan(t.NamedTuple):
    """How it is brought there."""

    # The request for the generation that there is to be.
    request: DefinitionRequest
    # What would be done.
    outcome: Outcome
    # It is another generation.
    is_next: bool = False
    # It is built beside the one that serves.
    beside: bool = False


def run(request: DefinitionRequest, how: How) -> Outcome:
    """Bring the namespace to what is wanted but for its services; in check mode only say how.

    Services that are not wanted any more are removed. A namespace that is new and cannot be completed
    is not left behind. One that gets another root serves on: the next generation is built beside it, and
    definition_switch.py puts that in its place. Raises Refused before anything was changed, StepFailed for
    the step that failed.
    """
    with namespace_state.locked(
        request.name, check=how.check, timeout=request.namespace.lock_timeout
    ):
        back = definition_back.settle(request.name, check=how.check)
        plan = _planned(request, how)
        planned = plan.outcome
        if how.check or not planned.actions:
            planned.actions[:0] = back
            return planned
        outcome = Outcome(request.name, is_new=planned.is_new, is_anew=planned.is_anew)
        work = Work(plan.request, how, outcome)
        outcome.note(back)
        try:
            if plan.beside:
                definition_generation.build(work)
            else:
                if plan.is_next:
                    definition_generation.keep_before(request.name)
                _carry_out(work)
        except BaseException as error:
            if planned.is_new:
                actions.undo(error, [functools.partial(discard, request, planned)])
            raise
        return outcome


def discard(request: DefinitionRequest, done: Outcome) -> None:
    """Take back a namespace that is new, with what it has on the host where that is new as well.

    Raises Refused, StepFailed, OSError.
    """
    namespace_removal.absent(request.name, check=False, force=True)
    if definition_home.making_of(request.home) in done.actions:
        run_all(definition_home.removing(request.home), check=False)


def _planned(request: DefinitionRequest, how: How) -> _Plan:
    """How it would be brought there. Raises Refused."""
    definition_services.check(request)
    how = how._replace(check=True)
    request = definition_generation.placed(request)
    is_new = not namespace_state.is_there(request.name)
    work = Work(request, how, Outcome(request.name, is_new=is_new))
    try:
        _carry_out(work)
        return _Plan(request, work.outcome)
    except Refused as error:
        refused = error
    if refused.facts.get("next_root") and request.root is not None:
        number = definition_generation.next_number(request.name, request.root)
        request = definition_generation.placed(request, number)
        try:
            return _planned_next(request, how, is_new=is_new)
        except Refused as error:
            refused = error
    if not refused.facts.get("recreate"):
        raise refused
    if not how.recreate:
        hint = "Have it removed first, and made anew: recreate: true, or `nsctl apply --recreate`."
        raise Refused(refused.reason, hint, **refused.facts) from refused
    work = Work(request, how, Outcome(request.name, is_anew=True))
    _carry_out(work)
    return _Plan(request, work.outcome)


def _planned_next(request: DefinitionRequest, how: How, *, is_new: bool) -> _Plan:
    outcome = Outcome(request.name, is_new=is_new)
    beside = definition_generation.is_live(request.name)
    if beside:
        why = definition_generation.why_not_beside(request)
        if why:
            raise Refused(f"its root is another now, and {why}", recreate=True)
        outcome.generation = request.root.generation if request.root is not None else 0
        definition_generation.build(Work(request, how, outcome))
    else:
        _carry_out(Work(request, how, outcome))
    return _Plan(request, outcome, is_next=True, beside=beside)


_RECORD = "record the definition"


def _carry_out(work: Work) -> None:
    """All of it but the services. Raises Refused, StepFailed."""
    with contextlib.ExitStack() as stack:
        label = definition_root.have_on_host(work)
        _remove_services(work)
        if work.outcome.is_anew:
            definition = definitions.load(work.name)
            _remove(work)
            if work.check:
                links = definition.links if definition is not None else ()
                work.request = work.request.with_leaving(links)
                stack.enter_context(host_paths.as_if_removed(work.name))
                work.note([removal_of_old(work.replaced)] if work.replaced else [])
            elif work.request.root is not None:
                definition_root.have_on_host(work)  # the old one was in use until now
        _have_namespace(work)
        steps = _have_steps(work, label)
        root = work.request.root
        if root is not None and root.volumes and root.manner == roots.TMPFS:
            steps = _have_steps(work, label)  # only what is unpacked inside says which volumes
        definition_steps.write_files(work, definition_files.making_checked(work.request))
        if root is not None and work.has_unpacked and not work.check:
            definition_generation.verify(root.verify, work.name)
        _settle(work, steps)


def _have_steps(work: Work, label: str) -> list[Step]:
    steps = definition_root.steps(work, label)
    request, there = work.request, definitions.load(work.name)
    work.do(definition_files.removing(request.home, request.places, there))
    definition_steps.unmount_others(work, steps)
    work.do(definition_files.making_parents(work.request))
    definition_steps.write_files(work, definition_files.making(work.request))
    definition_steps.take(work, steps)
    return steps


def _remove_services(work: Work) -> None:
    wanted = {each.name for each in work.request.services}
    for each in service_names.known(work.name):
        if each not in wanted:
            _remove_service(work, each)


def _remove_service(work: Work, name: str) -> None:
    timeout = work.request.namespace.lock_timeout
    definition_services.remove(work.name, name, work.outcome, check=work.check, timeout=timeout)


def _remove(work: Work) -> None:
    definition = definitions.load(work.name)
    namespace_removal.check_notes(work.name)
    archives, _unsure = namespace_removal.kept_alone(work.name, definition)
    own = definition.own_root if definition is not None else None
    ending = namespace_members.of_services(work.name)
    for each in service_names.known(work.name):
        _remove_service(work, each)
    work.do(
        namespace_removal.removal(
            work.name,
            archives=archives,
            force=work.how.force,
            ending=ending if work.check else (),
        )
    )
    if own is not None and own.home != work.request.home:
        work.do(definition_home.removing(own.home))


def _have_namespace(work: Work) -> None:
    result = namespace.brought(work.request.namespace, check=work.check)
    work.note_of_namespace(result)


def _settle(work: Work, steps: t.Sequence[Step]) -> None:
    """Record the order, which counts when it comes up again, and what it is made of."""
    definition = definitions.load(work.name)
    if definition is not None:  # in check mode it may be still to come
        after = _settled(work, definition, steps)
        # What was written to files is told with them.
        is_other = definition_files.but_written(after) != definition_files.but_written(definition)
        work.is_to_record = work.is_to_record or is_other
        if after != definition and not work.check:
            actions.run(_RECORD, functools.partial(instance.keep, after))
    if work.is_to_record:
        work.outcome.note([_RECORD])
    if work.request.root is not None:
        work.do(definition_generation.trimming_of(work, definition))
    if not work.check:
        with actions.Step(f"open namespace {work.name}"):
            whole.open_if_whole(work.name)


def _settled(work: Work, definition: Definition, steps: t.Sequence[Step]) -> Definition:
    """The definition with its steps in this order; in check mode those that it has already."""
    every = definition.all_steps
    ordered = [every[index] for index in definition_steps.kept(definition, steps)]
    if work.check:
        is_in_order = ordered == [each for each in every if each in ordered]
        ordered = [*every] if is_in_order else ordered
    lasts = definition.lasting()
    return definition.replace(
        own_root=work.request.root,
        files=definition_files.recorded(work.request, definition),
        steps=tuple(each for each in ordered if lasts(each)),
        volatile=tuple(each for each in ordered if not lasts(each)),
    )
