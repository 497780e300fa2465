# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_service does: bring a service into its state, by one of the supervisors.

A supervisor is a class in a file of its own, and a row of the table here.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import types
import typing as t

from ..actions import Action, run_all
from ..definition import service_words
from ..definition.service import ServiceSpec
from ..install import host_command, instance
from ..namespace import lock, pins
from ..namespace.target import Target
from ..process.program import Program
from .model import Observed, ServiceRequest, ServiceResult, fields_shown
from .plain import Plain
from .systemd import Systemd


class Supervisor(t.Protocol):
    """A way to keep a program running. It is made for one request.

    look() comes before all that follows it here, which acts on what was seen last.
    """

    # Whether nsctl has to be on the host for as long as it has services.
    needs_nsctl: t.ClassVar[bool]

    def __init__(self, request: ServiceRequest) -> None: ...

    @staticmethod
    def runs_here() -> bool:
        """Whether this host can have it."""

    def check(self) -> None:
        """Raises Refused for a request that it cannot carry out."""

    def look(self) -> Observed:
        """The service as it is."""

    def look_removed(self) -> Observed:
        """The service as it is once all of it was removed; in place of look()."""

    def predicted(self) -> tuple[ServiceSpec | None, t.Mapping[str, t.Any]]:
        """What Observed.spec and shown will be when the request has been carried out."""

    def adjust(self, runs_on: bool, /) -> list[Action]:
        """What is left to do until all is as requested but for what runs.

        ``runs_on`` says that the program is neither ended nor started for the request.
        """

    @property
    def holds_sockets(self) -> bool:
        """Whether somebody else than the program holds all sockets that it is to have: see restart()."""

    def start(self) -> None:
        """Start the program and wait until it is up. Raises Refused with what it wrote."""

    def restart(self) -> None:
        """End it and start it in one go, without its sockets being closed; the rest as start()."""

    def stop(self) -> None:
        """End all that lives of it."""

    def reload(self) -> None:
        """Have the program read its configuration again. Raises Refused where that failed."""

    def remove(self) -> None:
        """Remove all that is known of it and all that it wrote. Nothing of it lives."""


# By the names that tasks have for them.
SUPERVISORS: dict[str, type[Supervisor]] = dict(zip(service_words.SUPERVISORS, (Systemd, Plain)))


def run(
    request: ServiceRequest, nsctl: types.ModuleType | None, *, check: bool, host_too: bool = True
) -> ServiceResult:
    """Bring the service into its state; in check mode only say how.

    ``nsctl`` is the package that host_command.present() installs, None where the host has it; without
    ``host_too`` the caller says so, and removes it. Raises Refused before anything was changed, StepFailed
    for the action that failed.
    """
    request = request.checked()
    pins.check_rights()
    kind = chosen(request.supervisor, SUPERVISORS)
    others = {
        name: other(dataclasses.replace(request, state="absent"))
        for name, other in SUPERVISORS.items()
        if other is not kind
    }
    if request.is_to_run:
        request = _with_program_of(others.values(), request, kind(request))
    supervisor = kind(request)
    supervisor.check()
    if request.is_to_run:
        wanted = request.spec_over(supervisor.look().spec)  # says that argv is needed
        if not check:
            instance.wait(request.spec.namespace)
            with Target(namespace=request.spec.namespace).open() as handles:  # or it does not exist
                wanted.check_places(handles.kinds)
    done = []
    # One that is stopped may be started by a socket, or at boot.
    is_to_be_there = request.is_to_run or (request.state == "stopped" and request.gives_program)
    if is_to_be_there and supervisor.needs_nsctl:
        # Before the lock is taken: the unit of the namespace, which its services need, takes it too.
        if nsctl is not None and (host_too or not check):
            done += host_command.present(nsctl, check=check)
        if request.is_to_run and not check and instance.is_down(request.spec.namespace):
            instance.start([request.spec.namespace])
    with _locked(request, supervisor, others, check=check):
        seen, elsewhere = supervisor.look(), _looked_at(others)
        before = _known([seen, *elsewhere.values()])
        moves = _plan_of_others(request, kind, others, elsewhere)
        changes = [*moves, *plan(request, supervisor, seen)]
        done += run_all(changes, check=check)
    if host_too and not is_to_be_there and not check and changes:
        done += host_command.absent(check=False)
    after = before
    if done and not check:
        after = _known([supervisor.look(), *_looked_at(others).values()])
    state, spec, more = after.state, after.spec, after.shown
    if done and check:
        state = "started" if request.is_to_run else request.state
        if state != "stopped" or before is seen:
            spec, more = supervisor.predicted()
    return ServiceResult(
        done,
        _shown(before.state, before.shown, fields_shown(before.spec)),
        _shown(state, more, fields_shown(spec, before.spec)),
        _described(request, after),
    )


def finish_start(request: ServiceRequest) -> None:
    """Wait until the service is up that systemd has started with another one. Raises StepFailed."""
    supervisor = chosen(request.supervisor, SUPERVISORS)(request)
    with lock.held(request.spec.namespace, timeout=request.lock_timeout):
        supervisor.look()
        run_all([Action(f"start service {request.spec.name}", supervisor.start)], check=False)


def write(request: ServiceRequest) -> None:
    """Have all as requested but for what runs, which is left to who comes afterwards. Raises StepFailed."""
    supervisor = chosen(request.supervisor, SUPERVISORS)(request)
    supervisor.look()
    run_all(supervisor.adjust(False), check=False)


def planned(request: ServiceRequest, *, is_removed: bool) -> ServiceResult:
    """What run() would do, for a namespace or a program that may be still to come.

    A service that ``is_removed`` has been taken away until then. Raises Refused.
    """
    supervisor = chosen(request.supervisor, SUPERVISORS)(request)
    seen = supervisor.look_removed() if is_removed else supervisor.look()
    actions = [each.name for each in plan(request, supervisor, seen)]
    spec, more = supervisor.predicted()
    return ServiceResult(
        actions,
        _shown(seen.state, seen.shown, fields_shown(seen.spec)),
        _shown("started" if request.is_to_run else request.state, more, fields_shown(spec)),
        {},
    )


def known(namespace: str, name: str) -> tuple[str, Observed]:
    """The name of the supervisor that has the service, and what that sees of it.

    Raises Refused where its note is damaged, and OSError.
    """
    kind, _supervisor, seen = _having(_any_state(namespace, name))
    return kind if seen.is_known else "auto", seen


def look_at(namespace: str, name: str) -> tuple[dict[str, t.Any], list[str]]:
    """The service as results of ns_service show it, whichever supervisor has it; and what it lacks.

    That is what has to be done to have one that is enabled, or runs, run as its files say. Raises Refused
    where its note is damaged, and OSError.
    """
    request = _any_state(namespace, name)
    kind, supervisor, seen = _having(request)
    described = {**_described(request, seen), "supervisor": kind if seen.is_known else None}
    if not seen.is_known or not (seen.runs or seen.facts.get("enabled")):
        return described, []
    return described, [each.name for each in plan(request, supervisor, seen)]


def _any_state(namespace: str, name: str) -> ServiceRequest:
    """The request for a service of which nothing is known yet: that it runs as it is known to."""
    return ServiceRequest(ServiceSpec(namespace, name, Program(())), gives_program=False)


def _having(request: ServiceRequest) -> tuple[str, Supervisor, Observed]:
    """The supervisor that has the service, with its name and what it sees; `none` where nobody has."""
    every = {name: kind(request) for name, kind in SUPERVISORS.items()}
    seen = {name: supervisor.look() for name, supervisor in every.items()}
    own = next((name for name, found in seen.items() if found.is_known), "none")
    return own, every[own], seen[own]


def chosen(name: str, among: t.Mapping[str, type[Supervisor]]) -> type[Supervisor]:
    """The supervisor of that name; `auto` is the first that runs here. Pure but for that."""
    if name == "auto":
        return next(each for each in among.values() if each.runs_here())
    return among[name]


def _locked(
    request: ServiceRequest,
    supervisor: Supervisor,
    others: t.Mapping[str, Supervisor],
    *,
    check: bool,
) -> t.ContextManager[None]:
    """The lock of the namespace; without a namespace only where something is left to remove."""
    name = request.spec.namespace
    if check or not (
        pins.pinned(name)
        or plan(request, supervisor, supervisor.look())
        or _plan_of_others(request, type(supervisor), others, _looked_at(others))
    ):
        return contextlib.nullcontext()
    return lock.held(name, timeout=request.lock_timeout)


def _with_program_of(
    others: t.Iterable[Supervisor], request: ServiceRequest, supervisor: Supervisor
) -> ServiceRequest:
    """The request, with the program that another supervisor has, where nobody else says what it is."""
    if request.gives_program or supervisor.look().spec is not None:
        return request
    for each in others:
        spec = each.look().spec
        if spec is not None:
            return dataclasses.replace(request, spec=request.spec_over(spec), gives_program=True)
    return request


def _looked_at(others: t.Mapping[str, Supervisor]) -> dict[str, Observed]:
    return {name: other.look() for name, other in others.items()}


def _plan_of_others(
    request: ServiceRequest,
    kind: type[Supervisor],
    others: t.Mapping[str, Supervisor],
    elsewhere: t.Mapping[str, Observed],
) -> list[Action]:
    """What is to be done with what other supervisors have of the service, before all else.

    One that is stopped stays theirs: it is moved when it is started.
    """
    title, planned = f"service {request.spec.name}", []
    own = next(name for name, each in SUPERVISORS.items() if each is kind)
    for name, other in others.items():
        seen = elsewhere[name]
        if seen.lives:
            planned.append(Action(f"stop {title}", other.stop))
        if request.state == "absent" and seen.leaves:
            planned.append(Action(f"remove {title}", other.remove))
        if request.is_to_run and (seen.is_known or seen.lives):
            step = f"move {title} from supervisor {name} to {own}"
            planned.append(Action(step, other.remove))
    return planned


def _known(seen: t.Sequence[Observed]) -> Observed:
    """The first that is known, else the first."""
    return next((each for each in seen if each.is_known), seen[0])


def plan(request: ServiceRequest, supervisor: Supervisor, seen: Observed) -> list[Action]:
    """What is to be done, by what was seen."""
    title = f"service {request.spec.name}"
    stop = [Action(f"stop {title}", supervisor.stop)] if seen.lives else []
    if request.state == "absent":
        return [*stop, Action(f"remove {title}", supervisor.remove)] if seen.leaves else stop
    ends = not seen.runs or seen.is_outdated or request.state in ("stopped", "restarted")
    if ends and request.is_to_run and supervisor.holds_sockets:
        # Somebody may connect at any moment, and so have the program started: all that it is made of
        # is written before. That what runs is not of it yet is noted (service_outdated.py).
        come = Action(f"restart {title}", supervisor.restart)
        if not seen.runs:
            come = Action(f"start {title}", supervisor.start)
        return [*supervisor.adjust(False), come]
    # First of all: a run that is killed after it wrote what is new would leave the old program
    # running, and nothing that tells so.
    planned = [*(stop if ends else []), *supervisor.adjust(not ends)]
    if not request.is_to_run:
        return planned
    if ends:
        return [*planned, Action(f"start {title}", supervisor.start)]
    if request.state == "reloaded":
        return [*planned, Action(f"reload {title}", supervisor.reload)]
    return planned


def _shown(state: str, *more: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    found = {"state": state}
    for each in more:
        found.update(each)
    return found


def _described(request: ServiceRequest, seen: Observed) -> dict[str, t.Any]:
    """The service as results show it."""
    spec = request.spec
    return {
        "name": spec.name,
        "namespace": spec.namespace,
        "state": seen.state,
        "pid": seen.pid,
        **seen.facts,
    }
