# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_rootfs does: look, compare with the source, bring the root to what is wanted, record it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t

from ..errors import Refused
from ..mount import resolve
from ..rootfs import digests, reach
from ..rootfs.marker import Marker
from ..rootfs.request import RootRequest, RootResult
from ..rootfs.site import CLOSED, OPEN, Seen, Site
from ..rootfs.sources import cache
from ..rootfs.sources.source import Opened
from . import session

if t.TYPE_CHECKING:
    from ..rootfs.progress import Progress


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
            "Inside a user namespace the owners are shifted by the kernel: leave it out.",
        )
    if request.target.is_host and os.geteuid() != 0:
        raise Refused(
            "unpacking takes root: owners, modes and device nodes are set",
            "Run the task as root (become: true).",
        )
    pinned = digests.checked(request.digest) if request.digest else ""
    return dataclasses.replace(request, path=path, digest=pinned)


def run(request: RootRequest, *, check: bool, progress: Progress) -> RootResult:
    """Bring the root at the path to what is wanted; in check mode only say how.

    Raises Refused before anything was changed, StepFailed for the step that failed.
    """
    changed = True  # so also where it fails
    try:
        result = _run(request, check=check, progress=progress)
        changed = bool(result.actions)
        return result
    finally:
        # What was kept for a target without a definition is of use until the next such run.
        is_named = request.target.namespace is not None
        if not check and is_named and os.path.isdir(cache.DIRECTORY) and (changed or cache.left()):
            # 12 ms to compile, for a host where nothing is kept.
            from ..rootfs import record

            record.clear_away()


def _run(request: RootRequest, *, check: bool, progress: Progress) -> RootResult:
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
            OPEN,
            request.lock_timeout,
        )
        seen = Seen("absent") if opened.is_to_come else site.look()
        reached_by = _reached_by(request, seen)
        closing = _closing(request, seen, reached_by)
        if reached_by or (request.target.is_host and not request.reachable):
            site = site._replace(made_with=CLOSED)
        with _source(request, seen, check=check) as source:
            wanted = _wanted(request, seen, source)
            result = _result(seen, source, wanted, check=check)
            if closing:
                result.before += ", in reach of other users"
            lost = _lost(request, wanted) if opened.definition is not None else ""
            if closing or lost or not _is_settled(seen, wanted):
                # 13 ms to compile, which a root that is as it should be does not cost.
                from ..rootfs import change

                work = change.Work(
                    request, site, seen, source, wanted, closing, lost, check, progress
                )
                change.carry_out(work, result)
            if opened.definition is not None:
                result.persistent = opened.persistent and wanted is not None
                # 7 ms to compile, with the definition, for a target that has none.
                from ..rootfs import record

                result.actions += record.update(
                    opened.definition,
                    request,
                    result.digest,
                    persistent=opened.persistent,
                    check=check,
                )
        return result


def _lost(request: RootRequest, wanted: Marker | None) -> str:
    """The archive that is kept of the root, where it is lost at a first look; else empty."""
    if wanted is None or not wanted.digest:
        return ""
    from ..rootfs import record

    path = record.kept_of(request, wanted.digest)
    return path if path and not cache.is_whole(path) else ""


def _reached_by(request: RootRequest, seen: Seen) -> str:
    """Where users of the host reach a root that they are not to reach; else empty. Raises Refused."""
    if request.source is None or request.reachable or os.geteuid() != 0:
        return ""  # what a plain user unpacks is his own
    if seen.above is None or not seen.above.can_be_roots:
        return ""
    # Of one that is a mount point all mounts are looked at below.
    mounted_on = ""
    if seen.location is not None and seen.above.is_above:
        mounted_on = reach.by_mount_of(seen.location)
    if mounted_on:
        raise Refused(
            f"every user of the host can reach {request.path}, which is mounted on {mounted_on} as"
            " well, and run the setuid programs in it as their owner",
            "Unmount it there, or have it there with nosuid, below a directory that only root can"
            " enter; or allow it with reachable: true.",
        )
    return reach.by(seen.above)


def _closing(request: RootRequest, seen: Seen, reached_by: str) -> str:
    """The directory that is to be closed to other users; empty for none. Raises Refused."""
    above = seen.above
    if not reached_by or above is None or (above.is_above and not above.is_there):
        return ""  # where it is still to be made, it is made so
    if above.is_for_it_alone:
        return above.location.path
    directory = reached_by if above.is_above else os.path.dirname(reached_by)
    raise Refused(
        f"every user of the host can reach {request.path}, and run the setuid programs in it as"
        " their owner",
        f"Close a directory above it, as by chmod 700 {directory} where that is for it alone; name a"
        " path in a directory that is still to be made; or allow it with reachable: true.",
    )


@contextlib.contextmanager
def _source(request: RootRequest, seen: Seen, *, check: bool) -> t.Iterator[Opened | None]:
    """The source that was looked at; None where there is none, or it is not to be looked at."""
    if request.source is None or (not request.follow and _is_made_of(request, seen)):
        yield None
        return
    with request.source.opened(may_be_missing=check) as source:
        yield source


def _is_made_of(request: RootRequest, seen: Seen) -> bool:
    """Whether a root is there that was made of the source, in the way that is asked for."""
    there = seen.marker
    if there is None or there.options != request.rules.lasting:
        return False
    if request.digest:
        return there.digest == request.digest
    return there.facts.get("source") == str(request.source)


def _wanted(request: RootRequest, seen: Seen, source: Opened | None) -> Marker | None:
    """What is to be there; None for no root. Raises Refused where the source is the wrong one."""
    if source is not None:
        digest = _digest(request, seen, source)
        return Marker(digest, source.facts, request.rules.lasting, [], {})
    return None if request.source is None else seen.marker


def _digest(request: RootRequest, seen: Seen, source: Opened) -> str:
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
            "It is another one, or was changed since: bring back what it was, or correct digest.",
            digest=found,
        )
    return found


def _result(seen: Seen, source: Opened | None, wanted: Marker | None, *, check: bool) -> RootResult:
    """The result where nothing has to be done."""
    result = RootResult(before=str(seen), after="absent")
    if wanted is not None:
        result.digest, result.after = wanted.digest, str(wanted)
        there = seen.marker
        if there is not None and there.matches(wanted):
            result.config = there.config
            if not there.config and source is not None and not check:
                result.config = source.config()  # its marker may have had no room for it
    return result


def _is_settled(seen: Seen, wanted: Marker | None) -> bool:
    """Whether nothing has to be done, and nothing is left of earlier runs."""
    if seen.unfinished or seen.old:
        return False
    if wanted is None:
        return seen.is_none
    there = seen.marker
    return there is not None and there.matches(wanted) and there.facts == wanted.facts
