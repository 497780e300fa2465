# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The interfaces of a named namespace, as part of what ns_namespace makes of it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import typing as t

from ..actions import Action
from ..definition import file as definitions
from ..definition.link import Link
from ..definition.model import LINKS
from ..install import instance
from ..link import forward_needs
from ..link.plan import Wanted
from ..namespace.target import Target
from . import link_actions, link_names


def planned(
    name: str,
    links: tuple[Link, ...],
    old: tuple[Link, ...],
    *,
    kinds: t.Collection[str],
    missing: t.Collection[str],
    check: bool,
    leaving: tuple[Link, ...] = (),
) -> list[Action]:
    """What makes its interfaces these, and records them; ``old`` are those that are recorded.

    It has these ``kinds``, of which the ``missing`` ones are made just before, and those interfaces are
    ``leaving`` that go with what is removed first. Raises Refused, KernelError, OSError.
    """
    is_to_come = "net" in missing
    gone = tuple(sorted({link.name for link in old} - {link.name for link in links}))
    alias = forward_needs.alias_of(name)
    wanted = Wanted(links, gone, old=old, alias=alias, leaving=leaving)
    done = link_actions.planned(
        Target(namespace=name), wanted, is_to_come=is_to_come, check_mode=check
    )
    whole = of_whole(name, links, has_mounts="mnt" in kinds, is_to_come="mnt" in missing)
    actions = [*done.actions, *whole]
    if is_to_come or before(links, old) != links or _is_missing(name):
        actions = [*actions, Action(recording(name), functools.partial(record, name, links))]
    return actions


def of_whole(
    name: str, links: tuple[Link, ...], *, has_mounts: bool, is_to_come: bool = False
) -> list[Action]:
    """What follows from all its interfaces together: what the host passes on, and names.

    ``has_mounts`` and ``is_to_come`` are those of link_names.planned(). Raises Refused, KernelError, OSError.
    """
    names = link_names.planned(name, links, has_mounts=has_mounts, is_to_come=is_to_come)
    return [*link_actions.passing_on(name, links), *names]


def before(links: tuple[Link, ...], old: tuple[Link, ...]) -> tuple[Link, ...]:
    """What is recorded until they are what is wanted: by it a later run knows what a killed one has left."""
    named = {link.name for link in old}
    return (*old, *(link for link in links if link.name not in named))


def recording(name: str) -> str:
    """The name of the action that records them."""
    return f"record the interfaces of {name}"


def record(name: str, links: tuple[Link, ...]) -> None:
    """Record that the interfaces are these, and all of them there. Raises Refused, OSError."""
    definition = definitions.load(name)
    if definition is not None:
        missing = tuple(title for title in definition.missing if title != LINKS)
        instance.keep(definition.replace(links=links, missing=missing))


def _is_missing(name: str) -> bool:
    definition = definitions.load(name)
    return definition is not None and LINKS in definition.missing
