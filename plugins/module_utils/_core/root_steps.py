# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the definition of a named namespace records of the roots that were unpacked in it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from . import definition as definitions
from . import steps
from .definition import Definition


def record(
    definition: Definition, path: str, step: dict[str, t.Any], *, persistent: bool, check: bool
) -> list[str]:
    """Record how the root at the path is unpacked; what was done, or would be in check mode.

    Raises StepFailed.
    """
    before = definition.find("unpack", path)
    after = definition.with_step({"do": "unpack", "path": path, **step}, persistent=persistent)
    if after == definition:
        return []
    name = f"record the root at {path}"
    if not check:
        steps.run(name, lambda: definitions.save(after))
        if before is not None and before.get("archive") != step.get("archive"):
            _forget_kept(before)
    return [name]


def forget(definition: Definition, path: str, *, check: bool) -> list[str]:
    """Record no root at the path; what was done, or would be in check mode. Raises StepFailed."""
    before = definition.find("unpack", path)
    if before is None:
        return []
    name = f"forget the root at {path}"
    if not check:
        after = definition.without_step("unpack", path)
        steps.run(name, lambda: definitions.save(after))
        _forget_kept(before)
    return [name]


def _forget_kept(recorded: t.Mapping[str, t.Any]) -> None:
    """Remove the archive that was kept for the step, unless another one unpacks it too."""
    from .rootfs import kept

    archive = recorded.get("archive", "")
    if archive not in definitions.archives(definitions.names()):
        kept.forget(archive)
