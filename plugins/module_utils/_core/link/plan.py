# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""From the interfaces that are there to those that are wanted: the changes, in their order.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..definition.link import Link
from ..definition.link_checks import is_v6
from ..definition.link_words import HOST as ON_HOST
from ..definition.link_words import MODES, MOVED
from . import lines
from .observe import NOTHING, Interface, Seen
from .site import HOST, INSIDE, Change

# The kernel makes them by itself with the first tunnel of their kind, and nobody can remove them.
_BY_ITSELF = frozenset(
    {
        "lo", "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0",
    }
)  # fmt: skip


class Wanted(t.NamedTuple):
    """What is to become of the interfaces of a network namespace."""

    links: tuple[Link, ...]
    # The names of those that are not to be there.
    gone: tuple[str, ...] = ()
    # Whether all others go as well.
    exclusive: bool = False
    # Those that were recorded.
    old: tuple[Link, ...] = ()
    # What the ends on the host are called for people, beside their names.
    alias: str = ""
    # Those of what is removed first: their other ends go with them, and what was moved comes back to the host.
    leaving: tuple[Link, ...] = ()

    @property
    def needs_rules(self) -> bool:
        """Whether rules have to be looked at."""
        return any(link.rules for link in (*self.links, *self.old))

    def leaves(self, link: Link) -> bool:
        """Whether the interface outside that it is to have is that of one which leaves."""
        return any(each.outside == link.outside for each in self.leaving if each.kind == link.kind)

    def recorded(self, name: str) -> Link | None:
        """The one of this name as it was recorded."""
        return next((link for link in self.old if link.name == name), None)


class View(t.NamedTuple):
    """What there is."""

    inside: Seen = NOTHING
    # By place, as far as it concerns what is wanted.
    outside: t.Mapping[str, Seen] = {}
    # The places that are still to come, of which nothing is known.
    coming: frozenset[str] = frozenset()

    def at(self, place: str) -> Seen:
        """What there is at the place."""
        return self.inside if place == INSIDE else self.outside.get(place, NOTHING)


def outer_names(links: t.Iterable[Link]) -> dict[str, list[str]]:
    """By place the names of interfaces outside that have to be looked at for these."""
    found: dict[str, list[str]] = {}
    for link in links:
        if link.peer is not None:
            names = found.setdefault(link.peer.namespace or HOST, [])
            names += [link.peer.name, *([link.peer.bridge] if link.peer.bridge else ())]
        elif link.kind == MOVED or (link.parent and link.parent_in == ON_HOST):
            found.setdefault(HOST, []).append(link.original)
    return found


def is_same(link: Link, found: Interface, view: View) -> bool:
    """Whether the one that is there can be made what is wanted, or else has to be made anew."""
    if link.kind == MOVED:
        return True
    if found.kind != link.kind:
        return False
    if link.peer is not None:
        return peer_of(link, found, view) is not None
    if link.parent:
        below = view.at(HOST if link.parent_in == ON_HOST else INSIDE).interfaces.get(link.parent)
        if below is None or not _is_made_of(found, below):
            return False
    if link.kind in ("macvlan", "ipvlan"):
        return found.data.get("mode") == (link.mode or MODES[link.kind][0])
    if link.kind == "vlan":
        return found.data.get("id") == link.id
    return link.kind != "vrf" or found.data.get("table") == link.table


def _is_made_of(found: Interface, below: Interface) -> bool:
    if found.is_elsewhere or found.below_number:
        return found.below_number == below.number
    return found.below == below.name


def peer_of(link: Link, found: Interface, view: View) -> Interface | None:
    """Its peer, where that is as named and where it is to be. For a veth."""
    peer = link.peer
    if peer is None:
        return None
    there = view.at(peer.namespace or HOST).interfaces.get(peer.name)
    if there is None or there.kind != "veth":
        return None
    if found.below:  # both are in one network namespace, as with the host's own
        return there if found.below == there.name else None
    ends = (found.below_number, there.below_number) == (there.number, found.number)
    return there if ends else None


def changes(wanted: Wanted, view: View) -> list[Change]:
    """The changes from what there is to what is wanted; none where nothing is to be done."""
    inside = view.inside
    first: list[Change] = []
    made: list[Change] = []
    within: list[Change] = []
    routed: list[Change] = []
    outside: list[Change] = []
    others = {pair for link in wanted.links for pair in lines.routes_by(link)}
    surplus = _surplus(wanted, view)
    removed = {*surplus}
    for name in surplus:
        first += lines.removing(name, inside.interfaces[name], original_of(wanted, inside, name))
    for link in _by_parents(wanted.links):
        found = inside.interfaces.get(link.name)
        if found is not None and found.below in removed:
            found = None  # it goes with that
        if found is not None and not is_same(link, found, view):
            first += lines.removing(link.name, found, original_of(wanted, inside, link.name))
            found = None
        if found is None:
            removed.add(link.name)
        if found is None:
            made.append(lines.making(link))
        own = lines.settings(link, found)
        # With an address the kernel takes away the routes by it, and with the first one others of its network.
        loses = any(" del " in change.line and not is_v6(change.line) for change in own)
        within += [*own, *(lines.kept_addresses(link) if loses else ())]
        goes_up = found is None or not found.up
        if link.up:
            routed += lines.route_changes(link, inside, others, anew=loses or goes_up)
        outside += _of_peer(link, found, view, wanted.alias)
    routed += _not_of_links(wanted, inside)
    # What is made of interfaces of the host first, so that what is made inside can be of those.
    made.sort(key=lambda change: change.place != HOST)
    return _in_place([*first, *made, *within, *routed, *outside])


def _by_parents(links: tuple[Link, ...]) -> list[Link]:
    """The interfaces, those that others of them are made of first; else as they are listed."""
    named = {link.name: link for link in links}

    def depth(link: Link) -> int:
        found = 0
        while found < len(links) and link.parent_in != ON_HOST and link.parent in named:
            link, found = named[link.parent], found + 1
        return found

    return sorted(links, key=depth)


def _of_peer(link: Link, found: Interface | None, view: View, alias: str) -> list[Change]:
    if link.peer is None:
        return []
    place = link.peer.namespace or HOST
    there = peer_of(link, found, view) if found is not None else None
    own = Link(
        name=link.peer.name,
        kind="veth",
        mtu=link.mtu if there is not None else 0,
        master=link.peer.bridge,
        addresses=link.peer.addresses,
    )
    named = [lines.calling(link, alias)] if alias and there is None and place == HOST else []
    done = [*named, *lines.settings(own, there, place)]
    loses = any(" del " in change.line for change in done)
    return [*done, *(lines.kept_addresses(own, place) if loses else ())]


def _not_of_links(wanted: Wanted, inside: Seen) -> list[Change]:
    """Rules and blackholes, which no interface has."""
    named = {*wanted.gone, *(link.name for link in wanted.links)}
    is_over = [link for link in wanted.old if wanted.exclusive or link.name in named]
    routes = [route for link in wanted.links for route in link.routes]
    found = lines.blackholes_gone(
        [route for link in is_over for route in link.routes], routes, inside
    )
    return found + lines.rule_changes(
        [rule for link in is_over for rule in link.rules],
        [rule for link in wanted.links for rule in link.rules],
        inside,
    )


def _surplus(wanted: Wanted, view: View) -> list[str]:
    names = {link.name for link in wanted.links}
    there = view.inside.interfaces
    gone = [name for name in wanted.gone if name in there]
    if wanted.exclusive:
        gone += [name for name in there if name not in names and name not in _BY_ITSELF]
    return to_remove(gone, there)


def to_remove(names: t.Iterable[str], there: t.Mapping[str, Interface]) -> list[str]:
    """Those of the interfaces that have to be removed for all of them to be gone.

    The other end goes with the first, and with an interface what is made of it.
    """
    found: list[str] = []
    going: set[str] = set()
    for name in names:
        if there[name].below not in going:
            found.append(name)
        going.add(name)
    return found


def original_of(wanted: Wanted, inside: Seen, name: str) -> str:
    """What the interface is called on the host that it goes back to; empty where it does not."""
    was = wanted.recorded(name)
    if was is not None and was.kind == MOVED:
        return was.original
    return name if inside.interfaces[name].is_physical else ""


def _in_place(every: list[Change]) -> list[Change]:
    """The same, but each line once for a name and place: what is said twice is done once."""
    return [*dict.fromkeys(every)]
