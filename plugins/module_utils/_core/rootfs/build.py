# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Building a root beside its path and putting it there, and taking one away.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import typing as t

from .. import actions
from ..namespace import enter
from ..storage import removal
from . import ask_parent, brought_along, owners, place, workspace
from .marker import Marker
from .owners import Owners
from .progress import Progress
from .rules import Rules
from .site import CLOSED, Location, Site, Spot, look
from .sources.source import Content
from .tar import decompress, unpack


class Built(t.NamedTuple):
    """The root that is there now."""

    marker: Marker
    warnings: list[str]
    # False where another run, for which this one had to wait, has just made the very same root.
    made: bool = True


def build(
    site: Site,
    content: Content,
    marker: Marker,
    *,
    rules: Rules,
    step: str,
    progress: Progress,
    config: t.Callable[[], dict[str, t.Any]],
    may_go: t.Callable[[], None],
) -> Built:
    """Build what ``content`` fills and put it into place.

    ``marker`` has no digest yet where that is taken on the way. ``may_go`` raises Refused when
    a root that is a mount point, and so goes at once, may not go. Raises StepFailed, Refused.
    """

    with _decompressed(content) as readable:

        def finished() -> Marker:
            readable.verify()
            return marker._replace(digest=readable.digest(), config=config())

        def work(ask: ask_parent.Ask) -> Built:
            with Spot(site.inside(), site.path, make=site.made_with) as spot:
                return _build_at(spot, site, readable, marker, rules=rules, step=step, ask=ask)

        built: Built = _ask_from(
            site,
            work,
            may_go=may_go,
            begin=readable.begin,
            make=readable.make,
            progress=progress,
            finished=finished,
        )
    return built._replace(warnings=[*built.warnings, *content.warnings])


def _ask_from(
    site: Site, work: t.Callable[[ask_parent.Ask], t.Any], **answers: t.Callable[..., t.Any]
) -> t.Any:
    """Call ``work(ask)`` in the target; it may ask for these answers, and for locks."""
    answers.update(workspace.Locks().answers())
    return ask_parent.call(work, joins=site.handles, answers=answers)


@contextlib.contextmanager
def _decompressed(content: Content) -> t.Iterator[Content]:
    """The same with its archive as a tar stream. Raises Refused where that cannot be read here."""
    if content.fd < 0:
        yield content
        return
    with decompress.opened(content.fd, name=content.name) as stream:

        def verify() -> None:
            stream.verify()
            content.verify()

        yield content._replace(fd=stream.fd, verify=verify)


def _build_at(
    spot: Spot,
    site: Site,
    content: Content,
    marker: Marker,
    *,
    rules: Rules,
    step: str,
    ask: ask_parent.Ask,
) -> Built:
    with place.staged(spot, ask=ask, patience=site.patience) as stage:
        spot.reopen()
        there = spot.marker_of(spot.fd) if spot.fd >= 0 else None
        if there is not None and _is_same(there, marker):
            return Built(there, [], made=False)
        if spot.is_mount:
            ask("may_go")
        warnings: list[str] = []

        def fill() -> Marker:
            ask("begin")
            if content.fd < 0:
                ask("make", stage.path)
                unpack.enter(stage.root)
                brought_along.remove()
                if rules.lasting:
                    owners.everything(Owners(rules.id_maps), device_nodes=rules.device_nodes)
            else:
                unpack.enter(stage.root)
                unpacked = unpack.unpack(
                    content.fd,
                    name=content.name,
                    rules=rules,
                    progress=functools.partial(ask, "progress"),
                )
                warnings.extend(unpacked.warnings)
            complete: Marker = ask("finished")
            return complete

        why = functools.partial(_explained, stage.root)
        complete = actions.run(step, fill, explain=why)
        put = functools.partial(place.put, spot, stage, complete)
        actions.run(f"put {site.path} into place", put, explain=why)
        return Built(complete, warnings)


def _is_same(there: Marker, wanted: Marker) -> bool:
    """Whether the root that is there is the wanted one, by its digest or by the same facts."""
    if there.options != wanted.options:
        return False
    return there.digest == wanted.digest if wanted.digest else there.facts == wanted.facts


def _explained(fd: int, error: OSError) -> tuple[str, str]:
    """Why the root on whose file system ``fd`` lies could not be filled, and what to do."""
    if error.errno == errno.EROFS:
        return "the file system is read-only", "Name a path on another one, or remount it."
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return "", ""
    room = os.fstatvfs(fd)
    if room.f_files and not room.f_favail:
        return f"No space left on device: all {room.f_files} inodes are in use", "Make room."
    size = room.f_blocks * room.f_frsize >> 20
    return (
        f"No space left on device: the file system has {size} MB in all",
        "Make room, or use a larger one. The old root needs its room until the new one is whole.",
    )


def close(site: Site) -> None:
    """Let nobody but root enter the directory that the root lies in. Raises Refused, OSError."""

    def work() -> None:
        with Spot(site.inside(), site.path) as spot:
            os.fchmod(spot.parent, CLOSED)

    enter.run_inside(work, joins=site.handles)


def take_away(site: Site, *, step: str) -> tuple[Location, ...]:
    """Take the root and what killed runs left from its path; the roots that are old now.

    Raises StepFailed, Refused.
    """

    def take(ask: ask_parent.Ask) -> None:
        with Spot(site.inside(), site.path) as spot:
            if spot.parent < 0 and spot.fd < 0:
                return
            with place.staged(spot, ask=ask, patience=site.patience) as stage:
                spot.reopen()
                if spot.is_mount:
                    place.clear(spot, stage)
                elif spot.fd >= 0:
                    place.take_away(spot)

    actions.run(step, lambda: _ask_from(site, take))
    return site.look().old


def clear_away(site: Site, *, step: str) -> bool:
    """Remove what a killed run left beside the path; whether anything was removed.

    Nothing is where it is that of a run that is at work. Raises StepFailed, Refused.
    """

    def clear(ask: ask_parent.Ask) -> bool:
        view = site.inside()
        try:
            with (
                Spot(view, site.path) as spot,
                place.staged(spot, ask=ask, patience=0) as stage,
            ):
                return stage.cleared
        except workspace.Busy:
            return False

    return bool(actions.run(step, lambda: _ask_from(site, clear)))


def remove_old(
    site: Site, *, step: str, unused: t.Callable[[tuple[Location, ...]], tuple[Location, ...]]
) -> bool:
    """Remove those of the old roots that ``unused`` picks; whether any was removed.

    Where another run is at work there, that one does it at its end. Raises StepFailed.
    """

    def work(ask: ask_parent.Ask) -> bool:
        view = site.inside()
        try:
            with (
                Spot(view, site.path) as spot,
                place.staged(spot, ask=ask, patience=0),
            ):
                # Looked up and asked about anew: a name may be that of another root by now.
                chosen = ask("unused", look(view, site.path).old)
                for location in chosen:
                    removal.remove(spot.parent, location.path.rpartition("/")[2])
                return bool(chosen)
        except workspace.Busy:
            return False

    return bool(actions.run(step, lambda: _ask_from(site, work, unused=unused)))


def remember(site: Site, before: Marker, after: Marker) -> None:
    """Set the marker of the root that is there anew.

    Where another run is at work, or nothing can be written, it is left: next time the source
    is read once more.
    """

    def write(ask: ask_parent.Ask) -> None:
        view = site.inside()
        with (
            Spot(view, site.path) as spot,
            place.staged(spot, ask=ask, patience=0),
        ):
            spot.reopen()
            if spot.fd >= 0 and spot.marker_of(spot.fd) == before:
                after.write(spot.fd)

    with contextlib.suppress(workspace.Busy, OSError):
        _ask_from(site, write)
