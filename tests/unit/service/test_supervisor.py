# SPDX-License-Identifier: GPL-3.0-or-later
"""Which supervisor a service has, and what is done by any of them."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.actions import Action
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.service import (
    Ready,
    Reload,
    ServiceSpec,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.program import Program
from ansible_collections.linux.namespaces.plugins.module_utils._core.service import supervisor
from ansible_collections.linux.namespaces.plugins.module_utils._core.service.model import (
    Observed,
    ServiceRequest,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.service.plain import Plain
from ansible_collections.linux.namespaces.plugins.module_utils._core.service.supervisor import (
    Supervisor,
)

SPEC = ServiceSpec("web", "idle", Program(["/bin/idle"]))
ABSENT = Observed(
    is_known=False,
    pid=None,
    runs=False,
    lives=False,
    is_outdated=False,
    leaves=False,
    facts={},
    shown={},
)
STOPPED = dataclasses.replace(ABSENT, is_known=True, leaves=True)
STARTED = dataclasses.replace(STOPPED, pid=7, runs=True, lives=True)
OUTDATED = dataclasses.replace(STARTED, is_outdated=True)
# The program has ended, or crashed: something that it started has not.
LEFT = dataclasses.replace(STOPPED, lives=True)
LOG_ALONE = dataclasses.replace(ABSENT, leaves=True)


class Here:
    """A supervisor that any host has. It acts on nothing."""

    needs_nsctl: t.ClassVar[bool] = False
    holds_sockets = False

    def __init__(self, request: ServiceRequest) -> None:
        self.request = request

    @staticmethod
    def runs_here() -> bool:
        return True

    def check(self) -> None: ...
    def start(self) -> None: ...
    def restart(self) -> None: ...
    def stop(self) -> None: ...
    def reload(self) -> None: ...
    def remove(self) -> None: ...

    def look(self) -> Observed:
        return ABSENT

    def predicted(self) -> dict[str, t.Any]:
        return {}

    def adjust(self, runs_on: bool, /) -> list[Action]:
        return [Action("adjust what runs on" if runs_on else "adjust", lambda: None)]


class Holds(Here):
    """One that holds the sockets that the program is to have."""

    holds_sockets = True


class Elsewhere(Here):
    """One that this host does not have."""

    @staticmethod
    def runs_here() -> bool:
        return False


def chosen(name: str, among: dict[str, type[Supervisor]]) -> type:
    return supervisor.chosen(name, among)


def test_the_first_that_runs_here_is_chosen() -> None:
    assert chosen("auto", {"a": Elsewhere, "b": Here, "c": Plain}) is Here
    assert chosen("auto", {"a": Plain, "b": Here}) is Plain


def test_one_that_is_named_is_taken() -> None:
    assert chosen("c", {"a": Here, "c": Plain}) is Plain
    # It says itself why it cannot be had.
    assert chosen("a", {"a": Elsewhere, "c": Plain}) is Elsewhere


def test_the_table() -> None:
    assert list(supervisor.SUPERVISORS) == ["systemd", "none"]
    assert supervisor.SUPERVISORS["none"].runs_here()


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (ServiceRequest(SPEC, enabled=True), "without systemd nothing can be enabled"),
        (
            ServiceRequest(dataclasses.replace(SPEC, ready=Ready(notify=True))),
            "without systemd there is nobody to notify",
        ),
    ],
)
def test_what_takes_systemd(request_: ServiceRequest, reason: str) -> None:
    Plain(ServiceRequest(SPEC, enabled=False)).check()
    with pytest.raises(Refused) as caught:
        Plain(request_).check()
    assert (caught.value.reason, bool(caught.value.hint)) == (reason, True)


PLANS: list[tuple[str, Observed, list[str]]] = [
    ("started", ABSENT, ["adjust", "start"]),
    ("started", STOPPED, ["adjust", "start"]),
    ("started", STARTED, ["adjust what runs on"]),
    ("started", OUTDATED, ["stop", "adjust", "start"]),
    ("started", LEFT, ["stop", "adjust", "start"]),
    ("restarted", ABSENT, ["adjust", "start"]),
    ("restarted", STOPPED, ["adjust", "start"]),
    ("restarted", STARTED, ["stop", "adjust", "start"]),
    ("reloaded", STOPPED, ["adjust", "start"]),
    ("reloaded", STARTED, ["adjust what runs on", "reload"]),
    ("reloaded", OUTDATED, ["stop", "adjust", "start"]),
    ("stopped", ABSENT, ["adjust"]),
    ("stopped", STOPPED, ["adjust"]),
    ("stopped", STARTED, ["stop", "adjust"]),
    ("stopped", LEFT, ["stop", "adjust"]),
    ("absent", ABSENT, []),
    ("absent", LOG_ALONE, ["remove"]),
    ("absent", STOPPED, ["remove"]),
    ("absent", STARTED, ["stop", "remove"]),
    ("absent", LEFT, ["stop", "remove"]),
]


@pytest.mark.parametrize(("state", "seen", "expected"), PLANS)
def test_the_plan(state: str, seen: Observed, expected: list[str]) -> None:
    request = ServiceRequest(SPEC, state=state)
    planned = [action.name for action in supervisor.plan(request, Here(request), seen)]
    adjusting = ("adjust", "adjust what runs on")
    assert planned == [name if name in adjusting else f"{name} service idle" for name in expected]


OF_SOCKETS: list[tuple[str, Observed, list[str]]] = [
    ("started", STARTED, ["adjust what runs on"]),
    # All is written before anything could start it.
    ("started", OUTDATED, ["adjust", "restart"]),
    ("started", LEFT, ["adjust", "start"]),
    ("restarted", STARTED, ["adjust", "restart"]),
    ("reloaded", STARTED, ["adjust what runs on", "reload"]),
    ("reloaded", OUTDATED, ["adjust", "restart"]),
    ("stopped", STARTED, ["stop", "adjust"]),
    ("stopped", LEFT, ["stop", "adjust"]),
    ("absent", LEFT, ["stop", "remove"]),
]


@pytest.mark.parametrize(("state", "seen", "expected"), OF_SOCKETS)
def test_the_plan_where_the_sockets_stay_open(
    state: str, seen: Observed, expected: list[str]
) -> None:
    request = ServiceRequest(SPEC, state=state)
    planned = [action.name for action in supervisor.plan(request, Holds(request), seen)]
    adjusting = ("adjust", "adjust what runs on")
    assert planned == [name if name in adjusting else f"{name} service idle" for name in expected]


def test_states() -> None:
    seen = {"absent": (ABSENT, LOG_ALONE), "stopped": (STOPPED, LEFT), "started": (STARTED,)}
    for state, every in seen.items():
        assert {each.state for each in every} == {state}


def test_a_task_without_argv_keeps_what_is_known() -> None:
    known = ServiceSpec(
        "web",
        "idle",
        Program(["/bin/known"], user="nobody"),
        kinds=("net",),
        reload=Reload(signal="USR1"),
        stop_signal="QUIT",
        stop_timeout=3,
        ready=Ready(port=80),
    )
    silent = ServiceSpec("web", "idle", Program([]))
    assert ServiceRequest(silent, gives_program=False).spec_over(known) == known
    says = dataclasses.replace(silent, reload=Reload(argv=("/bin/re",)), stop_signal="INT")
    changed = dataclasses.replace(known, reload=Reload(argv=("/bin/re",)), stop_signal="INT")
    assert ServiceRequest(says, gives_program=False).spec_over(known) == changed
    # With argv it is all that is said.
    assert ServiceRequest(SPEC).spec_over(known) == SPEC
    with pytest.raises(Refused, match="service idle is not known, so argv is needed"):
        ServiceRequest(silent, gives_program=False).spec_over(None)


def test_an_empty_argv_is_no_program() -> None:
    empty = dataclasses.replace(SPEC, program=Program([]))
    assert ServiceRequest(empty, gives_program=False).checked()
    with pytest.raises(Refused, match="argv names no program"):
        ServiceRequest(empty).checked()
