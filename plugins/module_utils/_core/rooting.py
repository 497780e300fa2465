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

from . import paths, pins
from .errors import Refused
from .inside import open_host_proc
from .layout import Layout
from .rootfs import digest
from .rootfs.digest import Marker
from .rootfs.look import Location, Seen, Site
from .rootfs.rules import DEFAULT, Rules
from .rootfs.source import Opened, Progress, Source
from .targets import Handles, Target

if t.TYPE_CHECKING:
    from .definition import Definition

# Users of a root that are named in messages.
_NAMED = 5


@dataclasses.dataclass(frozen=True)
class Request:
    """A checked request of ns_rootfs: see its documentation for the options.

    Without a ``source`` no root is wanted (state: absent).
    """

    target: Target
    path: str
    source: Source | None = None
    digest: str = ""
    force: bool = False
    rules: Rules = DEFAULT
    persistent: bool | None = None
    lock_timeout: float = 60.0


@dataclasses.dataclass
class Outcome:
    """What was (or in check mode: would be) done, and what the root comes from."""

    actions: list[str] = dataclasses.field(default_factory=list)
    before: str = ""
    after: str = ""
    digest: str = ""
    config: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    persistent: bool = False
    warnings: list[str] = dataclasses.field(default_factory=list)


def checked(request: Request) -> Request:
    """``request`` with a clean path, when it makes sense by itself. Raises Refused."""
    path = paths.checked_absolute(request.path, option="path")
    if path == "/":
        raise Refused("path must not be / itself", "Name the directory that becomes a root.")
    if request.persistent and request.target.namespace is None:
        raise Refused(
            f"a root in {request.target} cannot be persistent: it has no definition",
            "Use a named namespace, or leave persistent out. A root on the host stays anyway.",
        )
    if request.rules.id_maps is not None and not request.target.is_host:
        raise Refused(
            "the option id_map is for a root on the host",
            "Inside a user namespace the owners are shifted by the kernel: leave it out.",
        )
    if request.target.is_host and os.geteuid() != 0:
        raise Refused(
            "unpacking takes root: owners, modes and device nodes are set",
            "Run the task as root (become: true).",
        )
    pinned = digest.checked(request.digest) if request.digest else ""
    return dataclasses.replace(request, path=path, digest=pinned)


def run(request: Request, *, check: bool, progress: Progress) -> Outcome:
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


@contextlib.contextmanager
def _opened(request: Request, definition: Definition | None, *, to_come: bool) -> t.Iterator[Site]:
    target = request.target
    handles = Handles({}) if to_come else target.open(needs="mnt").only({"mnt", "user"})
    layout = definition.layout if definition is not None else Layout()
    with handles:
        host_proc = open_host_proc()
        try:
            yield Site(request.path, handles, host_proc, layout, request.lock_timeout)
        finally:
            os.close(host_proc)


def _source_of(
    request: Request, *, may_be_missing: bool = False
) -> contextlib.AbstractContextManager[Opened]:
    if request.source is None:
        raise Refused("a root needs a source", "Give archive, image, bootstrap or directory.")
    return request.source.opened(may_be_missing=may_be_missing)


def _run(request: Request, *, check: bool, progress: Progress) -> Outcome:
    definition = None
    if request.target.namespace is not None:
        from . import definition as definitions
        from . import root_steps

        definition = definitions.load(request.target.namespace)
    to_come = check and not request.target.exists()
    with _opened(request, definition, to_come=to_come) as site:
        seen = Seen("absent") if to_come else site.look()
        if request.source is None:
            outcome = _absent(request, site, seen, check=check)
            if definition is not None:
                outcome.actions += root_steps.forget(definition, request.path, check=check)
            return outcome
        with _source_of(request, may_be_missing=check) as source:
            outcome = _present(request, site, seen, source, check=check, progress=progress)
            if definition is not None:
                outcome.persistent = definition.persistent and request.persistent is not False
                outcome.actions += root_steps.record(
                    definition,
                    request.path,
                    {**source.recorded(), "digest": outcome.digest, **request.rules.lasting},
                    persistent=outcome.persistent,
                    check=check,
                )
            return outcome


def _present(
    request: Request,
    site: Site,
    seen: Seen,
    source: Opened,
    *,
    check: bool,
    progress: Progress,
) -> Outcome:
    options = request.rules.lasting
    marker = Marker(_digest(request, seen, source), source.facts, options, [], {})
    there = seen.marker
    outcome = Outcome(before=_described(seen), digest=marker.digest)
    old = seen.old
    if there is not None and (there.digest, there.options) == (marker.digest, options):
        outcome.config = there.config or ({} if check else source.config())
        outcome.after = _line(marker)
        if not check and there.facts != marker.facts:
            # The same from elsewhere: known next time without reading it.
            from .rootfs import build

            build.remember(site, there, there._replace(facts=marker.facts))
        if seen.unfinished:
            _clear_away(request, site, outcome, check=check)
            old = old if check else site.look().old
        _sweep(request, site, old, outcome, check=check)
        return outcome
    _refuse_to_replace(request, seen)
    step = f"{request.source.verb} {request.source} to {request.path}" if request.source else ""
    outcome.actions.append(step)
    if check or request.target.namespace is not None:
        _refuse_to_empty(request, seen)
    if check:
        outcome.after = _line(marker)
        if seen.location is not None and not seen.is_mount and seen.state in ("root", "foreign"):
            old += (seen.location,)
    else:
        from .rootfs import build

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
        marker, outcome.warnings = built.marker, built.warnings
        outcome.digest, outcome.config = marker.digest, marker.config
        if not built.made:
            outcome.actions.clear()
        outcome.after = _line(marker)
        old = site.look().old
    _sweep(request, site, old, outcome, check=check)
    return outcome


def _clear_away(request: Request, site: Site, outcome: Outcome, *, check: bool) -> None:
    """Remove what a killed run left beside a root that is as it should be."""
    from .rootfs import build

    step = f"remove what a killed run left at {request.path}"
    if check or build.clear_away(site, step=step):
        outcome.actions.append(step)


def _digest(request: Request, seen: Seen, source: Opened) -> str:
    """The digest of the source, or "" where it can as well be taken while unpacking.

    Raises Refused when it is not the one that was asked for.
    """
    there = seen.marker
    if there is not None and there.facts == source.facts:
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


def _refuse_to_replace(request: Request, seen: Seen) -> None:
    if seen.state == "foreign" and not request.force:
        raise Refused(
            f"{request.path} is not empty and was not made by linux.namespaces.ns_rootfs",
            "Name another path, empty it, or replace all of it with force: true.",
        )
    _refuse_what_cannot_go(request, seen, "replaced")


def _refuse_to_empty(request: Request, seen: Seen) -> None:
    """A root that is a mount point goes at once, not when nobody uses it any more."""
    if seen.is_mount and seen.state == "root":
        _refuse_in_use(request, seen, "End what uses it first: on a mount point it goes at once.")


def _refuse_what_cannot_go(request: Request, seen: Seen, done: str) -> None:
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


def _refuse_in_use(request: Request, seen: Seen, hint: str) -> None:
    from .rootfs import usage

    if seen.location is None:
        return
    users = usage.Usage().of(
        seen.location,
        named=request.path,
        on_host=request.target.is_host,
        itself_mounted=seen.is_mount,
    )
    if users:
        raise Refused(f"{request.path} is in use: {', '.join(users[:_NAMED])}", hint, used_by=users)


def _sweep(
    request: Request,
    site: Site,
    old: tuple[Location, ...],
    outcome: Outcome,
    *,
    check: bool,
) -> None:
    """Remove the roots that were replaced or removed before and that nothing uses any more."""
    if not old:
        return
    from .rootfs import build

    unused = _unused(request, old, outcome)
    step = f"remove the old root of {request.path}"
    again = functools.partial(_unused, request, outcome=Outcome())
    if unused and (check or build.remove_old(site, step=step, unused=again)):
        outcome.actions.append(step)


def _unused(request: Request, old: tuple[Location, ...], outcome: Outcome) -> tuple[Location, ...]:
    """The old roots that nothing uses, with a warning for each of the others."""
    from .rootfs import usage

    used = usage.Usage()
    unused = []
    for location in old:
        users = used.of(location, named=request.path, on_host=request.target.is_host)
        if not users:
            unused.append(location)
            continue
        outcome.warnings.append(
            f"the old root of {request.path} is still in use and goes later: {location.path}"
            f" ({', '.join(users[:_NAMED])})"
        )
    return tuple(unused)


def _absent(request: Request, site: Site, seen: Seen, *, check: bool) -> Outcome:
    outcome = Outcome(before=_described(seen), after="absent")
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
        _sweep(request, site, seen.old, outcome, check=check)
        return outcome
    step = f"remove the root at {request.path}"
    if not check:
        from .rootfs import build

        old = build.take_away(site, step=step)
        _sweep(request, site, old, outcome, check=False)
    outcome.actions = [step]
    return outcome


def _described(seen: Seen) -> str:
    if seen.marker is not None:
        return _line(seen.marker)
    return "half made" if seen.state == "interrupted" else seen.state


def _line(marker: Marker) -> str:
    return f"{marker.facts.get('source', '')} {marker.digest}".strip()
