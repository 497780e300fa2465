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
from ..actions import Action, run_all
from ..definition import file as definitions
from ..definition import root as roots
from ..definition import service_names
from ..definition.model import Definition
from ..definition.steps import Step
from ..errors import Refused
from ..install import instance
from ..rootfs.request import removal_of_old
from . import (
    definition_files,
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
from .definition_request import DefinitionRequest, How, Outcome, WantedFile, differing
from .definition_work import Work


def run(request: DefinitionRequest, how: How) -> Outcome:
    """Bring the namespace to what is wanted but for its services; in check mode only say how.

    Services that are not wanted any more are removed. A namespace that is new and cannot be completed
    is not left behind. Raises Refused before anything was changed, StepFailed for the step that failed.
    """
    with namespace_state.locked(
        request.name, check=how.check, timeout=request.namespace.lock_timeout
    ):
        planned, anew = _planned(request, how)
        if how.check or not planned.actions:
            return planned
        work = Work(request, how, Outcome(request.name, is_new=planned.is_new, is_anew=anew))
        try:
            _carry_out(work)
        except BaseException as error:
            if planned.is_new:
                actions.undo(error, [functools.partial(discard, request, planned)])
            raise
        return work.outcome


def discard(request: DefinitionRequest, done: Outcome) -> None:
    """Take back a namespace that is new, with what it has on the host where that is new as well.

    Raises Refused, StepFailed, OSError.
    """
    namespace_removal.absent(request.name, check=False, force=True)
    if definition_home.making_of(request.home) in done.actions:
        run_all(definition_home.removing(request.home), check=False)


def _planned(request: DefinitionRequest, how: How) -> tuple[Outcome, bool]:
    """What would be done, and whether it begins with a removal. Raises Refused."""
    definition_services.check(request)
    how = how._replace(check=True)
    is_new = not namespace_state.is_there(request.name)
    work = Work(request, how, Outcome(request.name, is_new=is_new))
    try:
        _carry_out(work)
        return work.outcome, False
    except Refused as error:
        if not error.facts.get("recreate"):
            raise
        if not how.recreate:
            hint = (
                "Have it removed first, and made anew: recreate: true, or `nsctl apply --recreate`."
            )
            raise Refused(error.reason, hint, **error.facts) from error
    work = Work(request, how, Outcome(request.name, is_anew=True))
    _carry_out(work)
    return work.outcome, True


_RECORD = "record the definition"


def _carry_out(work: Work) -> None:
    """All of it but the services. Raises Refused, StepFailed."""
    with contextlib.ExitStack() as stack:
        label = definition_root.have_on_host(work)
        _remove_services(work)
        if work.outcome.is_anew:
            _remove(work)
            if work.check:
                stack.enter_context(host_paths.as_if_removed(work.name))
                work.note([removal_of_old(work.replaced)] if work.replaced else [])
            elif work.request.root is not None:
                definition_root.have_on_host(work)  # the old one was in use until now
        _have_namespace(work)
        steps = _have_steps(work, label)
        root = work.request.root
        if root is not None and root.volumes and root.manner == roots.TMPFS:
            steps = _have_steps(work, label)  # only what is unpacked inside says which volumes
        _write_files(work, definition_files.making_checked(work.request))
        _settle(work, steps)


def _have_steps(work: Work, label: str) -> list[Step]:
    steps = definition_root.steps(work, label)
    work.do(definition_files.removing(work.request, definitions.load(work.name)))
    definition_steps.unmount_others(work, steps)
    work.do(definition_files.making_parents(work.request))
    _write_files(work, definition_files.making(work.request))
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


def _write_files(work: Work, planned: t.Iterable[tuple[Action, WantedFile]]) -> None:
    for action, wanted in planned:
        title = f"{wanted.file.dest} of {work.name}"
        before, after = definition_files.shown(work.request.home, wanted)
        done = run_all([action], check=work.check)
        work.note(done, {} if before is None else {title: before}, {title: after})


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
    before, after = differing(result.before, result.after)
    work.note(
        result.actions,
        {f"{key} of {work.name}": value for key, value in before.items()},
        {f"{key} of {work.name}": value for key, value in after.items()},
        warnings=result.warnings,
    )


def _settle(work: Work, steps: t.Sequence[Step]) -> None:
    """Record the order, which counts when it comes up again, and what it is made of."""
    definition = definitions.load(work.name)
    if definition is not None:  # in check mode it may be still to come
        after = _settled(work, definition, steps)
        work.is_to_record = work.is_to_record or after != definition
        if after != definition and not work.check:
            actions.run(_RECORD, functools.partial(instance.keep, after))
    if work.is_to_record:
        work.outcome.note([_RECORD])
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
