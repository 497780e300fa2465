# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What named namespaces have of the host's files, and who of them is in the way of another by that.

Many may show one directory at the same time, as long as none of them makes it. Pure.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..definition.layout import ancestors, is_below
from .definition_request import DefinitionRequest

if t.TYPE_CHECKING:
    from ..mount.wanted import WantedMount

_MKDIR = "X-mount.mkdir"
Key = tuple[str, str]


class Paths:
    """Those of all the requests."""

    def __init__(self, requests: t.Sequence[DefinitionRequest]) -> None:
        self._held: set[str] = set()
        # Those that are held below a path.
        self._below: dict[str, list[str]] = {}
        self._made: set[str] = set()
        # What is shown, and the directories above it.
        self._looked_at: set[str] = set()
        for request in requests:
            self._held.update(_held(request))
            self._made.update(_made(request))
            for path in _shown(request):
                self._looked_at.update(_on_way(path))
        for path in self._held:
            for above in _on_way(path):
                self._below.setdefault(above, []).append(path)

    def keys(self, request: DefinitionRequest) -> t.Iterator[Key]:
        """What nobody who has the same key may work on at the same time."""
        for path in (*_held(request), *_shown(request)):
            for other in (*_on_way(path), *self._below.get(path, ())):
                if other in self._held:
                    yield "path", other
        for path in _shown(request):
            for above in _on_way(path):
                if above in self._made:
                    yield "made", above
        for path in _made(request):
            if path in self._looked_at:
                yield "made", path


def _on_way(path: str) -> t.Iterator[str]:
    yield from ancestors(path)
    yield path


def _held(request: DefinitionRequest) -> t.Iterator[str]:
    """What it makes for itself alone, and file systems that know of one who has them mounted."""
    if request.root is not None or request.files:
        yield request.home
    if request.root is not None and request.root.volumes:
        yield request.root.volumes
    for mount in _of_host(request):
        if not mount.options.bind:
            yield from mount.files


def _shown(request: DefinitionRequest) -> t.Iterator[str]:
    """What it shows, or copies, as it finds it."""
    for mount in _of_host(request):
        if mount.options.bind:
            yield mount.src
    if request.root is not None:
        for option in ("archive", "directory"):
            if request.root.source.get(option):
                yield str(request.root.source[option])


def _made(request: DefinitionRequest) -> t.Iterator[str]:
    """The directories on the host that it makes to mount something there."""
    for mount in request.mounts:
        if _MKDIR not in "".join(mount.words):
            continue
        above = [
            each for each in request.mounts if each is not mount and is_below(mount.path, each.path)
        ]
        if above:
            nearest = max(above, key=lambda each: len(each.path))
            if nearest.options.bind and nearest.src_in == "host":
                yield f"{nearest.src.rstrip('/')}{mount.path[len(nearest.path.rstrip('/')) :]}"
        elif request.root is None:
            yield mount.path


def _of_host(request: DefinitionRequest) -> t.Iterator[WantedMount]:
    return (mount for mount in request.mounts if mount.src_in == "host")
