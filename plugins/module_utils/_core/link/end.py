# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The end of interfaces: those of a network namespace that is taken down or removed.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..definition.link import Link
from ..definition.link_words import MOVED
from ..errors import Refused
from ..namespace.target import Target
from . import lines, observe, plan, tool
from .plan import Wanted
from .site import HOST, INSIDE, Change, Site


def of_namespace(name: str, links: t.Sequence[Link]) -> None:
    """Remove the interfaces that were recorded, and give back to the host what is the host's.

    The kernel would do the same at last, but later, and under a name that it makes up where the own one is
    taken. Raises StepFailed, OSError.
    """
    try:
        with Site(Target(namespace=name)) as site:
            site.carry_out(_changes(site, links))
    except (Refused, tool.Failed) as error:
        if any(link.kind == MOVED for link in links):
            raise OSError(f"interfaces of the host cannot be given back: {error}") from error


def _changes(site: Site, links: t.Sequence[Link]) -> list[Change]:
    seen = observe.everything(site.net(INSIDE))
    named = {link.name for link in links}
    gone = [
        name
        for name, each in seen.interfaces.items()
        if name != "lo" and (name in named or each.is_physical)
    ]
    wanted = Wanted((), tuple(gone), old=tuple(links))
    originals = {name: plan.original_of(wanted, seen, name) for name in gone}
    there = observe.named(site.net(HOST), [name for name in originals.values() if name]).interfaces
    changes: list[Change] = []
    for name in plan.to_remove(gone, seen.interfaces):
        original = originals[name]
        if original in there:
            original = _free(original, site)
        changes += lines.removing(name, seen.interfaces[name], original)
    return changes


def _free(name: str, site: Site) -> str:
    """A name like it that no interface of the host has."""
    candidates = [f"{name[:12]}.{number}" for number in range(2, 100)]
    there = observe.named(site.net(HOST), candidates).interfaces
    return next(each for each in candidates if each not in there)
