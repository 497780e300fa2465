# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What named namespaces have in common: kinds that one of them has from another.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import typing as t

from .. import once
from ..actions import Action
from ..definition import file as definitions
from ..definition.properties import SHARABLE, Properties
from ..errors import Refused
from ..host_paths import checked_name
from ..namespace import gate, lock, pins

# Of those that share something, in a message.
_NAMED = 5
# How long to wait for another run that changes the owner, in seconds.
_LOCK_TIMEOUT = 60.0
_Names = t.Iterable[str]


class Owner(t.NamedTuple):
    """A namespace of which others have kinds: what it is, and whether it outlives a reboot."""

    properties: Properties
    persistent: bool


def check(name: str, wanted: Properties) -> None:
    """Raises Refused where that makes no sense by itself. Pure."""
    for kind, other in wanted.share.items():
        if kind not in SHARABLE:
            raise Refused(
                f"the kind {kind} is not for sharing",
                f"share takes {', '.join(SHARABLE)}, each with the name of another namespace.",
            )
        checked_name(other)
        if kind in wanted.kinds:
            raise Refused(
                f"{name} is to have a {kind} of its own, and that of {other}",
                f"Take {kind} out of kinds, or out of share.",
            )
        if other == name:
            raise Refused(f"{name} cannot share its {kind} with itself", "Name another namespace.")


def check_owners(
    name: str, wanted: Properties, *, persistent: bool, coming: t.Mapping[str, Owner] | None = None
) -> None:
    """Raises Refused where those of which it is to have kinds are not there, have not those, or have some of it.

    ``coming`` are those that the same run makes before it.
    """
    coming = coming or {}
    for kind, other in wanted.share.items():
        owner = coming.get(other) or _owner(other)
        if owner is None:
            raise Refused(
                f"there is no namespace {other!r} on this host, whose {kind} {name} is to share",
                f"Make {other} first, with {kind} among its kinds.",
            )
        found = owner.properties
        if kind in found.share:
            raise Refused(
                f"{other} has no {kind} of its own: it shares that of {found.share[kind]}",
                f"Name {found.share[kind]}."
                if found.share[kind] != name
                else "One of them has to have it.",
            )
        if kind not in found.kinds:
            raise Refused(f"{other} has no {kind}", f"Add {kind} to the kinds of {other}.")
        if persistent and not owner.persistent:
            raise Refused(
                f"{other} is not persistent: after a reboot {name} had no {kind} to share",
                f"Make {other} persistent, or {name} not.",
            )
        if other not in coming and not _is_up(other, kind):
            raise _not_up(name, kind, other)
    owners(name, wanted, coming)


def _owner(name: str) -> Owner | None:
    definition = definitions.load(name)
    return None if definition is None else Owner(definition.properties, definition.persistent)


def _is_up(name: str, kind: str) -> bool:
    return kind in pins.pinned(name) and not gate.is_closed(name)


def _not_up(name: str, kind: str, other: str) -> Refused:
    return Refused(
        f"namespace {other}, whose {kind} {name} shares, is not up",
        f"`nsctl up {other}` brings it up; `nsctl list {other}` says why it is not.",
    )


def owners(name: str, wanted: Properties, coming: t.Mapping[str, Owner] | None = None) -> list[str]:
    """The names of which it has kinds, and of which these have some: each after those that it needs itself.

    Raises Refused where that comes back to one of them.
    """

    def needs(each: str) -> _Names:
        if each == name:
            return sorted({*wanted.share.values()})
        owner = (coming or {}).get(each) or _owner(each)
        return sorted({*owner.properties.share.values()}) if owner is not None else ()

    return _after_their_needs(name, needs, _refuse_circle)[:-1]


def _refuse_circle(path: list[str]) -> None:
    listed = " of ".join(path[: _NAMED + 1])
    raise Refused(
        f"namespaces share of one another in a circle: {listed}",
        "None of them could come up first: have one of them share nothing.",
    )


def in_order(names: _Names, before: t.Mapping[str, _Names]) -> list[str]:
    """The names, each after those of them that are to come ``before`` it; else as they are listed. Pure."""
    listed = [*names]
    found: dict[str, None] = {}

    def needs(each: str) -> _Names:
        return sorted(
            (other for other in before.get(each, ()) if other in rank), key=lambda one: rank[one]
        )

    rank = {name: number for number, name in enumerate(listed)}
    for name in listed:
        if name not in found:
            found.update(dict.fromkeys(_after_their_needs(name, needs, lambda _path: None)))
    return [*found]


def _after_their_needs(
    name: str, needs: t.Callable[[str], _Names], circle: t.Callable[[list[str]], None]
) -> list[str]:
    """The name, and before it all that it needs. ``circle`` is told of names that need one another."""
    found: dict[str, None] = {}
    path = {name: iter(needs(name))}  # no recursion: how long it is others say
    while path:
        each, left = next(reversed(path.items()))
        other = next(left, None)
        if other is None:
            del path[each]
            found[each] = None
        elif other in path:
            names = [*path]
            circle([*names[names.index(other) :], other])
        elif other not in found:
            path[other] = iter(needs(other))
    return [*found]


def changes(name: str, wanted: t.Mapping[str, str]) -> list[Action]:
    """What is left to do until it shares what is wanted, and no more."""
    there = pins.shared(name)
    found = []
    for kind, (other, _id) in there.items():
        if wanted.get(kind) != other:
            apply = functools.partial(_unshare, name, kind, other)
            found.append(Action(f"share {kind} of {other} no more", apply))
    for kind, other in wanted.items():
        whose, number = there.get(kind, ("", 0))
        if whose != other or not number:
            found.append(
                Action(f"share {kind} of {other}", functools.partial(_share, name, kind, other))
            )
    return found


def restoring(
    name: str, before: t.Mapping[str, tuple[str, int]]
) -> t.Iterator[t.Callable[[], None]]:
    """What makes it share again what it did ``before``, by pins.shared(), and no more."""
    now = pins.shared(name)
    for kind, (other, _id) in now.items():
        if before.get(kind, ("", 0))[0] != other:
            yield functools.partial(_unshare, name, kind, other)
    for kind, (other, number) in before.items():
        if number and now.get(kind, ("", 0))[0] != other:
            yield functools.partial(_share, name, kind, other)


def _share(name: str, kind: str, other: str) -> None:
    # Who removes the other looks under its lock for who shares of it.
    with lock.held(other, timeout=_LOCK_TIMEOUT):
        if not _is_up(other, kind):
            raise _not_up(name, kind, other)
        gate.close(name)
        pins.prepare(name)
        pins.share(name, kind, other)


def _unshare(name: str, kind: str, other: str) -> None:
    gate.close(name)  # nobody is to find the file without its namespace
    pins.unshare(name, kind, other)


def check_nobody_shares(
    name: str,
    *,
    going: t.Container[str] = (),
    only_living: bool = False,
    kinds: t.Collection[str] = SHARABLE,
) -> None:
    """Raises Refused where others have one of the kinds of it: those that live, or that come back at boot as well.

    Not those that are ``going`` themselves before it.
    """
    listed = [
        each for each in sharers(name, only_living=only_living, kinds=kinds) if each not in going
    ]
    if listed:
        more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
        raise Refused(
            f"namespaces share what is of {name}: {', '.join(listed[:_NAMED])}{more}",
            "Remove them first, or have them share it no more.",
            shared_by=listed,
        )


def sharers(
    name: str, *, only_living: bool = False, kinds: t.Collection[str] = SHARABLE
) -> list[str]:
    """The names that have one of these kinds of it, those that come back at boot as well; sorted."""
    try:
        found = {*pins.sharing(name, kinds)}
        if not only_living:
            found |= {each for each in definitions.naming(name) if _shares(each, name, kinds)}
    except PermissionError:  # who is not root is told of none, and can remove none
        return []
    return sorted(found)


def _shares(name: str, other: str, kinds: t.Collection[str]) -> bool:
    try:
        definition = definitions.load(name)
    except Refused:  # nobody knows what it needs
        return False
    return definition is not None and any(
        whose == other and kind in kinds for kind, whose in definition.properties.share.items()
    )


def shared_by(name: str) -> set[str]:
    """The names of which this one has a kind, by its pins or its definition."""
    found: set[str] = set()
    with contextlib.suppress(Refused):  # that is no name, or damaged
        found |= {other for other, _id in pins.shared(name).values()}
        definition = definitions.load(name)
        found |= definition.needed if definition is not None else set()
    return found


def removal_order(names: t.Sequence[str]) -> dict[str, set[str]]:
    """By name which of these go before it: those that share a kind of it."""
    before: dict[str, set[str]] = {}
    for name in names:
        for other in shared_by(name):
            before.setdefault(other, set()).add(name)
    return before


@once.kept
def sharers_of_all() -> dict[str, list[str]]:
    """Of each name who has a kind of it, as sharers() tells, from one look at all of them."""
    found: dict[str, set[str]] = {}
    for name in pins.names():
        for other, _id in pins.shared(name).values():
            found.setdefault(other, set()).add(name)
    for name in definitions.names():
        with contextlib.suppress(Refused):  # nobody knows what it needs
            definition = definitions.load(name)
            for other in definition.properties.share.values() if definition is not None else ():
                found.setdefault(other, set()).add(name)
    return {other: sorted(names) for other, names in found.items()}
