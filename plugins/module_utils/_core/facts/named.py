# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""All there is to say of a named namespace, part by part: what `nsctl show` and ns_info tell.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .. import once, redact
from ..definition import file as definitions
from ..definition import service_names
from ..definition.model import Definition
from ..definition.root import home_of
from ..definition.steps import MountStep
from ..errors import Refused, StepFailed, defect, in_words
from ..operations import definition_files, namespace_share, restore
from ..process import pool
from ..service import supervisor
from . import drift, states, summary

DEFINITION, DRIFT, SERVICES = "definition", "drift", "services"
PARTS = (DEFINITION, DRIFT, SERVICES)
# Far more than a name takes. One with a file system that does not answer is not waited for.
LIMIT = 10.0
_NOTHING: dict[str, t.Any] = {
    DEFINITION: None,
    DRIFT: {"changes": [], "mounts": [], "links": [], "files": [], "services": []},
    SERVICES: [],
}


# A service as it is shown, and what has to be done to have it as it should be.
_Service = tuple[dict[str, t.Any], list[str]]


def of_many(names: t.Sequence[str], parts: t.Collection[str] = ()) -> list[dict[str, t.Any] | str]:
    """What there is to say of each: its summary with the parts that are asked for; or that there is none.

    What has to be entered for that is looked at by others, each for LIMIT at most.
    """
    answers: dict[str, t.Any] = {}
    with once.Look():
        if not parts:
            answers = {name: _attempt(name, (), enters=False) for name in names}
        # Without parts few, if any: what is entered may hang, and is to keep no other waiting.
        entered = [name for name in names if answers.get(name) is None]
        looked = pool.run(len(entered), lambda each: _attempt(entered[each], parts), limit=LIMIT)
        answers.update(zip(entered, looked))
    return [answers[name] or _unanswered(name, parts) for name in names]


def _unanswered(name: str, parts: t.Collection[str]) -> dict[str, t.Any]:
    reason = (
        f"looking into it took more than {LIMIT:g} seconds: a file system in it does not answer,"
        " most likely"
    )
    return _with_nothing(summary.of_unreadable(name, states.PARTIAL, reason), parts)


def _attempt(
    name: str, parts: t.Collection[str], *, enters: bool = True
) -> dict[str, t.Any] | str | None:
    """What it says, or that there is none of this name; None where it has to be entered for that."""
    try:
        with once.Look():
            return _found(name, parts) if enters else summary.at_once(name)
    except (Refused, StepFailed, OSError) as error:
        return in_words(error)
    except Exception as error:  # a mistake that concerns one is not to harm the others
        return _with_nothing(summary.of_unreadable(name, states.FAILED, defect(error)), parts)


def _found(name: str, parts: t.Collection[str]) -> dict[str, t.Any]:
    found = _with_nothing(summary.of(name), parts)
    if not parts:
        return found
    found["shared_by"] = namespace_share.sharers(name)
    services = _services(name) if {SERVICES, DRIFT}.intersection(parts) else []
    if SERVICES in parts:
        found[SERVICES] = [described for described, _lacking in services]
    try:
        definition = definitions.load(name)
        if definition is None:
            return found
        restore.checked(definition)
        if DEFINITION in parts:
            found[DEFINITION] = _definition_shown(definition)
        if DRIFT in parts:
            seen = drift.of(definition)
            found[DRIFT] = _drift_of(definition, seen, services)
            found["root"] = seen.root
    except (Refused, StepFailed, OSError) as error:
        found.update(state=states.FAILED, reason=found["reason"] or in_words(error))
    return found


def _with_nothing(found: dict[str, t.Any], parts: t.Collection[str]) -> dict[str, t.Any]:
    return {
        **found,
        **({"shared_by": []} if parts else {}),
        **{each: _NOTHING[each] for each in parts},
    }


def _definition_shown(definition: Definition) -> dict[str, t.Any]:
    """What it says, without secrets."""
    root = definition.own_root
    return {
        **definition.properties.shown(),
        "persistent": definition.persistent,
        "rootfs": {
            key: redact.address(value) if isinstance(value, str) else value
            for key, value in root.source.items()
        }
        if root is not None
        else None,
        "steps": [
            (step.shown() if isinstance(step, MountStep) else step).to_data()
            for step in definition.all_steps
        ],
        "links": [link.to_data() for link in definition.links],
        "files": [file.dest for file in definition.files],
    }


def _drift_of(
    definition: Definition, seen: drift.Drift, services: t.Sequence[_Service]
) -> dict[str, t.Any]:
    links = []
    if definition.links:
        # 30 ms to compile, with what it loads, for what most do not have.
        from ..operations import link_drift

        links = link_drift.of(definition)
    home = definition.own_root.home if definition.own_root is not None else home_of(definition.name)
    files = [
        {"path": file.dest, "state": state}
        for file in definition.files
        if (state := definition_files.drift_of(home, file))
    ]
    return {
        "changes": seen.changes,
        "mounts": [drift.as_data(row) for row in seen.mounts],
        "links": links,
        "files": files,
        "services": [
            {"name": described["name"], "state": described["state"], "changes": lacking}
            for described, lacking in services
            if lacking
        ],
    }


def _services(name: str) -> list[_Service]:
    return [_service(name, each) for each in service_names.known(name)]


def _service(namespace: str, name: str) -> _Service:
    try:
        found, lacking = supervisor.look_at(namespace, name)
    except (Refused, StepFailed, OSError) as error:
        known = {"name": name, "namespace": namespace, "pid": None}
        return {**known, "state": states.FAILED, "reason": in_words(error)}, []
    found.pop("argv", None)  # which may have secrets among its words
    return found, lacking
