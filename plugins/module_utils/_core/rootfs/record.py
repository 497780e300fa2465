# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the definition of a named namespace records of the roots that were unpacked in it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib

from .. import actions
from ..definition import file as definitions
from ..definition.model import Definition
from ..definition.steps import RootStep
from ..install import instance
from ..namespace import pins
from ..namespace.target import Target
from .request import RootRequest
from .rules import Rules
from .sources import cache, table
from .sources.archive import Archive
from .sources.source import Source


def update(
    definition: Definition, request: RootRequest, digest: str, *, persistent: bool, check: bool
) -> list[str]:
    """Record the root that was asked for, made of what has the digest, or that there is none.

    What was done, or would be in check mode. Raises StepFailed.
    """
    before = definition.find(RootStep.do, request.path)
    if request.source is None:
        if before is None:
            return []
        name = f"forget the root at {request.path}"
        after = definition.without_step(RootStep.do, request.path)
    else:
        step = _step_of(request, request.source, digest)
        after = definition.with_step(step, persistent=persistent)
        if after == definition:
            return []
        # Else it was missing until now, as the definition says it.
        is_new = after.steps_differ(definition)
        name = f"record the root at {request.path}" if is_new else ""
    if not check:
        actions.run(name or "note the root", lambda: instance.keep(after))
    return [name] if name else []


def _step_of(request: RootRequest, source: Source, digest: str) -> RootStep:
    # What may change is to be as it is then, unless the task says what it has to be.
    lasting = request.digest if source.is_followed else digest
    return RootStep(
        path=request.path,
        digest=lasting,
        device_nodes=request.rules.device_nodes,
        **source.recorded(digest),
    )


def request_of(
    step: RootStep, target: Target, *, persistent: bool | None, lock_timeout: float
) -> RootRequest:
    """The request of which the step was recorded; a root that is there already stays.

    Raises Refused.
    """
    return RootRequest(
        target=target,
        path=step.path,
        source=_source_of(step),
        digest=step.digest,
        rules=Rules(device_nodes=step.device_nodes),
        persistent=persistent,
        lock_timeout=lock_timeout,
        follow=False,
        # The task that was recorded has seen to it, or was told to leave it.
        reachable=True,
    )


def _source_of(step: RootStep) -> Source:
    """See Source.recorded(): what was made of an image is made again of the archive kept of it."""
    if step.directory:
        return table.of_options({"directory": step.directory})
    # An archive of the user's is read for its digest. One that was kept has that of its source.
    is_kept = step.archive == cache.path_of(step.digest)
    return Archive(step.archive, known_digest=step.digest if is_kept else "")


def kept_of(request: RootRequest, digest: str) -> str:
    """The path of the archive that is kept of the source, which has the digest; else empty."""
    path = request.source.recorded(digest).get("archive", "") if request.source else ""
    return path if cache.is_kept(path) else ""


def clear_away() -> None:
    """Remove of the archives that are kept those that no definition names, and what killed runs left.

    Not those that another run is about to record. Where a definition cannot be read, which may name
    any, all of them stay.
    """
    # 5 ms to compile, for a host where none is kept.
    from .sources import kept

    with contextlib.suppress(OSError):  # the next run tries again
        kept.clear_away(_named)


def _named() -> set[str]:
    """The archives that the definitions name. Raises Refused where one cannot be read."""
    found: set[str] = set()
    for name in {*definitions.names(), *pins.names()}:
        definition = definitions.load(name)
        if definition is not None:
            found |= definitions.archives_of(definition)
    return found
