# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""All there is to say of a named namespace, part by part: what `nsctl show` and ns_info tell.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import typing as t

from .. import once, redact
from ..definition import file as definitions
from ..definition import service_names
from ..definition.model import Definition
from ..definition.root import home_of
from ..definition.steps import MountStep
from ..errors import Refused, StepFailed, defect, in_words
from ..mount import table
from ..namespace import pid_holder
from ..operations import namespace_share, restore
from ..process import pool
from . import states, summary
from .parts import DEFINITION, DRIFT, SERVICES

if t.TYPE_CHECKING:
    from .drift import Drift

# Far more than a name takes. One with a file system that does not answer is not waited for.
LIMIT = 10.0
# So many are entered by one process.
_BATCH = 32
_NOTHING: dict[str, t.Any] = {
    DEFINITION: None,
    DRIFT: {"changes": [], "mounts": [], "links": [], "files": [], "services": []},
    SERVICES: [],
}


# A service as it is shown, and what has to be done to have it as it should be.
_Service = tuple[dict[str, t.Any], list[str]]
# What drift.Drift says, as data.
_Drift = dict[str, t.Any]


def of_many(
    names: t.Sequence[str],
    parts: t.Collection[str] = (),
    *,
    meanwhile: t.Callable[[], object] = bool,
) -> list[dict[str, t.Any] | str]:
    """What there is to say of each: its summary with the parts that are asked for; or that there is none.

    What has to be entered for that is looked at by others, for LIMIT at most: first all at once, by one
    that goes through many, then those by themselves that are not as defined for certain. ``meanwhile`` is
    done while the others look.
    """
    with once.Look():
        if parts:
            namespace_share.sharers_of_all()  # before others look, who know it then
        with _settling(names if DRIFT in parts else ()) as settling:
            answers = {name: _attempt(name, parts, enters=False) for name in names}
            meanwhile()
            settled = settling()
        for name, seen in settled.items():
            _settle(answers[name], seen)
        unsettled = {*names} - {*settled} if DRIFT in parts else set()
        # Few, if any: what is entered may hang, and is to keep no other waiting.
        entered = [
            name
            for name in names
            if answers[name] is None or (isinstance(answers[name], dict) and name in unsettled)
        ]
        looked = pool.run(len(entered), lambda each: _attempt(entered[each], parts), limit=LIMIT)
        answers.update(zip(entered, looked))
    return [answers[name] or _unanswered(name, parts) for name in names]


@contextlib.contextmanager
def _settling(names: t.Iterable[str]) -> t.Iterator[t.Callable[[], dict[str, _Drift]]]:
    """Have others look who of these is as its definition says; what is yielded waits for what their mounts are."""
    found = []
    for name in names:
        with contextlib.suppress(Refused, OSError):
            definition = definitions.load(name)
            found += [definition] if definition is not None else []
    if found:
        # What both read, they and we, is read before.
        table.read()
    for definition in found:
        if "pid" in definition.properties.kinds:
            pid_holder.pid_of(definition.name)
    batches = [found[at : at + _BATCH] for at in range(0, len(found), _BATCH)]

    def look(number: int) -> list[_Drift | None]:
        # 30 ms to compile, with what it loads, while we do something else.
        from . import drift

        try:
            seen = drift.of_many(batches[number])
        except (Refused, StepFailed, OSError):
            return [None] * len(batches[number])
        return [None if each is None else _drift_data(each) for each in seen]

    with pool.begun(len(batches), look, limit=LIMIT) as answers:
        yield lambda: {
            definition.name: answer
            for batch, answered in zip(batches, answers())
            for definition, answer in zip(batch, answered or ())
            if answer is not None
        }


def _settle(found: t.Any, seen: _Drift) -> None:
    """Set what was seen of one that was found to be as its definition says."""
    if isinstance(found, dict) and isinstance(found.get(DRIFT), dict):
        found["root"] = seen.pop("root")
        found[DRIFT].update(seen)


def _drift_data(seen: Drift) -> _Drift:
    from . import drift  # who has seen something has loaded it

    return {
        "changes": seen.changes,
        "mounts": [drift.as_data(row) for row in seen.mounts],
        "root": seen.root,
    }


def _unanswered(name: str, parts: t.Collection[str]) -> dict[str, t.Any]:
    reason = (
        f"looking into it took more than {LIMIT:g} seconds: a file system in it does not answer,"
        " most likely"
    )
    return _with_nothing(summary.of_unreadable(name, states.PARTIAL, reason), parts)


def _attempt(
    name: str, parts: t.Collection[str], *, enters: bool = True
) -> dict[str, t.Any] | str | None:
    """What it says, or that there is none of this name; None where it has to be entered for that.

    Of one that is not entered the mounts are left out.
    """
    try:
        with once.Look():
            found = (
                summary.of(name) if enters else summary.at_once(name, is_as_defined=DRIFT in parts)
            )
            return None if found is None else _found(found, parts, enters=enters)
    except (Refused, StepFailed, OSError) as error:
        return in_words(error)
    except Exception as error:  # a mistake that concerns one is not to harm the others
        return _with_nothing(summary.of_unreadable(name, states.FAILED, defect(error)), parts)


def _found(found: dict[str, t.Any], parts: t.Collection[str], *, enters: bool) -> dict[str, t.Any]:
    if not parts:
        return found
    name = found["name"]
    found = _with_nothing(found, parts)
    found["shared_by"] = namespace_share.sharers_of_all().get(name, [])
    services = _services(name) if {SERVICES, DRIFT}.intersection(parts) else []
    if SERVICES in parts:
        found[SERVICES] = [described for described, _lacking in services]
    try:
        definition = definitions.load(name)
        if definition is None:
            return found
        if found["state"] == states.FAILED:  # else its summary has found it to make sense
            restore.checked(definition)
        if DEFINITION in parts:
            found[DEFINITION] = _definition_shown(definition)
        if DRIFT in parts:
            found[DRIFT] = {**_NOTHING[DRIFT], **_beside_mounts(definition, services)}
            if enters:
                from . import drift  # see _settling()

                _settle(found, _drift_data(drift.of(definition)))
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


def _beside_mounts(definition: Definition, services: t.Sequence[_Service]) -> dict[str, t.Any]:
    """What of its interfaces, files and services is not as it should be, and all interfaces."""
    links = []
    if definition.links:
        # 30 ms to compile, with what it loads, for what most do not have.
        from ..operations import link_drift

        links = link_drift.of(definition)
    home = definition.own_root.home if definition.own_root is not None else home_of(definition.name)
    files = []
    if definition.files:
        from ..operations import definition_files  # likewise

        for file in definition.files:
            state = definition_files.drift_of(home, file)
            files += [{"path": file.dest, "state": state}] if state else []
    return {
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
    # 30 ms to compile, with what it loads, for what most do not have.
    from ..service import supervisor

    try:
        found, lacking = supervisor.look_at(namespace, name)
    except (Refused, StepFailed, OSError) as error:
        known = {"name": name, "namespace": namespace, "pid": None}
        return {**known, "state": states.FAILED, "reason": in_words(error)}, []
    found.pop("argv", None)  # which may have secrets among its words
    return found, lacking
