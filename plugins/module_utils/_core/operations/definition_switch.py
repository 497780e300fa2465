# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Having the next generation of a named namespace serve in place of the one that does.

The next one takes the name, then each service is ended and started again, in it. Where one of them does not
become ready the one before has its name and its services back. What it takes to go back is on disk before
anything is changed: the next run, or a boot, does so after one that was killed.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .. import actions, host_paths
from ..actions import run_all
from ..definition import file as definitions
from ..definition import generations, service_names
from ..definition.generations import Generation, Generations
from ..definition.model import Definition
from ..definition.root import OwnRoot
from ..definition.service import ServiceSpec
from ..errors import Refused, StepFailed
from ..install import instance
from ..namespace import exchange
from ..service import socket_files
from . import (
    definition_back,
    definition_files,
    definition_generation,
    definition_services,
    namespace_state,
)
from .definition_request import DefinitionRequest, Outcome, differing

_PATIENCE = 60.0


def switch(request: DefinitionRequest, outcome: Outcome, *, check: bool) -> None:
    """Have the generation serve that was built for the request; in check mode only say how.

    Raises Refused, StepFailed where it did not become ready; then the one before serves again.
    """

    def serve() -> None:
        definition_services.restart(request, outcome, check=check)

    placed = definition_generation.placed(request, outcome.generation)
    wanted = _Wanted(
        t.cast(OwnRoot, placed.root),
        [each.request(outcome.config or {}).spec for each in request.services],
        request.places,
    )
    _switch(wanted, outcome, serve, check=check)


def switch_to(coming: Generation, outcome: Outcome, *, check: bool) -> None:
    """The same for one that served before, and was built again with its services."""
    every = [definition_back.request_of(each, is_new=True) for each in coming.services]

    def serve() -> None:
        result = definition_generation.restore_namespace(coming, check=check)
        done = [each for each in result.actions if not actions.only_records(each)]
        outcome.note(done, *differing(result.before, result.after))
        for each in every:
            definition_services.bring(each, outcome, check=check)

    wanted = _Wanted(
        coming.root,
        [each.spec for each in every],
        {each.dest for each in coming.definition.files},
    )
    _switch(wanted, outcome, serve, check=check)


class _Wanted(t.NamedTuple):
    """What is to serve."""

    root: OwnRoot
    services: t.Sequence[ServiceSpec]
    # The paths of its files.
    files: t.Container[str]

    def surplus(self, name: str) -> list[str]:
        """The services that are there, and are not to be any more."""
        stay = {each.name for each in self.services}
        return [each for each in service_names.known(name) if each not in stay]


def _switch(wanted: _Wanted, outcome: Outcome, serve: t.Callable[[], None], *, check: bool) -> None:
    name, number = outcome.name, wanted.root.generation
    step = f"switch {name} to generation {number}"
    surplus = wanted.surplus(name)
    if check:
        outcome.note([step])
        _say(wanted, outcome, serve)
        return
    instance.wait(name)
    if instance.is_down(name):
        # With the lock held its unit, which the services need, would wait for us.
        instance.start([name])
    with namespace_state.locked(name, check=False, timeout=_PATIENCE):
        found = generations.load(name)
        there = definitions.load(name)
        coming = found.next
        was = found.of(generations.number_of(there))
        is_other = was is None or was.definition.all_steps != (there and there.all_steps)
        if coming is None or coming.number != number or there is None or is_other:
            raise Refused(
                f"generation {number} of {name} is gone: another run has changed the namespace",
                "Run the task again.",
            )
        found = found._replace(switching_from=generations.number_of(there))
        actions.run("note what is to serve", lambda: generations.save(name, found))
        try:
            actions.run(step, lambda: _put(name, coming, wanted.services))
            outcome.note([step])
            for each in surplus:
                definition_services.stop(name, each, outcome, check=False, timeout=_PATIENCE)
            serve()
        except BaseException as error:
            _go_back(name, number, found, error)
            raise
        for each in surplus:
            definition_services.remove(name, each, outcome, check=False, timeout=_PATIENCE)
        _settle(wanted, outcome, there)


def _say(wanted: _Wanted, outcome: Outcome, serve: t.Callable[[], None]) -> None:
    """What is done once the next one has the name, for check mode."""
    name, going = outcome.name, Outcome(outcome.name)
    for each in wanted.surplus(name):
        definition_services.stop(name, each, outcome, check=True, timeout=_PATIENCE)
        definition_services.remove(name, each, going, check=True, timeout=_PATIENCE)
    serve()
    said = [each for each in going.actions if each not in outcome.actions]
    outcome.note(said, going.before, going.after)
    there = t.cast(Definition, definitions.load(name))
    root, served = wanted.root, Generation(there)
    outcome.note(run_all(definition_files.removing(root.home, wanted.files, there), check=True))
    found = generations.load(name).with_before(served)
    outcome.note(run_all(definition_generation.trimming(name, root, found), check=True))


def _put(name: str, coming: Generation, services: t.Sequence[ServiceSpec]) -> None:
    definition = coming.definition
    with host_paths.as_next(name):
        built = t.cast(Definition, definitions.load(name))
        definition = definition.replace(pivoted=built.pivoted)
        definitions.save_state(definition)
        for spec in services:
            # Who connects by a path finds it there at once, whoever listens by then.
            socket_files.attach(spec)
    exchange.carry_over(name)
    exchange.put(name)
    instance.keep(definition)


def _go_back(name: str, number: int, found: Generations, error: BaseException) -> None:
    why = error.reason if isinstance(error, (Refused, StepFailed)) else str(error)
    actions.undo(error, [definition_back.going_back(name, found, why).apply])
    if isinstance(error, StepFailed):
        serves = generations.number_of(definitions.load(name))
        if serves == found.switching_from:
            error.hint = (
                f"{error.hint} Generation {serves} of {name} serves again, not {number}."
            ).strip()


def _settle(wanted: _Wanted, outcome: Outcome, there: Definition) -> None:
    """It serves. What only the one before needed goes, once nothing lives in it any more."""
    name, root = outcome.name, wanted.root
    found, number = generations.load(name), root.generation
    actions.run(
        "note what serves",
        lambda: generations.save(
            name, found._replace(before=found.but(number), next=None, switching_from=0, failed="")
        ),
    )
    definition_back.follow(there, outcome)
    living = exchange.living(name)
    if living and "pid" in there.properties.kinds:
        outcome.warnings.append(
            f"processes live on in the generation before: {', '.join(map(str, living))}; it ends"
            " with the first run after they have"
        )
    else:
        exchange.discard(name)
    outcome.note(run_all(definition_files.removing(root.home, wanted.files, there), check=False))
    found = generations.load(name)
    outcome.note(run_all(definition_generation.trimming(name, root, found), check=False))
