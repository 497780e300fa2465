# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl up and down: bring named namespaces up from their definitions, and take them down.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import math
import os
import typing as t

from .. import host_paths
from ..actions import Step
from ..definition import file as definitions
from ..errors import LOOKING, Refused, StepFailed, defect, in_words, sentence
from ..install import instance
from ..operations import definition_before_up, namespace_removal, namespace_share, restore
from ..process import pool
from ..storage import lock
from . import FAILED, complain, remark, say, say_data
from .arguments import CHECK, JSON, Given, Option, Verb, WrongUsage, seconds

UP = Verb(
    "up",
    "make named namespaces what their definitions say",
    operands="NAME... | --all",
    text="""\
Creates what is missing, with its interfaces, and takes the recorded steps
in their order: mounts, root file systems unpacked again from their
archives, pivots. What is there already stays; what differs is mended. Those
come first of which it shares kinds, or that have the other end of an
interface; and the interfaces of the host that ns_link has made. A mount
with noauto is left out, and one with nofail whose source does not exist. A
namespace that fails does not keep the others from coming up. Why it failed
is printed, and kept for `nsctl list` and `nsctl show`. With --all or
--timeout several are brought up at the same time. Where another run changes
a namespace, nsctl waits for up to a minute, and says for whom.
""",
    options=(
        Option("all", "", "All that have a definition."),
        CHECK,
        Option(
            "timeout",
            "SECONDS",
            (
                "Give up on a namespace that is not up by then: after 300 seconds\n"
                "with --all, never (0) with names."
            ),
        ),
        JSON,
    ),
    form="A list of dictionaries: name, actions, failure (empty for none).",
    exits="0 when all are up, 1 when one failed, 2 for wrong usage.",
)

DOWN = Verb(
    "down",
    "take named namespaces down",
    operands="NAME... | --all",
    text="""\
Removes the pins, so that the namespaces and all that is mounted in them
end. Their definitions stay, and `nsctl up` brings them back; what was
mounted or changed without being recorded does not come back. Fails where
processes live inside, where there is no definition, and while others that
are up share a kind of it. Of several names those that share go first.
""",
    options=(
        Option("all", "", "All that have a definition."),
        CHECK,
        Option(
            "force",
            "",
            (
                "End the services of systemd as they want to end, and kill all\n"
                "other processes inside."
            ),
        ),
        JSON,
    ),
    form="A list of dictionaries: name, actions, failure (empty for none).",
    exits="0 when all are down, 1 when one failed, 2 for wrong usage.",
)

_LOCK_TIMEOUT = 60.0
# As long as systemd gives a service by default, and more: an archive may have to be unpacked.
_LIMIT = 300.0


class Result(t.NamedTuple):
    """What became of a namespace."""

    name: str
    # The steps taken, or with --check to be taken.
    actions: t.Sequence[str] = ()
    # Why it failed, in a sentence; empty where it did not.
    failure: str = ""


def run(verb: str, given: Given) -> int:
    """The verbs. Raises WrongUsage."""
    lock.announce = functools.partial(remark, verb)
    if verb == "up":
        # A single name is waited for by somebody, who can end it.
        limit = seconds(given.last("timeout") or (str(_LIMIT) if "all" in given.switches else "0"))
        chosen = _chosen(given)
        needs = {name: namespace_share.shared_by(name) for name in chosen}
        order = namespace_share.in_order(chosen, needs)
        results = _up(order, limit=limit, check="check" in given.switches)
        by_name = {result.name: result for result in results}
        results = [by_name[name] for name in chosen]
        if "check" not in given.switches:
            instance.start([result.name for result in results if not result.failure])
    else:
        chosen = _chosen(given)
        take_down = functools.partial(
            namespace_removal.down,
            check="check" in given.switches,
            force="force" in given.switches,
            timeout=_LOCK_TIMEOUT,
            going=chosen,
        )
        order = namespace_share.in_order(chosen, namespace_share.removal_order(chosen))
        done = {name: _attempt(name, take_down) for name in order}
        results = [done[name] for name in chosen]
    _say(results, verb, given)
    return FAILED if any(result.failure for result in results) else 0


def _chosen(given: Given) -> list[str]:
    if ("all" in given.switches) == bool(given.operands):
        raise WrongUsage("name namespaces, or say --all")
    return given.operands or definitions.names()


def _up(names: t.Sequence[str], *, limit: float, check: bool) -> list[Result]:
    """Bring them up; ``limit`` is in seconds, 0 for none."""

    def bring(name: str) -> list[str]:
        def warn(text: str) -> None:
            remark("up", f"{name}: {text}")

        if check:
            return restore.planned(name, warn=warn, others=names)
        back = definition_before_up.settle(name, timeout=_LOCK_TIMEOUT)
        return back + restore.up(name, timeout=_LOCK_TIMEOUT, warn=warn)

    if host_paths.BY_UNIT in os.environ:
        limit = math.inf  # it is the unit's, whose SIGTERM says that it is over
    if not limit:
        return [_attempt(name, bring) for name in names]
    # Each by itself: one that waits for a dead file server is not to keep the others waiting.
    results = pool.run(len(names), lambda each: _attempt(names[each], bring)[1:], limit=limit)
    found = []
    for name, result in zip(names, results):
        if result is None:
            failure = f"It was not up after {_in_words(limit)}, or its process was killed."
            restore.keep_reason(name, failure)
            result = ((), failure)
        found.append(Result(name, *result))
    return found


def _in_words(limit: float) -> str:
    return (
        "the time that its unit has (TimeoutStartSec)"
        if math.isinf(limit)
        else f"{limit:g} seconds"
    )


def _attempt(name: str, action: t.Callable[[str], list[str]]) -> Result:
    try:
        with Step(LOOKING):
            return Result(name, action(name))
    except (Refused, StepFailed) as error:
        return Result(name, failure=in_words(error))
    except Exception as error:  # a mistake in one definition is not to harm the others
        return Result(name, failure=sentence(defect(error), ""))


def _say(results: t.Sequence[Result], verb: str, given: Given) -> None:
    if "json" in given.switches:
        say_data([result._asdict() for result in results])
    for result in results:
        if result.failure:
            complain(verb, f"{result.name}: {result.failure}", FAILED)
        elif "json" not in given.switches:
            unchanged = f"{verb} already"
            say(f"{result.name}: {'; '.join(result.actions) or unchanged}")
