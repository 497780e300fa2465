# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_rootfs does: observe, plan, unpack beside, put into place, record.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import typing as t

from . import definition as definitions
from . import paths, pins, spawn, steps
from .errors import Refused
from .inside import Inside, open_host_proc
from .layout import Layout
from .rootfs import digest, place, removal, unpack, usage, worker
from .rootfs.digest import Marker
from .rootfs.place import Location, Seen, Spot
from .rootfs.source import Opened, Source, Stream
from .targets import Handles, Target


@dataclasses.dataclass(frozen=True)
class Request:
    """A checked request of ns_rootfs: see its documentation for the options."""

    target: Target
    path: str
    source: Source | None = None  # None: state absent
    digest: str = ""
    force: bool = False
    rules: unpack.Rules = unpack.DEFAULT
    persistent: bool | None = None
    lock_timeout: float = 60.0


@dataclasses.dataclass
class Outcome:
    """What was (or in check mode: would be) done."""

    actions: list[str]
    before: dict[str, str]
    after: dict[str, str]
    digest: str = ""
    source: str = ""
    persistent: bool = False
    warnings: list[str] = dataclasses.field(default_factory=list)


class _Job(t.NamedTuple):
    request: Request
    handles: Handles
    host_proc: int
    layout: Layout
    progress: unpack.Progress

    def inside(self, function: t.Callable[[Inside], t.Any]) -> t.Any:
        """Call the function in a child that has joined the target."""
        return spawn.call(lambda: function(Inside(self.host_proc, self.layout)), joins=self.handles)


def checked(request: Request) -> Request:
    """``request`` with a clean path, when it makes sense by itself. Raises Refused."""
    path = paths.checked_absolute(request.path, option="path")
    if path == "/":
        raise Refused("path must not be / itself")
    if request.source is None and request.digest:
        raise Refused("digest belongs to a source; state: absent has none")
    if request.persistent and request.target.namespace is None:
        raise Refused(
            f"a root in {request.target} cannot be persistent: it has no definition",
            "Use a named namespace, or leave persistent out. A root on the host stays anyway.",
        )
    pinned = digest.checked(request.digest) if request.digest else ""
    return dataclasses.replace(request, path=path, digest=pinned)


def run(request: Request, *, check: bool, progress: unpack.Progress) -> Outcome:
    """Bring the root at the path to what is wanted; in check mode only say how.

    Raises Refused before anything was changed, StepFailed for the step that failed.
    """
    name = request.target.namespace
    if name is None or check:
        return _run(request, check=check, progress=progress)
    if not request.target.exists():
        request.target.open()  # says that it does not exist, before a lock is made for it
    with pins.locked(name, timeout=request.lock_timeout):
        return _run(request, check=check, progress=progress)


def _run(request: Request, *, check: bool, progress: unpack.Progress) -> Outcome:
    name = request.target.namespace
    definition = definitions.load(name) if name is not None else None
    layout = definition.layout if definition is not None else Layout()
    to_come = check and not request.target.exists()
    with contextlib.ExitStack() as stack:
        host_proc = open_host_proc()
        stack.callback(os.close, host_proc)
        handles = Handles({})
        if not to_come:
            handles = request.target.open(needs="mnt").only({"mnt", "user"})
        stack.enter_context(handles)
        job = _Job(request, handles, host_proc, layout, progress)
        seen = Seen("absent")
        if not to_come:
            seen = job.inside(lambda inside: place.look(inside, request.path))
        if request.source is None:
            return _absent(job, seen, definition, check=check)
        source = stack.enter_context(request.source.opened(may_be_missing=check))
        return _present(job, seen, source, definition, check=check)


def _present(
    job: _Job,
    seen: Seen,
    source: Opened,
    definition: definitions.Definition | None,
    *,
    check: bool,
) -> Outcome:
    request = job.request
    options = request.rules.lasting
    wanted = _digest_known(job, seen, source)
    is_there = seen.marker is not None and (
        seen.marker.digest == wanted and seen.marker.source.get("options", {}) == options
    )
    actions = []
    if not is_there:
        _refuse_to_replace(request, seen)
        verb = "make" if source.is_made else "unpack"
        actions.append(f"{verb} {source.shown} {'in' if source.is_made else 'to'} {request.path}")
    persistent = bool(
        definition is not None and definition.persistent and request.persistent is not False
    )
    outcome = Outcome(
        actions=actions,
        before=_described(request, seen),
        after={},
        digest=wanted,
        source=source.shown,
        persistent=persistent,
    )
    if not check and not is_there:
        marker = Marker(wanted, {**source.facts, "options": options})
        outcome.digest = _fill(job, source, marker, outcome)
        seen = job.inside(lambda inside: place.look(inside, request.path))
    elif not check and seen.marker is not None and source.facts != _facts_of(seen.marker):
        # The same content in another file: remembered, so that the next run need not read it.
        marker = Marker(wanted, {**source.facts, "options": options})
        job.inside(lambda inside: _remark(inside, request.path, marker))
    outcome.after = (
        _described(request, seen)
        if is_there
        else {request.path: f"{source.shown} {outcome.digest}".rstrip()}
    )
    old = seen.old
    if check and not is_there and seen.location is not None and seen.state in ("root", "foreign"):
        old += () if seen.is_mount else (seen.location,)
    _sweep(job, old, outcome, check=check)
    if definition is not None:
        _record(job, definition, source, outcome, check=check)
    return outcome


def _digest_known(job: _Job, seen: Seen, source: Opened) -> str:
    """The digest of the source, or "" where it can be taken while unpacking.

    Raises Refused when it is not the one that was asked for.
    """
    request = job.request
    if seen.marker is not None and source.facts and _facts_of(seen.marker) == source.facts:
        found = seen.marker.digest
    elif source.missing or (seen.marker is None and not request.digest and not source.is_made):
        found = ""
    else:
        found = source.digest()
    if request.digest and found and found != request.digest:
        raise Refused(
            f"{source.shown} has the digest {found}, not the one asked for, {request.digest}",
            "Fetch the right one, or correct digest.",
        )
    return found


def _facts_of(marker: Marker) -> dict[str, t.Any]:
    return {key: value for key, value in marker.source.items() if key != "options"}


def _refuse_to_replace(request: Request, seen: Seen) -> None:
    if seen.state == "foreign" and not request.force:
        raise Refused(
            f"{request.path} is not empty and was not made by linux.namespaces.ns_rootfs",
            "Name another path, empty it, or replace all of it with force: true.",
        )
    if seen.is_target_root:
        raise Refused(
            f"{request.path} is the root of {request.target} now and cannot be replaced",
            "Remove the namespace and create it again with the new root.",
        )
    if seen.mounts:
        raise Refused(
            f"{request.path} cannot be replaced: {', '.join(seen.mounts[:5])} is mounted below it",
            "Unmount it first; for a named namespace, remove it and create it again.",
        )
    if seen.is_mount and seen.state == "root":
        assert seen.location is not None
        users = usage.Usage().of(seen.location, named=request.path, itself_mounted=True)
        if users:
            raise Refused(
                f"{request.path} is a mount point and cannot be replaced in use"
                f" ({', '.join(users[:5])})",
                "End what uses it first.",
                used_by=users,
            )


def _fill(job: _Job, source: Opened, marker: Marker, outcome: Outcome) -> str:
    """Build the root beside and put it into its place; return its digest."""
    request = job.request
    with source.stream(job.request.target, job.progress) as stream:
        answers: dict[str, t.Callable[..., t.Any]] = {
            "progress": job.progress,
            "make": stream.make,
            "begin": stream.begin,
            "verify": stream.verify,
            "digest": stream.digest,
        }

        def build(ask: worker.Ask) -> t.Any:
            inside = Inside(job.host_proc, job.layout)
            return _build(ask, inside, request, stream, marker, outcome.actions[0])

        found, warnings = worker.call(build, joins=job.handles, answers=answers)
    outcome.warnings += warnings
    if found is None:
        # Another run that was unpacking the same to the same path has just ended.
        outcome.actions.clear()
        return marker.digest
    digest_found: str = found
    return digest_found


def _build(
    ask: worker.Ask, inside: Inside, request: Request, stream: Stream, marker: Marker, name: str
) -> tuple[str | None, list[str]]:
    with Spot(inside, request.path, make=True) as spot:
        stage = place.stage(spot, timeout=request.lock_timeout)
        try:
            if not spot.is_mount:
                spot.reopen()
            there = digest.read(spot.fd) if spot.fd >= 0 else None
            if there is not None and marker.digest and there == marker:
                place.unstage(spot)
                return None, []
            warnings: list[str] = []

            def fill() -> None:
                ask("begin")
                if stream.fd < 0:
                    ask(
                        "make", f"{inside.path_of(spot.stage_parent).rstrip('/')}/{spot.stage_name}"
                    )
                else:
                    unpack.enter(stage)
                    unpacked = unpack.unpack(
                        stream.fd,
                        name=stream.shown,
                        rules=request.rules,
                        progress=lambda text: ask("progress", text),
                    )
                    warnings.extend(unpacked.warnings)
                ask("verify")

            steps.run(name, fill)
            found = ask("digest")
            complete = Marker(found, marker.source)
            steps.run(
                f"put {request.path} into place",
                lambda: place.put(spot, stage, complete),
            )
            return found, warnings
        except BaseException:
            with contextlib.suppress(OSError):
                place.unstage(spot)
            raise
        finally:
            os.close(stage)


def _remark(inside: Inside, path: str, marker: Marker) -> None:
    with Spot(inside, path, make=False) as spot:
        digest.write(spot.fd, marker)


def _sweep(job: _Job, old: t.Sequence[Location], outcome: Outcome, *, check: bool) -> None:
    """Remove the roots that were replaced earlier and that nobody uses any more."""
    if not old:
        return
    used = usage.Usage()
    unused = []
    for location in old:
        users = used.of(location, named=job.request.path)
        if users:
            outcome.warnings.append(
                f"{location.path}, the old root of {job.request.path}, is still used by"
                f" {', '.join(users[:5])}; it goes with a later run"
            )
        else:
            unused.append(location)
    names = [location.path.rpartition("/")[2] for location in unused]
    step = f"remove the old root of {job.request.path}"
    if not names:
        return

    def remove(inside: Inside) -> None:
        with Spot(inside, job.request.path, make=False) as spot:
            for name in names:
                steps.run(step, functools.partial(removal.remove, spot.parent, name))

    if not check:
        job.inside(remove)
    outcome.actions.append(step)


def _absent(
    job: _Job, seen: Seen, definition: definitions.Definition | None, *, check: bool
) -> Outcome:
    request = job.request
    outcome = Outcome(actions=[], before=_described(request, seen), after={request.path: "absent"})
    step = f"remove the root at {request.path}"
    there = seen.state in ("root", "interrupted") or (seen.state == "foreign" and request.force)
    if seen.state == "foreign" and not request.force:
        raise Refused(
            f"{request.path} was not made by linux.namespaces.ns_rootfs",
            "Remove it yourself, or with force: true.",
        )
    if there:
        _refuse_to_remove(request, seen)
        outcome.actions.append(step)
    elif seen.unfinished or (seen.state == "empty" and not seen.is_mount):
        outcome.actions.append(step)
    if outcome.actions and not check:

        def remove(inside: Inside) -> tuple[Location, ...]:
            with Spot(inside, request.path, make=False) as spot:
                stage = place.stage(spot, timeout=request.lock_timeout)
                try:
                    if spot.is_mount:
                        place.clear(spot)
                    elif spot.fd >= 0:
                        place.take_away(spot)
                    if not spot.is_mount:
                        place.unstage(spot)
                finally:
                    os.close(stage)
            return place.look(inside, request.path).old

        old = job.inside(lambda inside: steps.run(step, lambda: remove(inside)))
        actions = outcome.actions
        outcome.actions = []
        _sweep(job, old, outcome, check=False)
        outcome.actions = actions
    else:
        _sweep(job, seen.old, outcome, check=check)
    if definition is not None:
        after = definition.without_step("unpack", request.path)
        if after != definition:
            forget = f"forget the root at {request.path}"
            outcome.actions.append(forget)
            if not check:
                steps.run(forget, lambda: definitions.save(after))
    return outcome


def _refuse_to_remove(request: Request, seen: Seen) -> None:
    if seen.is_target_root:
        raise Refused(
            f"{request.path} is the root of {request.target} now and cannot be removed",
            "Remove the namespace.",
        )
    if seen.mounts:
        raise Refused(
            f"{request.path} cannot be removed: {', '.join(seen.mounts[:5])} is mounted below it",
            "Unmount it first: what is mounted there is never removed with it.",
        )
    if request.force:
        return
    assert seen.location is not None
    users = usage.Usage().of(seen.location, named=request.path, itself_mounted=seen.is_mount)
    if users:
        raise Refused(
            f"{request.path} is in use: {', '.join(users[:5])}",
            "End what uses it first. With force: true its name goes now, and it when it is free.",
            used_by=users,
        )


def _record(
    job: _Job, definition: definitions.Definition, source: Opened, outcome: Outcome, *, check: bool
) -> None:
    request = job.request
    step = {
        "do": "unpack",
        "path": request.path,
        "archive": source.recorded_archive(outcome.digest),
        "digest": outcome.digest,
        **request.rules.lasting,
    }
    after = definition.with_step(step, persistent=outcome.persistent)
    if after == definition:
        return
    name = f"record the root at {request.path}"
    outcome.actions.append(name)
    if not check:
        steps.run(name, lambda: definitions.save(after))


def _described(request: Request, seen: Seen) -> dict[str, str]:
    if seen.marker is None:
        return {request.path: {"root": "", "interrupted": "half made"}.get(seen.state, seen.state)}
    shown = seen.marker.source.get("source", "")
    return {request.path: f"{shown} {seen.marker.digest}".strip()}
