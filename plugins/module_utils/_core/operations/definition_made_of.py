# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which generation of a named namespace serves, and what its root was made of.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..definition import root as roots
from ..definition.model import Definition
from ..definition.steps import RootStep
from ..errors import Refused
from ..mount.view import open_host_proc

if t.TYPE_CHECKING:
    from ..definition.generations import Generations

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def shown(definition: Definition | None) -> dict[str, t.Any] | None:
    """The generation of what a definition describes, as data; None where it has no root of its own.

    Raises Refused where what is kept of generations is damaged.
    """
    if definition is None or definition.own_root is None:
        return None
    # With what it loads 2 ms to compile, for what most do not have.
    from ..definition import generations

    found, number = generations.load(definition.name), definition.own_root.generation
    return {
        "number": number,
        "made_of": made_of(definition),
        "before": [{"number": each.number, "made_of": each.made_of} for each in found.but(number)],
        "failed": _cut_short(definition.name, found) or found.failed,
    }


def _cut_short(name: str, found: Generations) -> str:
    if not found.switching_from:
        return ""
    return (
        "it is just switched to another generation, or a run that did so was cut short: `nsctl up"
        f" {name}` goes back to generation {found.switching_from} then"
    )


def made_of(definition: Definition) -> str:
    """What its root was made of, for people; empty where that is not known, or there is none of its own."""
    root = definition.own_root
    if root is None:
        return ""
    if root.manner == roots.TMPFS:
        step = definition.find(RootStep.do, root.new_root)
        if not isinstance(step, RootStep):
            return ""
        return f"{step.archive or step.directory} {step.digest}".strip()
    # With what it loads 5 ms to compile, for what most do not have.
    from ..rootfs.marker import Marker

    with contextlib.suppress(OSError, Refused):
        fd, host_proc = os.open(root.unpacked, _DIRECTORY), open_host_proc()
        try:
            return str(Marker.read(fd, host_proc) or "")
        finally:
            os.close(fd)
            os.close(host_proc)
    return ""
