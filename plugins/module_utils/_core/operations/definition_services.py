# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The services of a namespace that is brought up as a whole.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import dataclasses
import types
import typing as t

from .. import actions
from ..definition import file as definitions
from ..definition import service_names
from ..definition.generations import KeptService
from ..definition.service import ServiceSpec
from ..errors import Refused
from ..install import instance
from ..process.program import Program
from ..service import supervisor
from ..service.model import Coming, ServiceRequest, ServiceResult
from . import definition_files, namespace_state
from .definition_request import differing

if t.TYPE_CHECKING:
    from .definition_request import DefinitionRequest, Outcome


def check(request: DefinitionRequest) -> None:
    """Raises Refused for a service that no supervisor of this host can have: before anything is changed."""
    properties = request.namespace.properties
    for each in request.services:
        asked = each.request({})
        try:
            supervisor.chosen(asked.supervisor, supervisor.SUPERVISORS)(asked).check()
            if asked.is_to_run:
                asked.spec.check_places({*properties.kinds, *properties.share})
        except Refused as error:
            raise Refused(f"service {each.name}: {error.reason}", error.hint) from error


def have(
    request: DefinitionRequest, outcome: Outcome, nsctl: types.ModuleType, *, check: bool
) -> None:
    """Bring the services into their states, in their order. Raises Refused, StepFailed."""
    every = [
        (each, _completed(request, each.request(outcome.config or {}))) for each in request.services
    ]
    told = {} if check or len(every) == 1 else _planned(request, [asked for _each, asked in every])
    for each, asked in every:
        is_unknown = each.is_of_image and outcome.config is None
        if check and (outcome.is_new or outcome.is_anew or is_unknown):
            # What it is to be in is not there, or what it is to run.
            asked = dataclasses.replace(asked, gives_program=True)
            result = supervisor.planned(asked, is_removed=outcome.is_anew)
            _note(outcome, asked, result.actions, result.before, result.after)
            continue
        done = _run(asked, outcome, nsctl, check=check)
        start = f"start service {each.name}"
        if each.name in told and start in told[each.name].actions and start not in done:
            supervisor.finish_start(asked)
            _note(outcome, asked, [start], told[each.name].before, told[each.name].after)
            done = [*done, start]
        if asked.is_to_run:
            is_new = any(action.startswith(("start ", "restart ")) for action in done)
            _have_read(request, asked, outcome, nsctl, check=check, is_new=is_new)


def _planned(
    request: DefinitionRequest, every: t.Sequence[ServiceRequest]
) -> dict[str, ServiceResult]:
    """What is to be done with each: systemd may start all that are enabled with the first one."""
    instance.wait(request.name)
    return {
        asked.spec.name: supervisor.run(asked, None, check=True, host_too=False) for asked in every
    }


def _completed(request: DefinitionRequest, asked: ServiceRequest) -> ServiceRequest:
    """With what its namespace says of it.

    What lasts is there again after a reboot, unless somebody says otherwise.
    """
    properties, lasts = request.namespace.properties, request.namespace.persistent
    kinds = frozenset({*properties.kinds, *properties.share})
    net_of = properties.share.get("net", "")
    asked = dataclasses.replace(asked, coming=Coming(kinds, lasts, net_of))
    if asked.enabled is not None or not asked.is_to_run or not lasts:
        return asked
    if (
        supervisor.chosen(asked.supervisor, supervisor.SUPERVISORS)
        is not supervisor.SUPERVISORS["systemd"]
    ):
        return asked
    return dataclasses.replace(asked, enabled=True)


def _run(
    asked: ServiceRequest, outcome: Outcome, nsctl: types.ModuleType | None, *, check: bool
) -> list[str]:
    result = supervisor.run(asked, nsctl, check=check, host_too=False)
    if result.actions:
        _note(outcome, asked, result.actions, result.before, result.after)
    return result.actions


def _have_read(
    request: DefinitionRequest,
    asked: ServiceRequest,
    outcome: Outcome,
    nsctl: types.ModuleType | None,
    *,
    check: bool,
    is_new: bool,
) -> None:
    """See to it that the program has read its files: one that is ``new`` has.

    What it has read is recorded afterwards, so that a run that was killed before that is made up for.
    """
    name = asked.spec.name
    if not definition_files.unread(request, definitions.load(request.name), name):
        return
    if not is_new:
        state = "restarted" if asked.spec.reload is None else "reloaded"
        _run(dataclasses.replace(asked, state=state), outcome, nsctl, check=check)
    if check:
        return
    with namespace_state.locked(request.name, check=False, timeout=request.namespace.lock_timeout):
        definition = definitions.load(request.name)
        if definition is not None:
            after = definition_files.after_reading(request, definition, name)
            actions.run("record what was read", lambda: instance.keep(after))


def restart(request: DefinitionRequest, outcome: Outcome, *, check: bool) -> None:
    """Bring the services into their states, in their order, in a generation that none runs in yet.

    Raises Refused, StepFailed.
    """
    for each in request.services:
        asked = _completed(request, each.request(outcome.config or {}))
        if asked.is_to_run:
            asked = dataclasses.replace(asked, state="restarted", keeps_sockets=True)
        if check and each.is_of_image and outcome.config is None:
            asked = dataclasses.replace(asked, gives_program=True)
        bring(asked, outcome, check=check)
        if asked.is_to_run:
            _have_read(request, asked, outcome, None, check=check, is_new=True)


def bring(asked: ServiceRequest, outcome: Outcome, *, check: bool) -> None:
    """Bring one service into its state; in check mode only say how. Raises Refused, StepFailed.

    The host has nsctl already, where that is needed.
    """
    if check:
        result = supervisor.planned(asked, is_removed=False)
        _note(outcome, asked, result.actions, result.before, result.after)
    else:
        _run(asked, outcome, None, check=False)


def kept(namespace: str) -> tuple[KeptService, ...]:
    """All services that are known, as they are. Raises Refused where a note is damaged; OSError."""
    found = []
    for name in service_names.known(namespace):
        supervised_by, seen = supervisor.known(namespace, name)
        if seen.spec is not None:
            enabled = bool(seen.facts.get("enabled"))
            found.append(KeptService(seen.spec, supervised_by, enabled, seen.runs))
    return tuple(found)


def stop(namespace: str, name: str, outcome: Outcome, *, check: bool, timeout: float) -> None:
    """End a service that stays known. Raises StepFailed."""
    _bring(namespace, name, "stopped", outcome, check=check, timeout=timeout)


def remove(namespace: str, name: str, outcome: Outcome, *, check: bool, timeout: float) -> None:
    """Remove a service that is not wanted any more. Raises StepFailed."""
    _bring(namespace, name, "absent", outcome, check=check, timeout=timeout)


def _bring(
    namespace: str, name: str, state: str, outcome: Outcome, *, check: bool, timeout: float
) -> None:
    request = ServiceRequest(
        ServiceSpec(namespace, name, Program(())),
        gives_program=False,
        state=state,
        lock_timeout=timeout,
    )
    result = supervisor.run(request, None, check=check, host_too=False)
    if result.actions:
        _note(outcome, request, result.actions, result.before, result.after)


def _note(
    outcome: Outcome,
    request: ServiceRequest,
    done: t.Sequence[str],
    before: t.Mapping[str, t.Any],
    after: t.Mapping[str, t.Any],
) -> None:
    title = f"service {request.spec.name} of {request.spec.namespace}"
    before, after = differing(before, after)
    was = {f"{title}: {key}": value for key, value in before.items()}
    outcome.note(
        done,
        # What one was that is made anew is noted already.
        {key: value for key, value in was.items() if key not in outcome.before},
        {f"{title}: {key}": value for key, value in after.items()},
    )
