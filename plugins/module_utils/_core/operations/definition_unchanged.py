# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whether named namespaces are what is wanted already, many of them at once.

To enter one takes a process, and to fork one takes longer than all the rest. So one process goes through
many, from one to the next: it never comes back. Where that leaves a doubt, the answer is no, and the
operations look again, one by one.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import typing as t

from ..definition import file as definitions
from ..definition import service_names
from ..definition.model import Definition
from ..definition.steps import MountStep, PivotStep, Step
from ..errors import Refused, StepFailed
from ..mount import sources as of_mounts
from ..mount import table, words
from ..mount.compare import Source
from ..mount.wanted import WantedMount
from ..namespace import enter, gate
from ..namespace.settings import Setting
from ..namespace.target import Handles, Target
from ..process import pool
from ..syscalls import processes
from . import (
    definition_files,
    mount,
    mount_look,
    mount_meanings,
    namespace,
    session,
)
from .definition_request import DefinitionRequest

# So many are open at once, with some descriptors each.
_BATCH = 32
_FOR_SETTINGS = ("uts", "net", "ipc")


class _Prepared(t.NamedTuple):
    """One that is as wanted as far as it shows from outside."""

    opened: session.Session
    wanted: tuple[WantedMount, ...]
    recorded: dict[int, MountStep]
    sources: dict[int, Source]
    notes: mount_meanings.Notes
    pivots: tuple[str, ...]
    settings: list[Setting]
    # Of the kinds that the settings belong to.
    set_in: Handles


def among(requests: t.Sequence[DefinitionRequest]) -> list[bool]:
    """Which of them are as wanted, but for their services, for certain."""
    batches = [range(at, min(at + _BATCH, len(requests))) for at in range(0, len(requests), _BATCH)]

    def look(number: int) -> list[bool]:
        return _look([requests[each] for each in batches[number]])

    if len(batches) == 1:
        # A process that has others look takes as long as the one that does.
        try:
            return look(0)
        except Exception:
            return [False] * len(requests)
    answers = pool.run(len(batches), look)
    return [
        answer
        for batch, answered in zip(batches, answers)
        for answer in (answered if answered is not None else [False] * len(batch))
    ]


def _look(requests: t.Sequence[DefinitionRequest]) -> list[bool]:
    host_mounts = table.read()
    with contextlib.ExitStack() as stack:
        prepared = [_prepared(request, host_mounts, stack) for request in requests]
        devices = table.paths_by_device(host_mounts)
        answers: list[bool] = enter.run_inside(lambda: _enter_all(prepared, devices))
        return answers


def _prepared(
    request: DefinitionRequest, host_mounts: t.Sequence[table.Mount], stack: contextlib.ExitStack
) -> _Prepared | None:
    """What is left to be looked at inside; None where it is not certain to be as wanted."""
    try:
        definition = definitions.load(request.name)
        if definition is None or not _is_recorded(request, definition):
            return None
        if gate.is_closed(request.name) or "user" in definition.properties.kinds:
            return None  # from a user namespace there is no way to the next
        if {*service_names.known(request.name)} - {each.name for each in request.services}:
            return None
        settings = namespace.settings_of(definition.properties)
        if namespace.changes(request.namespace, definition, but_settings=True):
            return None
        return _opened(request, definition, settings, host_mounts, stack)
    except (Refused, StepFailed, OSError):
        return None


def _is_recorded(request: DefinitionRequest, definition: Definition) -> bool:
    """Whether the definition is what is wanted. A root of its own takes a longer look."""
    wanted: list[tuple[Step, bool]] = [(each.step(), True) for each in request.mounts]
    wanted = wanted or [*request.steps]
    every = [*((step, True) for step in definition.steps)]
    every += [(step, False) for step in definition.volatile]
    if not definition.persistent:
        wanted = [(step, False) for step, _lasts in wanted]
    return (
        request.root is None is definition.own_root
        and definition_files.are_as_wanted(request, definition)
        and not definition.missing
        and every == wanted
        and all(
            isinstance(step, MountStep) or (isinstance(step, PivotStep) and not step.put_old)
            for step, _lasts in every
        )
    )


def _opened(
    request: DefinitionRequest,
    definition: Definition,
    settings: list[Setting],
    host_mounts: t.Sequence[table.Mount],
    stack: contextlib.ExitStack,
) -> _Prepared | None:
    target = Target(namespace=request.name)
    mounts = [step for step in definition.all_steps if isinstance(step, MountStep)]
    if any(words.have_names(step.words) or step.only_if_asked for step in mounts):
        return None
    own = definition.properties.kinds
    set_in = Handles({})
    if settings:
        set_in = target.open([kind for kind in _FOR_SETTINGS if kind in own], closed_too=True)
    stack.callback(set_in.close)
    if "mnt" not in own:
        return None if mounts else _Prepared(
            session.Session(target, definition, definition.layout, Handles({}), -1, False, True),
            (), {}, {}, {}, (), settings, set_in,
        )  # fmt: skip
    opened = stack.enter_context(session.opened(target, check=True, lock_timeout=0))
    wanted = mount_look.looked_up([WantedMount.of(step) for step in mounts], may_be_missing=False)
    sources = of_mounts.on_host(wanted, host_mounts, opened.host_proc, may_be_missing=False)
    return _Prepared(
        opened=opened,
        wanted=wanted,
        recorded=dict(enumerate(mounts)),
        sources=sources,
        notes=mount_meanings.read(opened),
        pivots=tuple(step.path for step in definition.all_steps if isinstance(step, PivotStep)),
        settings=settings,
        set_in=set_in,
    )


def _enter_all(
    prepared: t.Sequence[_Prepared | None], host_devices: t.Mapping[str, t.Collection[str]]
) -> list[bool]:
    """Look at all of them, from one to the next, in a process that ends with this."""
    # Whoever lives inside may not trace us or open our /proc/PID/exe (CVE-2019-5736).
    processes.prctl(processes.PR_SET_DUMPABLE, 0)
    # First what is read in the host's /proc.
    are_set = [each is not None and _are_set(each) for each in prepared]
    return [
        each is not None and is_set and _is_as_wanted(each, host_devices)
        for each, is_set in zip(prepared, are_set)
    ]


def _are_set(prepared: _Prepared) -> bool:
    try:
        if prepared.settings:
            prepared.set_in.join()
        return all(setting.is_set() for setting in prepared.settings)
    except OSError:
        return False


def _is_as_wanted(prepared: _Prepared, host_devices: t.Mapping[str, t.Collection[str]]) -> bool:
    opened = prepared.opened
    if "mnt" not in opened.handles.kinds:
        return True
    try:
        opened.handles.only(["mnt"]).join()
        view = opened.view()
        if view.layout.pivoted != prepared.pivots:
            return False
        seen = mount_look.look(
            view,
            wanted=prepared.wanted,
            exclusive_below="",
            sources=prepared.sources,
            host_devices=host_devices,
            own_kinds=opened.handles.kinds,
            notes=prepared.notes,
        )
        return mount.are_as_wanted(prepared.wanted, seen, prepared.recorded)
    except (Refused, OSError, mount_look.Unseen):
        return False
