# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_rootfs does: observe, plan, build beside, put into place, record.

What is not needed for a root that is there already is imported where it is needed: such a root
costs what an empty task costs.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import typing as t

from ..definition.steps import RootStep
from ..errors import Refused
from ..mount import resolve
from ..namespace.target import Target
from ..rootfs import marker as digest
from ..rootfs import record
from ..rootfs.marker import Marker
from ..rootfs.rules import DEFAULT, Rules
from ..rootfs.site import Location, Seen, Site
from ..rootfs.source import Opened, Progress, Source
from . import session
from .session import Session

# Users of a root that are named in messages.
_NAMED = 5


@dataclasses.dataclass(frozen=True)
class RootRequest:
    """A checked request of ns_rootfs: see its documentation for the options."""

    target: Target
    path: str
    # None where no root is wanted (state: absent).
    source: Source | None = None
    # What the source has to have; empty for any.
    digest: str = ""
    force: bool = False
    rules: Rules = DEFAULT
    persistent: bool | None = None
    # In seconds.
    lock_timeout: float = 60.0
    # Whether a root of a source without a fixed content, a directory, follows what is in that now.
    follow: bool = True


@dataclasses.dataclass
class RootResult:
    """What was (or in check mode: would be) done, and what the root comes from."""

    actions: list[str] = dataclasses.field(default_factory=list)
    before: str = ""
    after: str = ""
    digest: str = ""
    config: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    persistent: bool = False
    warnings: list[str] = dataclasses.field(default_factory=list)


def checked(request: RootRequest) -> RootRequest:
    """``request`` with a clean path, when it makes sense by itself. Raises Refused."""
    path = resolve.checked_absolute(request.path, option="path")
    if path == "/":
        raise Refused("path must not be / itself", "Name the directory that becomes a root.")
    session.check_can_persist(
        request.target,
        request.persistent,
        what="a root",
        hint="Use a named namespace, or leave persistent out. A root on the host stays anyway.",
    )
    if request.rules.id_maps is not None and not request.target.is_host:
        raise Refused(
            "the option id_map is for a root on the host",
            "TargetView a user namespace the owners are shifted by the kernel: leave it out.",
        )
    if request.target.is_host and os.geteuid() != 0:
        raise Refused(
            "unpacking takes root: owners, modes and device nodes are set",
            "Run the task as root (become: true).",
        )
    pinned = digest.checked(request.digest) if request.digest else ""
    return dataclasses.replace(request, path=path, digest=pinned)


def run(request: RootRequest, *, check: bool, progress: Progress) -> RootResult:
    """Bring the root at the path to what is wanted; in check mode only say how.

    Raises Refused before anything was changed, StepFailed for the step that failed.
    """
    with session.opened(
        request.target,
        check=check,
        lock_timeout=request.lock_timeout,
        persistent=request.persistent,
    ) as opened:
        site = Site(
            request.path,
            opened.handles,
            opened.host_proc,
            opened.layout,
            request.lock_timeout,
        )
        return _run(request, opened, site, check=check, progress=progress)


def _source_of(
    request: RootRequest, *, may_be_missing: bool = False
) -> contextlib.AbstractContextManager[Opened]:
    if request.source is None:
        raise Refused("a root needs a source", "Give archive, image, bootstrap or directory.")
    return request.source.opened(may_be_missing=may_be_missing)


def _run(
    request: RootRequest, opened: Session, site: Site, *, check: bool, progress: Progress
) -> RootResult:
    definition = opened.definition
    seen = Seen("absent") if opened.is_to_come else site.look()
    if request.source is None:
        result = _absent(request, site, seen, check=check)
        if definition is not None:
            result.actions += record.forget(definition, request.path, check=check)
        return result
    with _source_of(request, may_be_missing=check) as source:
        result = _present(request, site, seen, source, check=check, progress=progress)
        if definition is not None:
            result.persistent = opened.persistent
            # A directory is to be copied as it is then, unless it was asked for as it is now.
            lasting = request.digest if source.is_followed else result.digest
            step = RootStep(
                path=request.path, digest=lasting, **{**source.recorded(), **request.rules.lasting}
            )
            result.actions += record.record(
                definition, step, persistent=opened.persistent, check=check
            )
        return result


def _present(
    request: RootRequest,
    site: Site,
    seen: Seen,
    source: Opened,
    *,
    check: bool,
    progress: Progress,
) -> RootResult:
    options = request.rules.lasting
    marker = Marker(_digest(request, seen, source), source.facts, options, [], {})
    there = seen.marker
    result = RootResult(before=_described(seen), digest=marker.digest)
    old = seen.old
    if there is not None and (there.digest, there.options) == (marker.digest, options):
        result.config = there.config or ({} if check else source.config())
        result.after = _line(marker)
        if not check and there.facts != marker.facts:
            # The same from elsewhere: known next time without reading it.
            from ..rootfs import build

            build.remember(site, there, there._replace(facts=marker.facts))
        if seen.unfinished:
            _clear_away(request, site, result, check=check)
            old = old if check else site.look().old
        _sweep(request, site, old, result, check=check)
        return result
    _refuse_to_replace(request, seen)
    step = f"{request.source.verb} {request.source} to {request.path}" if request.source else ""
    result.actions.append(step)
    if check or request.target.namespace is not None:
        _refuse_to_empty(request, seen)
    if check:
        result.after = _line(marker)
        if seen.location is not None and not seen.is_mount and seen.state in ("root", "foreign"):
            old += (seen.location,)
    else:
        from ..rootfs import build

        with source.fill(
            on_host=request.target.is_host, patience=request.lock_timeout, progress=progress
        ) as stream:
            built = build.build(
                site,
                stream,
                marker._replace(aliases=source.aliases()),
                rules=request.rules,
                step=step,
                progress=progress,
                config=source.config,
                # Not before: a process there may be that of another run, which is waited for.
                may_go=lambda: _refuse_to_empty(request, site.look()),
            )
        marker, result.warnings = built.marker, built.warnings
        result.digest, result.config = marker.digest, marker.config
        if not built.made:
            result.actions.clear()
        result.after = _line(marker)
        old = site.look().old
    _sweep(request, site, old, result, check=check)
    return result


def _clear_away(request: RootRequest, site: Site, result: RootResult, *, check: bool) -> None:
    """Remove what a killed run left beside a root that is as it should be."""
    from ..rootfs import build

    step = f"remove what a killed run left at {request.path}"
    if check or build.clear_away(site, step=step):
        result.actions.append(step)


def _digest(request: RootRequest, seen: Seen, source: Opened) -> str:
    """The digest of the source, or "" where it can as well be taken while unpacking.

    Raises Refused when it is not the one that was asked for.
    """
    there = seen.marker
    if there is not None and there.facts == source.facts:
        if source.is_followed and not request.follow and not request.digest:
            return there.digest
        known = [there.digest, *there.aliases]
        if request.digest in known or (source.facts_suffice and not request.digest):
            return there.digest
    if source.missing:
        return ""
    if there is None and not request.digest and source.facts_suffice:
        return ""
    found = source.digest()
    if request.digest and request.digest not in (found, *source.aliases()):
        raise Refused(
            f"{request.source} has the digest {found}, not the one asked for, {request.digest}",
            "Fetch the right one, or correct digest.",
            digest=found,
        )
    return found


def _refuse_to_replace(request: RootRequest, seen: Seen) -> None:
    if seen.state == "foreign" and not request.force:
        raise Refused(
            f"{request.path} is not empty and was not made by linux.namespaces.ns_rootfs",
            "Name another path, empty it, or replace all of it with force: true.",
        )
    _refuse_what_cannot_go(request, seen, "replaced")


def _refuse_to_empty(request: RootRequest, seen: Seen) -> None:
    """A root that is a mount point goes at once, not when nobody uses it any more."""
    if seen.is_mount and seen.state == "root":
        _refuse_in_use(request, seen, "End what uses it first: on a mount point it goes at once.")


def _refuse_what_cannot_go(request: RootRequest, seen: Seen, done: str) -> None:
    if seen.is_target_root:
        raise Refused(
            f"{request.path} is the root of {request.target} now and cannot be {done}",
            "Remove the namespace, and create it again.",
            recreate=True,
        )
    if seen.mounts:
        raise Refused(
            f"{request.path} cannot be {done}: {', '.join(seen.mounts[:_NAMED])} is mounted"
            " below it",
            "Unmount it first; for a named namespace, remove that and create it again.",
        )


def _refuse_in_use(request: RootRequest, seen: Seen, hint: str) -> None:
    from ..rootfs import in_use

    if seen.location is None:
        return
    users = in_use.Usage().of(
        seen.location,
        named=request.path,
        on_host=request.target.is_host,
        itself_mounted=seen.is_mount,
    )
    if users:
        raise Refused(f"{request.path} is in use: {', '.join(users[:_NAMED])}", hint, used_by=users)


def _sweep(
    request: RootRequest,
    site: Site,
    old: tuple[Location, ...],
    result: RootResult,
    *,
    check: bool,
) -> None:
    """Remove the roots that were replaced or removed before and that nothing uses any more."""
    if not old:
        return
    from ..rootfs import build

    unused = _unused(request, old, result)
    step = f"remove the old root of {request.path}"
    again = functools.partial(_unused, request, result=RootResult())
    if unused and (check or build.remove_old(site, step=step, unused=again)):
        result.actions.append(step)


def _unused(
    request: RootRequest, old: tuple[Location, ...], result: RootResult
) -> tuple[Location, ...]:
    """The old roots that nothing uses, with a warning for each of the others."""

    from ..rootfs import in_use

    used = in_use.Usage()
    unused = []
    for location in old:
        users = used.of(location, named=request.path, on_host=request.target.is_host)
        if not users:
            unused.append(location)
            continue
        result.warnings.append(
            f"the old root of {request.path} is still in use and goes later: {location.path}"
            f" ({', '.join(users[:_NAMED])})"
        )
    return tuple(unused)


def _absent(request: RootRequest, site: Site, seen: Seen, *, check: bool) -> RootResult:
    result = RootResult(before=_described(seen), after="absent")
    if seen.state == "foreign" and not request.force:
        raise Refused(
            f"{request.path} was not made by linux.namespaces.ns_rootfs",
            "Remove it yourself, or with force: true.",
        )
    if seen.state in ("root", "interrupted", "foreign"):
        _refuse_what_cannot_go(request, seen, "removed")
        if not request.force or seen.is_mount:
            _refuse_in_use(request, seen, "End what uses it first, or take its name with force.")
    is_there = seen.state not in ("absent", "empty") or (
        seen.state == "empty" and not seen.is_mount
    )
    if not is_there and not seen.unfinished:
        _sweep(request, site, seen.old, result, check=check)
        return result
    step = f"remove the root at {request.path}"
    if not check:
        from ..rootfs import build

        old = build.take_away(site, step=step)
        _sweep(request, site, old, result, check=False)
    result.actions = [step]
    return result


def _described(seen: Seen) -> str:
    if seen.marker is not None:
        return _line(seen.marker)
    return "half made" if seen.state == "interrupted" else seen.state


def _line(marker: Marker) -> str:
    return f"{marker.facts.get('source', '')} {marker.digest}".strip()
