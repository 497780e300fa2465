# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whether named namespaces are what their definitions say, many of them at once.

To enter one takes a process, and to fork one takes longer than all the rest. So one process goes through
many, from one to the next: it never comes back. Where that leaves a doubt, the answer is no.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import typing as t

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
from ..syscalls import processes
from . import mount, mount_look, mount_meanings, namespace, session
from .namespace import NamespaceRequest

_FOR_SETTINGS = ("uts", "net", "ipc")


class Prepared(t.NamedTuple):
    """One that is as its definition says, as far as it shows from outside."""

    opened: session.Session
    wanted: tuple[WantedMount, ...]
    recorded: dict[int, MountStep]
    sources: dict[int, Source]
    notes: mount_meanings.Notes
    pivots: tuple[str, ...]
    settings: list[Setting]
    # Of the kinds that the settings belong to.
    set_in: Handles


class Look(t.NamedTuple):
    """What one that is as wanted looks like from inside."""

    wanted: tuple[WantedMount, ...]
    # What is mounted in their places.
    observed: list[table.Mount | None]
    # The new roots that it was pivoted to.
    pivoted: tuple[str, ...]
    mounts: list[table.Mount]


def looks(every: t.Sequence[Definition]) -> list[Look | None]:
    """What those look like that are what their definitions say, but for services and files, for certain.

    They are entered one after the other: a file system that does not answer holds up all that follow.
    """
    host_mounts = table.read()
    with contextlib.ExitStack() as stack:
        prepared = [_prepared_as_defined(each, host_mounts, stack) for each in every]
        return entered(prepared, host_mounts, lambda look: look)


_Answer = t.TypeVar("_Answer")


def entered(
    prepared: t.Sequence[Prepared | None],
    host_mounts: t.Sequence[table.Mount],
    answer: t.Callable[[Look | None], _Answer],
) -> list[_Answer]:
    """What is answered of each, by what it looks like; None of one that is not as its definition says."""
    devices = table.paths_by_device(host_mounts)
    answers: list[_Answer] = enter.run_inside(
        lambda: [answer(look) for look in _enter_all(prepared, devices)]
    )
    return answers


def _prepared_as_defined(
    definition: Definition, host_mounts: t.Sequence[table.Mount], stack: contextlib.ExitStack
) -> Prepared | None:
    try:
        if definition.missing or definition.links or not all(map(is_seen, definition.all_steps)):
            return None
        request = NamespaceRequest(
            definition.name, definition.properties, persistent=definition.persistent
        )
        return prepared_of(request, definition, host_mounts, stack)
    except (Refused, StepFailed, OSError):
        return None


def is_seen(step: Step) -> bool:
    """Whether it shows from inside, with all others, that the step was taken."""
    return isinstance(step, MountStep) or (isinstance(step, PivotStep) and not step.put_old)


def prepared_of(
    request: NamespaceRequest,
    definition: Definition,
    host_mounts: t.Sequence[table.Mount],
    stack: contextlib.ExitStack,
) -> Prepared | None:
    """What is left to be looked at inside; None where it is not certain to be as its definition says.

    Raises Refused, StepFailed, OSError.
    """
    if gate.is_closed(request.name) or "user" in definition.properties.kinds:
        return None  # from a user namespace there is no way to the next
    settings = namespace.settings_of(definition.properties)
    if namespace.changes(request, definition, but_settings=True):
        return None
    return _opened(definition, settings, host_mounts, stack)


def _opened(
    definition: Definition,
    settings: list[Setting],
    host_mounts: t.Sequence[table.Mount],
    stack: contextlib.ExitStack,
) -> Prepared | None:
    target = Target(namespace=definition.name)
    mounts = [step for step in definition.all_steps if isinstance(step, MountStep)]
    if any(words.have_names(step.words) or step.only_if_asked for step in mounts):
        return None
    own = definition.properties.kinds
    set_in = Handles({})
    if settings:
        set_in = target.open([kind for kind in _FOR_SETTINGS if kind in own], closed_too=True)
    stack.callback(set_in.close)
    if "mnt" not in own:
        return None if mounts else Prepared(
            session.Session(target, definition, definition.layout, Handles({}), -1, False, True),
            (), {}, {}, {}, (), settings, set_in,
        )  # fmt: skip
    opened = stack.enter_context(session.opened(target, check=True, lock_timeout=0))
    wanted = mount_look.looked_up([WantedMount.of(step) for step in mounts], may_be_missing=False)
    sources = of_mounts.on_host(wanted, host_mounts, opened.host_proc, may_be_missing=False)
    return Prepared(
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
    prepared: t.Sequence[Prepared | None], host_devices: t.Mapping[str, t.Collection[str]]
) -> list[Look | None]:
    """Look at all of them, from one to the next, in a process that ends with this."""
    # Whoever lives inside may not trace us or open our /proc/PID/exe (CVE-2019-5736).
    processes.prctl(processes.PR_SET_DUMPABLE, 0)
    # First what is read in the host's /proc.
    are_set = [each is not None and _are_set(each) for each in prepared]
    return [
        _look_of(each, host_devices) if each is not None and is_set else None
        for each, is_set in zip(prepared, are_set)
    ]


def _are_set(prepared: Prepared) -> bool:
    try:
        if prepared.settings:
            prepared.set_in.join()
        return all(setting.is_set() for setting in prepared.settings)
    except OSError:
        return False


def _look_of(prepared: Prepared, host_devices: t.Mapping[str, t.Collection[str]]) -> Look | None:
    """What one looks like; None where it is not as wanted, or not for certain."""
    opened = prepared.opened
    if "mnt" not in opened.handles.kinds:
        return Look((), [], (), [])
    try:
        opened.handles.only(["mnt"]).join()
        view = opened.view()
        if view.layout.pivoted != prepared.pivots:
            return None
        mounts = view.keep_mounts()
        seen = mount_look.look(
            view,
            wanted=prepared.wanted,
            exclusive_below="",
            sources=prepared.sources,
            host_devices=host_devices,
            own_kinds=opened.handles.kinds,
            notes=prepared.notes,
        )
        if not mount.are_as_wanted(prepared.wanted, seen, prepared.recorded):
            return None
        observed = [place.mount for place in seen.observed]
        return Look(prepared.wanted, observed, view.layout.pivoted, mounts)
    except (Refused, OSError, mount_look.Unseen):
        return None
