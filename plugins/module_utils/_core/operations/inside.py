# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a named namespace looks like from inside, as it is now.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .. import once
from ..definition.model import Definition
from ..mount.table import Mount
from ..mount.view import TargetView
from ..namespace import pins
from ..namespace.target import Target
from . import session


class View(t.NamedTuple):
    """A namespace as it is."""

    # The new roots that it was pivoted to.
    pivoted: tuple[str, ...]
    mounts: list[Mount]


def look(definition: Definition) -> View | None:
    """The namespace as it is, or None where it has no mount namespace now."""
    return _looked_at(definition.name)


@once.kept
def _looked_at(name: str) -> View | None:
    if "mnt" not in pins.pinned(name):
        return None
    view: View = called_inside(name, lambda view: View(view.layout.pivoted, view.mounts()))
    once.note(("mounts", pins.pinned(name)["mnt"]), view.mounts)
    return view


def called_inside(name: str, function: t.Callable[[TargetView], t.Any]) -> t.Any:
    """What the function answers in the mount namespace of the name."""
    target = Target(namespace=name)
    with session.opened(target, check=True, lock_timeout=0) as opened:
        return opened.call(function)
