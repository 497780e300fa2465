# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the definition of a named namespace records of the roots that were unpacked in it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import typing as t

from .. import actions
from ..definition import file as definitions
from ..definition.model import Definition
from ..definition.steps import RootStep, Step
from ..errors import Refused

if t.TYPE_CHECKING:
    from .rules import Rules
    from .source import Source


def record(definition: Definition, step: RootStep, *, persistent: bool, check: bool) -> list[str]:
    """Record how a root is unpacked; what was done, or would be in check mode. Raises StepFailed."""
    before = definition.find(RootStep.do, step.path)
    after = definition.with_step(step, persistent=persistent)
    if after == definition:
        return []
    name = f"record the root at {step.path}"
    if not check:
        actions.run(name, lambda: definitions.save(after))
        if before is not None and getattr(before, "archive", "") != step.archive:
            _forget_kept(before)
    return [name]


def forget(definition: Definition, path: str, *, check: bool) -> list[str]:
    """Record no root at the path; what was done, or would be in check mode. Raises StepFailed."""
    before = definition.find(RootStep.do, path)
    if before is None:
        return []
    name = f"forget the root at {path}"
    if not check:
        after = definition.without_step(RootStep.do, path)
        actions.run(name, lambda: definitions.save(after))
        _forget_kept(before)
    return [name]


def _forget_kept(step: Step) -> None:
    """Remove the archive that was kept for the step, unless another one unpacks it too."""
    from . import cache

    if not isinstance(step, RootStep) or not cache.is_kept(step.archive):
        return
    with contextlib.suppress(Refused):  # one that cannot be read may need it
        for name in definitions.names():
            other = definitions.load(name)
            if other is not None and step.archive in definitions.archives_of(other):
                return
        cache.forget(step.archive)


def source_of(step: RootStep) -> Source:
    """The source that the step records, with the digest of the root that was made of it.

    An archive of the user's is read for its digest. One that was kept has the digest of what it
    was made from, which cannot be told from it.
    """
    from . import cache
    from .archive import Archive
    from .directory import Directory

    if step.directory:
        return Directory(step.directory)
    is_kept = step.archive == cache.path_of(step.digest)
    return Archive(step.archive, known_digest=step.digest if is_kept else "")


def rules_of(step: RootStep) -> Rules:
    """The rules that the step records. Raises Refused."""
    from ..namespace import id_map
    from .rules import Rules

    maps = None
    if step.id_map is not None:
        maps = id_map.parse(step.id_map, id_map.Caller.of_this_process())
    return Rules(device_nodes=step.device_nodes, id_maps=maps)
