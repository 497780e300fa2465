# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_definition does with many named namespaces: each by itself, several at once.

Where one needs what another makes they are worked on one after the other: see definition_order.py.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import types
import typing as t

from .. import host_paths
from ..actions import undo
from ..definition import file as definitions
from ..errors import LOOKING, Refused, StepFailed, defect
from ..exhaustion import explain
from ..install import host_command, instance
from ..namespace import pins
from ..process import pool
from . import definition_order, definition_unchanged, namespace_state
from .definition_request import DefinitionRequest, How, Outcome

_LINES = "lines of a diff"


@dataclasses.dataclass
class Result:
    """What became of one namespace."""

    outcome: Outcome
    # Why it failed, as in the results of modules; empty where it did not.
    failure: dict[str, t.Any] = dataclasses.field(default_factory=dict)


class Wish(t.NamedTuple):
    """What is to become of the named namespaces of a host."""

    # Those that are named.
    requests: t.Sequence[DefinitionRequest]
    # One of STATES.
    state: str = "present"
    # Whether those that are not named are removed.
    exclusive: bool = False
    # In seconds.
    lock_timeout: float = 60.0


def run(wish: Wish, how: How, nsctl: types.ModuleType) -> tuple[list[Result], list[str]]:
    """Bring the namespaces into the state; in check mode only say how.

    What became of each, and what was done with the host for all of them. Raises Refused, StepFailed where
    that failed.
    """
    pins.check_rights()
    requests = wish.requests
    results = [Result(Outcome(request.name)) for request in requests]
    before = definition_order.before(requests, wish.state)
    groups = every = definition_order.grouped(requests, before)
    if wish.state == "present":
        if how.check:
            requests = definition_order.with_those_that_let_go(requests, before)
        definition_order.check_shares(requests)
        definition_order.check_links(requests)
        unchanged = definition_unchanged.among(requests)
        groups = definition_order.with_changed_owners(requests, groups, unchanged)
    else:
        how = how._replace(going=frozenset(request.name for request in requests))
    with _host_seen(requests, groups, wish.state):
        _work(results, groups, lambda: _STATES[wish.state](requests, how, wish), check=how.check)
    others = _others(wish)
    ended = [Result(Outcome(name)) for name in others]
    last = how._replace(going=frozenset(others))
    order = definition_order.ended(others)
    _work(ended, order, lambda: _end(others, last, wish), check=how.check)
    host = _settle_host(wish, results, ended, how, nsctl)
    if wish.state == "present":
        wanted = [
            each
            for each, request in enumerate(requests)
            if request.services or results[each].outcome.generation
        ]
        left = [[each for each in group if each in wanted] for group in every]
        _work(
            results,
            [group for group in left if group],
            lambda: _serve(requests, results, how, nsctl),
            check=how.check,
        )
        if not how.check and any(result.failure for result in results):
            # What was installed for one that was taken back may be nobody's now.
            gone = host_command.absent(check=False)
            host = [each for each in host if not gone]
    for result in (*results, *ended):
        result.outcome.actions = [each for each in result.outcome.actions if each not in host]
    return [*results, *ended], host


def _host_seen(
    requests: t.Sequence[DefinitionRequest], groups: t.Sequence[t.Sequence[int]], state: str
) -> t.ContextManager[None]:
    """A block in which those that are to have interfaces look at the host once for all of them."""
    worked_on = [requests[each] for group in groups for each in group]
    if state != "present" or not any(request.namespace.links for request in worked_on):
        return contextlib.nullcontext()
    # For what most do not have.
    from . import link_actions

    return link_actions.host_seen()


def _others(wish: Wish) -> list[str]:
    if not wish.exclusive:
        return []
    named = {request.name for request in wish.requests}
    return [name for name in namespace_state.known_names() if name not in named]


def _packed(result: Result) -> dict[str, t.Any]:
    """The result in JSON, in which a tuple is a list: those of a diff, which are lines, are told apart."""
    found = dataclasses.asdict(result)
    for side in ("before", "after"):
        for key, value in found["outcome"][side].items():
            if isinstance(value, tuple):
                found["outcome"][side][key] = {_LINES: list(value)}
    return found


def _unpacked(data: dict[str, t.Any]) -> Result:
    outcome = data["outcome"]
    for side in ("before", "after"):
        for key, value in outcome[side].items():
            if isinstance(value, dict) and [*value] == [_LINES]:
                outcome[side][key] = tuple(value[_LINES])
    return Result(Outcome(**outcome), data["failure"])


def _work(
    results: list[Result],
    groups: t.Sequence[t.Sequence[int]],
    load: t.Callable[[], _Do],
    *,
    check: bool,
) -> None:
    """Have the results of these, those of a group one after the other, and several groups at once.

    What does it is loaded only where there is any: that takes as long as to see that there is none. And it
    is loaded here, before there are processes of which each would.
    """
    groups = [group for group in groups if group]
    if not groups:
        return
    do = load()

    def work(number: int) -> list[dict[str, t.Any]]:
        found = []
        with contextlib.ExitStack() as stack:
            for each in groups[number]:
                result = do(each)
                found.append(_packed(result))
                if check and result.outcome.is_anew:
                    # Who shares of it would have to do so anew.
                    stack.enter_context(host_paths.as_if_removed(result.outcome.name))
        return found

    for group, answer in zip(groups, pool.run(len(groups), work)):
        for position, each in enumerate(group):
            if answer is None:
                results[each].failure = {
                    "reason": "its process was killed before it had ended",
                    "hint": "Run the task again.",
                }
            else:
                results[each] = _unpacked(answer[position])


def _caught(name: str, do: t.Callable[[], Outcome]) -> Result:
    try:
        return Result(do())
    except Exception as error:
        return Result(Outcome(name), failure_of(error))


def _present(requests: t.Sequence[DefinitionRequest], how: How, _wish: Wish) -> _Do:
    from . import definition

    def bring(each: int) -> Result:
        request = requests[each]
        return _caught(request.name, lambda: definition.run(request, how))

    return bring


def _absent(requests: t.Sequence[DefinitionRequest], how: How, wish: Wish) -> _Do:
    from . import definition_end

    def remove(each: int) -> Result:
        name, home = requests[each].name, requests[each].home
        timeout = wish.lock_timeout
        return _caught(
            name, lambda: definition_end.absent(name, how, home=home, lock_timeout=timeout)
        )

    return remove


def _end(names: t.Sequence[str], how: How, wish: Wish) -> _Do:
    from . import definition_end

    def remove(each: int) -> Result:
        name, timeout = names[each], wish.lock_timeout
        return _caught(name, lambda: definition_end.absent(name, how, lock_timeout=timeout))

    return remove


def _up(requests: t.Sequence[DefinitionRequest], how: How, wish: Wish) -> _Do:
    from . import definition_before_up, restore

    def bring(name: str) -> Outcome:
        outcome = Outcome(name)
        warn = outcome.warnings.append
        if how.check:
            done = restore.planned(name, warn=warn, others=how.going)
        else:
            done = definition_before_up.settle(name, timeout=wish.lock_timeout)
            done += restore.up(name, timeout=wish.lock_timeout, warn=warn)
        state = {f"state of {name}": "down"}
        outcome.note(done, state if done else {}, dict.fromkeys(state, "up") if done else {})
        return outcome

    return lambda each: _caught(requests[each].name, lambda: bring(requests[each].name))


def _down(requests: t.Sequence[DefinitionRequest], how: How, wish: Wish) -> _Do:
    from . import definition_end

    def take(each: int) -> Result:
        name, timeout = requests[each].name, wish.lock_timeout
        return _caught(name, lambda: definition_end.down(name, how, lock_timeout=timeout))

    return take


# What has the result of a request, by its index.
def _rolled_back(requests: t.Sequence[DefinitionRequest], how: How, wish: Wish) -> _Do:
    from . import definition_rollback

    def bring(each: int) -> Result:
        name, timeout = requests[each].name, wish.lock_timeout
        return _caught(name, lambda: definition_rollback.run(name, how, lock_timeout=timeout))

    return bring


_Do = t.Callable[[int], Result]
_STATES: dict[str, t.Callable[[t.Sequence[DefinitionRequest], How, Wish], _Do]] = {
    "present": _present,
    "absent": _absent,
    "up": _up,
    "down": _down,
    "rolled_back": _rolled_back,
}
STATES = tuple(_STATES)


def _serve(
    requests: t.Sequence[DefinitionRequest],
    results: t.Sequence[Result],
    how: How,
    nsctl: types.ModuleType,
) -> _Do:
    from . import definition_services

    def serve(each: int) -> Result:
        request, result = requests[each], results[each]
        outcome = result.outcome
        if result.failure:
            return result
        try:
            if outcome.generation:
                from . import definition_switch  # for who gets another root

                definition_switch.switch(request, outcome, check=how.check)
            else:
                definition_services.have(request, outcome, nsctl, check=how.check)
            return result
        except Exception as error:
            if outcome.is_new and not how.check:
                from . import definition  # which has made it

                done = outcome
                undo(error, [lambda: definition.discard(request, done)])
                outcome = Outcome(request.name, warnings=outcome.warnings)
            return Result(outcome, failure_of(error))

    return serve


def failure_of(error: Exception) -> dict[str, t.Any]:
    """The failure as data: what the results of modules have of it."""
    if isinstance(error, Refused):
        return {"reason": error.reason, "hint": error.hint, **error.facts}
    if isinstance(error, StepFailed):
        return {"step": error.step, "reason": error.reason, "hint": error.hint, **error.facts}
    if isinstance(error, OSError):
        reason, hint = explain(error)
        return {"step": LOOKING, "reason": reason or str(error), "hint": hint}
    return {"reason": defect(error), "hint": ""}


def _settle_host(
    wish: Wish,
    results: t.Sequence[Result],
    ended: t.Sequence[Result],
    how: How,
    nsctl: types.ModuleType,
) -> list[str]:
    """Have nsctl, and the units that bring them up at boot, once for all of them."""
    done = [
        request
        for request, result in zip(wish.requests, results)
        if wish.state == "present" and not result.failure
    ]
    lasting = [request.name for request in done if request.namespace.persistent]
    going = [*ended, *(results if wish.state == "absent" else ())]
    gone = [each.outcome.name for each in going if not each.failure]
    if lasting or any(request.services for request in done):
        return host_command.present(nsctl, lasting, check=how.check, alone=True, without=gone)
    if wish.state == "rolled_back":
        names = [each.outcome.name for each in results if not each.failure]
        lasting = [name for name in names if definitions.has_record(name)]
        return host_command.present(nsctl, lasting, check=how.check) if lasting else []
    if wish.state in ("up", "down"):
        if wish.state == "up" and not how.check:
            instance.start([each.outcome.name for each in results if not each.failure])
        return []
    return host_command.absent(check=how.check, without=gone)
