# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Going back to the generation that served, where the next one could not take its place, or was killed at that.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import typing as t

from .. import actions, host_paths
from ..actions import Action, run_all
from ..definition import file as definitions
from ..definition import generations, service_names
from ..definition.generations import Generation, Generations, KeptService
from ..definition.model import Definition
from ..errors import Refused, StepFailed, in_words
from ..install import instance
from ..namespace import exchange, pins
from ..namespace.target import Target
from ..process import proc
from ..service import supervisor
from ..service.model import ServiceRequest
from . import definition_generation, definition_services
from .definition_request import Outcome

_INTERRUPTED = "its run was killed before it served"
_PATIENCE = 60.0


def settle(name: str, *, check: bool) -> list[str]:
    """Leave nothing half done of what a run that was killed has begun; in check mode only say what.

    The lock is held. Returns the names of the actions. Raises Refused, StepFailed, OSError.
    """
    found = generations.load(name)
    if found.switching_from:
        return run_all([going_back(name, found, _INTERRUPTED)], check=check)
    is_left = exchange.is_there(name) and not exchange.living(name)
    if not check and (found.next is not None or is_left):
        _give_up(name, found)
    return []


def going_back(name: str, found: Generations, why: str) -> Action:
    """What has the one serve again that did before the next one was to."""
    step = f"go back to generation {found.switching_from} of {name}"
    return Action(step, functools.partial(back, name, why))


def back(name: str, why: str) -> None:
    """Have the one serve again that did. ``why`` is kept. Raises Refused, StepFailed, OSError."""
    found = generations.load(name)
    before = t.cast(Generation, found.of(found.switching_from))
    lives = generations.number_of(definitions.load_state(name))
    if lives not in (0, before.number) and exchange.is_there(name):
        # What runs there is ended by who starts what ran here: so it is known here as well.
        exchange.carry_over(name)
        exchange.put(name)
    there = definitions.load_state(name)
    live = {} if there is None else {"pivoted": there.pivoted, "missing": there.missing}
    actions.run("record the definition", lambda: instance.keep(before.definition.replace(**live)))
    definition_generation.restore_files(before)
    if lives:
        definition_generation.restore_namespace(before)
    _restore_services(name, before, is_live=bool(lives))
    number = found.next.number if found.next is not None else 0
    told = f"generation {number} does not serve: {why}" if number else why
    _give_up(name, found._replace(switching_from=0, failed=told))


def _restore_services(name: str, before: Generation, *, is_live: bool) -> None:
    """Have them as they were; in a namespace that is down they come up with it, where they do."""
    kept = {each.spec.name for each in before.services}
    for each in service_names.known(name):
        if each not in kept:
            definition_services.remove(name, each, Outcome(name), check=False, timeout=_PATIENCE)
    for service in before.services:
        request = request_of(service, is_new=not _lives_in(name, service))
        if is_live:
            supervisor.run(request, None, check=False, host_too=False)
        elif service.supervisor == "systemd":
            supervisor.write(request)


def _lives_in(name: str, service: KeptService) -> bool:
    """Whether its program lives in what has the name now, and not in what had it just before."""
    if "mnt" in service.spec.kinds:
        return False
    pid = supervisor.known(name, service.spec.name)[1].pid
    own = proc.ids_of_process(pid, ["mnt"]) if pid is not None else {}
    return own.get("mnt") == pins.pinned(name).get("mnt")


def request_of(service: KeptService, *, is_new: bool) -> ServiceRequest:
    """What brings the service to what it was; with ``is_new`` its program is another one in any case."""
    state = "restarted" if is_new else "started"
    return ServiceRequest(
        service.spec,
        state=state if service.runs else "stopped",
        enabled=service.enabled if service.supervisor == "systemd" else None,
        supervisor=service.supervisor,
        keeps_sockets=True,
    )


def follow(there: Definition, outcome: Outcome) -> None:
    """Have mounts of the host that show what served show what serves: that has the name now.

    ``there`` is what served. It serves, whatever becomes of them: why one does not follow is a warning.
    """
    # For who has changed places.
    from . import definition_following

    name = there.name
    try:
        with host_paths.as_next(name):
            old = Target(namespace=name).open(["mnt"])
        with old, Target(namespace=name).open(["mnt"]) as new:
            found = definition_following.following(there, old, new)
            outcome.warnings += found.warnings
            for action in found.actions:
                _follow(action, outcome)
    except (Refused, OSError) as error:
        outcome.warnings.append(in_words(error))


def _follow(action: Action, outcome: Outcome) -> None:
    try:
        outcome.note(run_all([action], check=False))
    except StepFailed as error:
        outcome.warnings.append(in_words(error))


def _give_up(name: str, found: Generations) -> None:
    """Leave nothing of the next one, nor of one before that has had its time."""
    with host_paths.as_next(name):
        left = definitions.load_state(name)
    served = found.of(generations.number_of(left))
    if served is not None and served.number != generations.number_of(definitions.load(name)):
        follow(served.definition, Outcome(name))
    exchange.discard(name)
    coming = found.next
    serves = generations.number_of(definitions.load(name))
    if coming is not None and coming.number != serves and found.of(coming.number) is None:
        definition_generation.remove_place(coming.root, coming.number)
    # It serves, so it is none before; where it never was another's turn nothing is kept.
    generations.save(name, found._replace(before=found.but(serves), next=None))
