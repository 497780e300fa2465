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
from ..errors import Refused
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
        actions.run(name or "note the root", lambda: definitions.save(after))
        if isinstance(before, RootStep) and before.archive not in definitions.archives_of(after):
            _forget_kept(before.archive)
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


def _forget_kept(archive: str) -> None:
    """Remove the archive where it was kept, unless another definition unpacks it too."""
    if not cache.is_kept(archive):
        return
    with contextlib.suppress(Refused):  # one that cannot be read may need it
        for name in definitions.names():
            other = definitions.load(name)
            if other is not None and archive in definitions.archives_of(other):
                return
        cache.forget(archive)
