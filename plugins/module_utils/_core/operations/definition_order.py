# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which named namespaces are worked on one after the other, and in which order: those that share something.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..errors import Refused
from ..namespace import pins
from . import namespace_share
from .definition_paths import Paths
from .definition_request import DefinitionRequest

Before = t.Mapping[str, t.Collection[str]]


def check_shares(requests: t.Sequence[DefinitionRequest]) -> None:
    """Raises Refused where a kind cannot be shared as it is to be, which says where in the list that stands."""
    coming = {request.name: request.namespace for request in requests}
    for number, request in enumerate(requests):
        try:
            request.namespace.check_owners(coming)
        except Refused as error:
            where = f"namespaces[{number}] ({request.name!r}): share"
            raise Refused(f"{where}: {error.reason}", error.hint, **error.facts) from error


def check_links(requests: t.Sequence[DefinitionRequest]) -> None:
    """Raises Refused where two are to have an interface of one name at the same place outside. Pure."""
    holders: dict[tuple[str, str], str] = {}
    for number, request in enumerate(requests):
        for link in request.namespace.links or ():
            place = link.outside
            if place is None:
                continue
            other = holders.setdefault(place, request.name)
            if other != request.name:
                where = f"of {place[0]}" if place[0] else "of the host"
                raise Refused(
                    f"namespaces[{number}] ({request.name!r}): links: the interface {place[1]} {where}, which"
                    f" {link.name} is to have, is that of {other} by then",
                    "Give each its own.",
                )


def before(requests: t.Sequence[DefinitionRequest], state: str) -> Before:
    """By name those that come before it, when they are brought into this state."""
    found: dict[str, set[str]] = {}
    for request in requests:
        name, wanted = request.name, {*request.namespace.properties.share.values()}
        owners = {link.owner for link in request.namespace.links or ()} - {"", name}
        needs = found.setdefault(name, set())
        if state == "present":
            needs |= wanted | owners
            # Who shares something of it no more is to let go of it first.
            others = {other for other, _id in pins.shared(name).values()} - wanted
            later = others
        elif state == "up":
            needs |= namespace_share.shared_by(name)
            later = set()
        else:
            later = namespace_share.shared_by(name)
        for other in later:
            found.setdefault(other, set()).add(name)
    return found


def with_those_that_let_go(
    requests: t.Sequence[DefinitionRequest], before: Before
) -> list[DefinitionRequest]:
    """The requests, as they are for check mode, in which nobody lets go of what he shares. Pure."""
    return [
        request._replace(
            namespace=request.namespace._replace(going=frozenset(before.get(request.name, ())))
        )
        for request in requests
    ]


def grouped(requests: t.Sequence[DefinitionRequest], before: Before) -> list[list[int]]:
    """The indexes of the requests, together where they share something, in the order to be worked on. Pure.

    That is a kind of namespace, an image of the host that both mount, or a directory of the host that one
    of them makes. Otherwise the order is that of the list.
    """
    paths = Paths(requests)
    group_of: list[list[int]] = []
    first: dict[tuple[str, str], int] = {}
    for index, request in enumerate(requests):
        group_of.append([index])
        for key in (*_keys(request, before), *paths.keys(request)):
            group, other = group_of[index], group_of[first.setdefault(key, index)]
            if other is not group:
                larger, smaller = (group, other) if len(group) > len(other) else (other, group)
                larger += smaller
                for each in smaller:
                    group_of[each] = larger
    unique = {id(group): group for group in group_of}
    return [_ordered(requests, group, before) for group in unique.values()]


def _keys(request: DefinitionRequest, before: Before) -> t.Iterator[tuple[str, str]]:
    """The names that nobody who has the same may work on at the same time."""
    yield "name", request.name
    for other in before.get(request.name, ()):
        yield "name", other


def _ordered(
    requests: t.Sequence[DefinitionRequest], group: t.Iterable[int], before: Before
) -> list[int]:
    numbers = {requests[each].name: each for each in sorted(group)}
    return [numbers[name] for name in namespace_share.in_order(numbers, before)]


def ended(names: t.Sequence[str]) -> list[list[int]]:
    """The indexes of the names, as grouped(), in the order in which they are removed."""
    order = namespace_share.removal_order(names)
    related = {*order, *(each for some in order.values() for each in some)}
    together = [name for name in names if name in related]
    numbers = {name: number for number, name in enumerate(names)}
    alone = [[numbers[name]] for name in names if name not in related]
    return [[numbers[name] for name in namespace_share.in_order(together, order)], *alone]


def with_changed_owners(
    requests: t.Sequence[DefinitionRequest],
    groups: t.Iterable[t.Iterable[int]],
    unchanged: t.Sequence[bool],
) -> list[list[int]]:
    """Of the groups those that change, and those that share of one that does: theirs may become another. Pure."""
    changing: set[str] = set()
    found = []
    for group in groups:
        left = []
        for each in group:
            share = requests[each].namespace.properties.share
            if not unchanged[each] or not changing.isdisjoint(share.values()):
                changing.add(requests[each].name)
                left.append(each)
        found.append(left)
    return found
