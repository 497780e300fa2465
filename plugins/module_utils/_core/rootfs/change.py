# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Bringing the root at a path to what is wanted: what may go, what is built, what is left over.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import typing as t

from .. import actions
from ..errors import Refused
from . import build
from .in_use import Usage
from .marker import Marker
from .progress import Progress
from .request import RootRequest, RootResult, removal_of_old
from .site import Location, Seen, Site
from .sources.source import Opened

# Users of a root that are named in messages.
_NAMED = 5


class Work(t.NamedTuple):
    """A request with what was found out about it."""

    request: RootRequest
    site: Site
    seen: Seen
    # None where no root is wanted, or the one that is there stays without a look at its source.
    source: Opened | None
    # What is to be there; None for no root. Without a digest where that is taken while unpacking.
    wanted: Marker | None
    # The directory above that is to be closed to other users; empty for none.
    closing: str
    # The archive that is kept of the source and has been lost, at a first look; empty for none.
    lost: str
    # Only say what would be done.
    check: bool
    progress: Progress


def carry_out(work: Work, result: RootResult) -> None:
    """Do what is to be done, or in check mode say it, and complete the result.

    Raises Refused before anything was changed, StepFailed for the step that failed.
    """
    there = work.seen.marker
    if work.wanted is None:
        _remove(work, result)
    elif there is not None and there.matches(work.wanted):
        _settle(work, there, work.wanted, result)
    elif work.source is not None:
        _replace(work, work.source, work.wanted, result)


def _settle(work: Work, there: Marker, wanted: Marker, result: RootResult) -> None:
    """See to what was left beside a root that is as it should be."""
    site, old = work.site, work.seen.old
    _close(work, result)
    if there.facts != wanted.facts and not work.check:
        # The same from elsewhere: known next time without reading it.
        build.remember(site, there, there._replace(facts=wanted.facts))
    if work.seen.unfinished:
        step = f"remove what a killed run left at {work.request.path}"
        if work.check or build.clear_away(site, step=step):
            result.actions.append(step)
        old = old if work.check else site.look().old
    _sweep(work, old, result)
    source = work.source
    if work.lost and source is not None:
        step = f"keep {work.request.source} anew as {work.lost}"
        if not work.check:
            actions.run(step, functools.partial(_keep_anew, work, source))
        result.actions.append(step)


def _keep_anew(work: Work, source: Opened) -> None:
    patience = work.request.lock_timeout
    with source.content(on_host=False, patience=patience, progress=work.progress):
        pass


def _replace(work: Work, source: Opened, wanted: Marker, result: RootResult) -> None:
    request, site, seen = work.request, work.site, work.seen
    _refuse_to_replace(request, seen)
    if work.check or request.target.namespace is not None:
        _refuse_to_empty(request, seen)
    # First: what is put there is out of reach from the beginning.
    _close(work, result)
    step = f"{request.source.verb} {request.source} to {request.path}" if request.source else ""
    result.actions.append(step)
    result.replaces = True
    if work.check:
        old = seen.old
        if seen.location is not None and not seen.is_mount and seen.state in ("root", "foreign"):
            old += (seen.location,)
        _sweep(work, old, result)
        return
    with source.content(
        on_host=request.target.is_host, patience=request.lock_timeout, progress=work.progress
    ) as content:
        built = build.build(
            site,
            content,
            wanted._replace(aliases=source.aliases()),
            rules=request.rules,
            step=step,
            progress=work.progress,
            config=source.config,
            # Not before: a process there may be that of another run, which is waited for.
            may_go=lambda: _refuse_to_empty(request, site.look()),
        )
    result.warnings = built.warnings
    result.digest, result.config = built.marker.digest, built.marker.config
    result.after = str(built.marker)
    if not built.made:
        result.actions.remove(step)
    _sweep(work, site.look().old, result)


def _close(work: Work, result: RootResult) -> None:
    if not work.closing:
        return
    step = f"close {work.closing} to other users"
    if not work.check:
        actions.run(step, lambda: build.close(work.site))
    result.actions.append(step)


def _remove(work: Work, result: RootResult) -> None:
    request, seen = work.request, work.seen
    if seen.state == "foreign" and not request.force:
        raise Refused(
            f"{request.path} was not made by linux.namespaces.ns_rootfs",
            "Remove it yourself, or with force: true.",
        )
    if seen.state in ("root", "interrupted", "foreign"):
        _refuse_what_cannot_go(request, seen, "removed")
        if not request.force or seen.is_mount:
            _refuse_in_use(request, seen, "End what uses it first, or take its name with force.")
    if seen.is_none and not seen.unfinished:
        _sweep(work, seen.old, result)
        return
    step = f"remove the root at {request.path}"
    if not work.check:
        _sweep(work, build.take_away(work.site, step=step), result)
    result.actions = [step]


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
    if seen.location is None:
        return
    users = Usage().of(
        seen.location,
        named=request.path,
        on_host=request.target.is_host,
        itself_mounted=seen.is_mount,
    )
    if users:
        raise Refused(f"{request.path} is in use: {', '.join(users[:_NAMED])}", hint, used_by=users)


def _sweep(work: Work, old: tuple[Location, ...], result: RootResult) -> None:
    """Remove the roots that were replaced or removed before and that nothing uses any more."""
    if not old:
        return
    request = work.request
    unused = _unused(request, old, result)
    step = removal_of_old(request.path)
    again = functools.partial(_unused, request, result=RootResult())
    if unused and (work.check or build.remove_old(work.site, step=step, unused=again)):
        result.actions.append(step)


def _unused(
    request: RootRequest, old: tuple[Location, ...], result: RootResult
) -> tuple[Location, ...]:
    """The old roots that nothing uses, with a warning for each of the others."""
    used = Usage()
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
