# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The volumes that an image names: each a directory on the host that outlives the image and the namespace.

It begins with what the image has there, as with docker, and is data from then on.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import os
import typing as t

from .. import actions
from ..actions import Action
from ..definition import root as roots
from ..definition.root import OwnRoot
from ..definition.steps import MountStep
from ..namespace.target import Target
from ..rootfs.progress import silent
from ..rootfs.request import RootRequest
from ..rootfs.sources import table
from ..storage import atomic
from . import rootfs

_MODE = 0o700
_MODE_OF_EMPTY = 0o755


def mounts(
    root: OwnRoot, config: t.Mapping[str, t.Any] | None, there: t.Iterable[MountStep]
) -> list[MountStep]:
    """What is mounted for them. Pure.

    ``config`` is what the image says; None where that is not known yet: then they are those that
    are ``there``, by the definition.
    """
    if not root.volumes:
        return []
    if config is None:
        return [step for step in there if step == root.volume(step.path)]
    return [root.volume(path) for path in config.get("volumes", ())]


def making(root: OwnRoot, wanted: t.Sequence[MountStep]) -> list[Action]:
    """What is left to do until these are there. Raises Refused."""
    missing = [step for step in wanted if not os.path.lexists(step.src)]
    if not missing:
        return []
    found = []
    if not os.path.isdir(root.volumes):
        make = functools.partial(atomic.make_directory, root.volumes, mode=_MODE)
        found.append(Action(f"make {root.volumes}", make))
    for step in missing:
        found.append(Action(f"begin volume {step.src}", functools.partial(_begin, root, step)))
    return found


def _begin(root: OwnRoot, step: MountStep) -> None:
    """Copy what the root has there; below it, whatever links are in that."""
    if root.manner == roots.TMPFS:
        atomic.make_directory(step.src, mode=_MODE_OF_EMPTY)
        return
    source = table.of_options({"directory": f"{root.unpacked}{step.path}"})
    with actions.Step(f"begin volume {step.src}"):
        request = RootRequest(target=Target(), path=step.src, source=source)
        rootfs.run(rootfs.checked(request), check=False, progress=silent)
