# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_mount does: observe, plan, apply, record.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import typing as t

from .. import actions, kinds
from ..definition.steps import MountStep
from ..errors import Refused
from ..mount import sources as of_mounts
from ..mount import table
from ..mount.compare import Observed, device_to_replace, is_as_wanted
from ..mount.table import Mount
from ..mount.wanted import WantedMount
from ..namespace.target import Target
from . import mount_ids, mount_look, mount_meanings, session
from .mount_look import Seen
from .mount_result import MountResult, Recorded
from .session import Session

if t.TYPE_CHECKING:
    from ..definition import model
    from ..definition.steps import Step
    from ..mount.changes import Change

_RECORD = "record the mounts"
_NOTE = "note what their options mean to the kernel"


class MountRequest(t.NamedTuple):
    """A checked request of ns_mount: see its documentation for the options."""

    target: Target
    wanted: tuple[WantedMount, ...]
    exclusive_below: str = ""
    persistent: bool | None = None
    # In seconds.
    lock_timeout: float = 60.0


def run(request: MountRequest, *, check: bool) -> MountResult:
    """Bring the target's mounts to what is wanted; in check mode only say how.

    Raises Refused before anything was changed, StepFailed for the step that failed.
    """
    _check_paths_differ(request.wanted)
    session.check_can_persist(
        request.target,
        request.persistent,
        what="a mount",
        hint="Use a named namespace, or leave persistent out.",
    )
    shown = {mount.fstype for mount in request.wanted}
    with session.opened(
        request.target,
        check=check,
        lock_timeout=request.lock_timeout,
        persistent=request.persistent,
        # A mount of some file systems shows the namespaces that the one who makes it lives in.
        needed=kinds.FOR_MOUNTS | {kinds.SHOWN[each] for each in shown if each in kinds.SHOWN},
    ) as opened:
        # What this list mounts is a root for what it mounts below, from the first run on.
        own = {mount.path for mount in request.wanted if mount.state == "mounted"}
        layout = opened.layout._replace(mounted=opened.layout.mounted | own)
        return _run(request, opened._replace(layout=layout), check=check)


def _check_paths_differ(wanted: t.Sequence[WantedMount]) -> None:
    seen: set[str] = set()
    for mount in wanted:
        if mount.path in seen:
            raise Refused(
                f"{mount.path} is named twice", "Mounts are never stacked: name each path once."
            )
        seen.add(mount.path)


def _run(request: MountRequest, opened: Session, *, check: bool) -> MountResult:
    request = request._replace(wanted=mount_look.looked_up(request.wanted, may_be_missing=check))
    recorded = _recorded(request.wanted, opened.definition)
    steps = {index: found[0] for index, found in enumerate(recorded) if found is not None}
    wanted, steps = mount_ids.settled(request.wanted, steps, opened, may_be_missing=check)
    request = request._replace(wanted=wanted)
    host_mounts = table.read()
    sources = of_mounts.on_host(request.wanted, host_mounts, opened.host_proc, may_be_missing=check)
    notes = mount_meanings.read(opened)
    seen = mount_look.seen(
        request.wanted, request.exclusive_below, opened, sources, host_mounts, notes
    )
    now = seen.observed
    planned: list[Change] = []
    if not are_as_wanted(request.wanted, seen, steps):
        # 13 ms to compile, for who changes something.
        from ..mount import apply, plan

        planned = plan.plan(
            request.wanted,
            seen.observed,
            layout=seen.layout,
            sources=seen.sources,
            recorded=steps,
            surplus=seen.surplus,
            may_be_missing=check,
            where=opened.where,
        )
        _check_devices(request.wanted, seen)
        carry_out = functools.partial(
            apply.apply,
            planned,
            request.wanted,
            opened.handles,
            host_proc=opened.host_proc,
            layout=opened.layout,
            host_mounts=host_mounts,
            before=seen.observed,
            where=opened.where,
        )
    gone = _gone_with(request, opened.definition)
    after = _definition_after(opened.definition, request.wanted, gone, persistent=opened.persistent)
    to_record = _recorded(request.wanted, after)
    note = functools.partial(
        mount_meanings.note,
        opened,
        planned=planned,
        wanted=request.wanted,
        recorded={index: found[0] for index, found in enumerate(to_record) if found is not None},
        sources=seen.sources,
        notes=notes,
    )
    if not check and after is not None and after != opened.definition:
        with actions.Step(_RECORD):
            saving = opened.saving(after)
        attached: list[tuple[str, int]] = []
        try:
            if planned:
                applied = carry_out()
                attached = applied.attached
                planned = _made(planned, attached)
                now = applied.observed
                actions.run(_NOTE, lambda: note(applied))
            actions.run(_RECORD, lambda: opened.finish(saving))
        except BaseException as error:
            saving.give_up()
            actions.undo(error, _undoing(opened, attached, host_mounts))
            raise
    elif not check and planned:
        applied = carry_out()
        planned = _made(planned, applied.attached)
        now = applied.observed
        actions.run(_NOTE, lambda: note(applied))
    names = [
        f"{'record' if new else 'forget'} the mount on {mount.path}"
        for mount, old, new in zip(request.wanted, recorded, to_record)
        if old != new
    ]
    names += [f"forget {step.title}" for step in gone]
    return MountResult(
        actions=[change.name for change in planned] + names,
        mounts=_those_there(now),
        persistent=opened.persistent,
        wanted=request.wanted,
        observed=seen.observed,
        planned=planned,
        recorded=recorded,
        to_record=to_record,
        gone=gone,
        warnings=_warnings(request, opened)
        + mount_meanings.warnings(request.wanted, now, steps, seen.sources),
    )


def _made(planned: list[Change], attached: t.Sequence[tuple[str, int]]) -> list[Change]:
    """What was done: without a mount whose source has not come with those before it (nofail)."""
    from ..mount.changes import Attach  # the plan has loaded it

    there = {path for path, _id in attached}
    return [
        change
        for change in planned
        if not (isinstance(change, Attach) and change.wanted.may_be_absent) or change.path in there
    ]


def _those_there(observed: t.Sequence[Observed]) -> list[Mount]:
    return [each.mount for each in observed if each.mount is not None]


def _check_devices(wanted: t.Sequence[WantedMount], seen: Seen) -> None:
    """Raises Refused where a loop device is replaced that others go on reading: see loop.py."""
    for index, (mount, observed) in enumerate(zip(wanted, seen.observed)):
        source = seen.sources.get(index)
        if observed.mount is None or mount.state != "mounted":
            continue
        device = device_to_replace(observed.mount, mount, source)
        if device is None:
            continue
        # It looks at all processes, for the one in a thousand that comes here.
        from ..rootfs.in_use import Usage

        users = Usage().mounts_of(device, but=observed.mount.id)
        if users:
            raise Refused(
                f"{device.path}, which is mounted on {mount.path}, can only be read, and others read "
                f"from it: {', '.join(users)}",
                "Add ro to opts, or unmount it there.",
            )


def _gone_with(request: MountRequest, definition: model.Definition | None) -> list[Step]:
    """What goes from the definition with what is unmounted, beside the mounts of the request."""
    unmounted = [mount.path for mount in request.wanted if mount.state == "unmounted"]
    if definition is None or not (unmounted or request.exclusive_below):
        return []
    return definition.gone_with(
        unmounted,
        exclusive_below=request.exclusive_below,
        named=[mount.path for mount in request.wanted],
    )


def _undoing(
    opened: Session, attached: t.Sequence[tuple[str, int]], host_mounts: t.Sequence[Mount]
) -> t.Iterator[t.Callable[[], t.Any]]:
    from ..mount import apply  # loaded by who has attached anything

    if attached:
        yield lambda: opened.call(functools.partial(apply.take_back, attached, host_mounts))
    before = opened.definition
    if before is not None:
        yield lambda: opened.save(before)


def _warnings(request: MountRequest, opened: Session) -> list[str]:
    # On the host everybody writes as himself, and root inside is no root there where the target
    # has users of its own.
    if request.target.is_host or "user" in opened.handles.kinds:
        return []
    if all(mount.fstype != "overlay" for mount in request.wanted):
        return []
    # Nothing to compile for what is no overlay.
    from ..mount import reach

    return reach.warnings(request.wanted, opened.host_proc)


def are_as_wanted(
    wanted: t.Sequence[WantedMount], seen: Seen, recorded: t.Mapping[int, MountStep]
) -> bool:
    """Whether there is nothing to plan."""
    names = [each.name for each in seen.observed if each.name]
    return (
        not seen.surplus
        and len(set(names)) == len(names)
        and all(
            is_as_wanted(
                mount,
                observed,
                source=seen.sources.get(index),
                recorded=recorded.get(index),
                is_root=seen.layout.now(mount.path) == "/",
            )
            for index, (mount, observed) in enumerate(zip(wanted, seen.observed))
        )
    )


def _recorded(
    wanted: t.Sequence[WantedMount], definition: model.Definition | None
) -> list[Recorded | None]:
    """What the definition has for each of the wanted mounts."""
    if definition is None:
        return [None] * len(wanted)
    lasts = definition.lasting()
    found = definition.find_all(MountStep.do, [mount.path for mount in wanted])
    return [(step, lasts(step)) if isinstance(step, MountStep) else None for step in found]


def _definition_after(
    definition: model.Definition | None,
    wanted: t.Sequence[WantedMount],
    gone: t.Sequence[Step],
    *,
    persistent: bool,
) -> model.Definition | None:
    if definition is None:
        return None
    changes: list[model.Change] = [(*step.key(), None) for step in gone]
    for mount in wanted:
        if mount.state == "unmounted":
            changes.append((MountStep.do, mount.path, None))
        elif mount.state == "mounted":
            changes.append((MountStep.do, mount.path, mount.step()))
    return definition.with_changes(changes, persistent=persistent)
