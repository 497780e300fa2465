# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The ids of users and groups that a request of ns_mount names: see mount/ids.py.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import types
import typing as t

from ..errors import KernelError, Refused
from ..mount.view import TargetView
from ..mount.wanted import WantedMount
from ..mount.words import have_names
from .session import Session

if t.TYPE_CHECKING:
    from ..definition.steps import MountStep


def settled(
    wanted: t.Sequence[WantedMount],
    recorded: t.Mapping[int, MountStep],
    opened: Session,
    *,
    may_be_missing: bool,
) -> tuple[tuple[WantedMount, ...], dict[int, MountStep]]:
    """The mounts, and what is recorded of them, with numbers in the place of names.

    A mount that lies in a root which is still to be mounted keeps its names; so does one with a name
    that nobody has, where an earlier task may bring it (``may_be_missing``). Raises Refused.
    """
    named = [
        index
        for index, mount in enumerate(wanted)
        if mount.state != "unmounted" and not mount.left_out and have_names(mount.words)
    ]
    if not named or opened.is_to_come:
        return tuple(wanted), dict(recorded)
    # 3 ms to load, with accounts, for who has a name; before the target is entered.
    from ..mount import ids

    look = functools.partial(
        _look, ids=ids, named=named, wanted=wanted, recorded=recorded, may_be_missing=may_be_missing
    )
    found, steps = opened.call(look)
    mounts = [found.get(index, mount) for index, mount in enumerate(wanted)]
    return tuple(mounts), {**recorded, **steps}


def _look(
    view: TargetView,
    *,
    ids: types.ModuleType,
    named: t.Iterable[int],
    wanted: t.Sequence[WantedMount],
    recorded: t.Mapping[int, MountStep],
    may_be_missing: bool,
) -> tuple[dict[int, WantedMount], dict[int, MountStep]]:
    found: dict[int, WantedMount] = {}
    steps: dict[int, MountStep] = {}
    for index in named:
        mount, step = wanted[index], recorded.get(index)
        try:
            with view.base(mount.path):
                pass
        except (KernelError, Refused):
            continue  # its root is still to be mounted
        database = ids.database_of(mount.path, view)
        try:
            words = ids.with_ids(mount.words, database, path=mount.path)
        except Refused:
            if may_be_missing:
                continue
            raise
        found[index] = mount.replace(words=words, given=mount.step())
        if step is not None:
            try:
                words = ids.with_ids(step.words, database, path=step.path)
                steps[index] = step.replace(words=words)
            except Refused:  # one of last time is gone
                continue
    return found, steps
