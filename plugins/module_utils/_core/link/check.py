# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What cannot be, as the host and the namespace are: seen before anything is changed.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from ..definition.link import Link
from ..definition.link_checks import parted
from ..definition.link_words import HOST as ON_HOST
from ..definition.link_words import MOVED
from ..errors import Refused
from ..namespace import enter
from . import explain, firewall, plan, tool
from .observe import Interface, Seen
from .plan import View, Wanted
from .site import HOST, INSIDE

# The interfaces by which the host is reached: what each is for. Looked up only where it matters.
WaysIn = t.Callable[[], t.Mapping[str, str]]


def check(
    wanted: Wanted, view: View, *, is_host: bool, ways_in: WaysIn, holders: t.Mapping[str, str]
) -> None:
    """Raises Refused where the interfaces that are wanted cannot be made as they are.

    ``holders`` are the interfaces outside that have addresses which are wanted inside, by these.
    """
    names = {link.name: link for link in wanted.links}
    for link in wanted.links:
        found = view.inside.interfaces.get(link.name)
        if found is not None and not plan.is_same(link, found, view):
            _check_replaceable(wanted, link, found, is_host=is_host)
            found = None
        _check_below(link, names, view)
        if link.kind == MOVED and not wanted.leaves(link):
            _check_moved(link, found, view, is_host=is_host, ways_in=ways_in)
        if link.peer is not None:
            _check_peer(link, found, view, is_free=wanted.leaves(link))
        if link.is_forwarded:
            _check_forwarded(link, view)
        _check_addresses(link, wanted, view, holders)
    _check_returns(wanted, view, is_host=is_host)


def _check_replaceable(wanted: Wanted, link: Link, found: Interface, *, is_host: bool) -> None:
    was = wanted.recorded(link.name)
    if found.is_physical:
        raise Refused(
            f"{link.name} is there, and is one of hardware, no {link.kind}",
            "Take another name, or give that one back to the host first.",
        )
    if is_host and was is None:
        kind = f"another {found.kind}" if found.kind == link.kind else f"a {found.kind}"
        raise Refused(
            f"the host has an interface {link.name}, which is {kind} than what is wanted"
            if found.kind == link.kind
            else f"the host has an interface {link.name}, which is {kind}, no {link.kind}",
            "Take another name, or remove that one first.",
        )


def _check_below(link: Link, names: t.Mapping[str, Link], view: View) -> None:
    if link.parent and link.kind != MOVED:
        place = HOST if link.parent_in == ON_HOST else INSIDE
        is_coming = place == INSIDE and link.parent in names
        if link.parent not in view.at(place).interfaces and not is_coming:
            where = "the host" if place == HOST else "the namespace"
            raise Refused(
                f"{where} has no interface {link.parent}, which {link.name} is to be made of"
            )
    if link.master:
        there = view.inside.interfaces.get(link.master)
        kind = names[link.master].kind if link.master in names else there.kind if there else ""
        if kind not in ("bridge", "vrf"):
            raise Refused(
                f"{link.name} is to be a port of {link.master}, which "
                + (f"is a {kind}" if kind else "is no bridge or vrf of the namespace"),
                "Name a bridge or a vrf of the same namespace.",
            )
    for route in link.routes:
        if route.dev and route.dev not in names and route.dev not in view.inside.interfaces:
            raise Refused(f"a route of {link.name} is to lead by {route.dev}, which is not there")


def _check_moved(
    link: Link, found: Interface | None, view: View, *, is_host: bool, ways_in: WaysIn
) -> None:
    if is_host:
        raise Refused(f"{link.name} is to be moved to the host, which has it", "Name a namespace.")
    if found is not None:
        return
    there = view.at(HOST).interfaces.get(link.original)
    if there is None:
        raise Refused(
            f"the host has no interface {link.original}, which is to be moved",
            "`ip link` lists those that it has.",
        )
    if link.name in view.inside.interfaces:
        raise Refused(f"{link.original} is to be moved to {link.name}, which is there already")
    way = ways_in().get(link.original) if not link.force else None
    if way:
        raise Refused(
            f"{link.original} is {way}: without it nobody reaches the host",
            "Have it moved all the same with force: true.",
        )


def _check_peer(link: Link, found: Interface | None, view: View, *, is_free: bool) -> None:
    peer = link.end
    place = peer.namespace or HOST
    if place in view.coming:
        return
    seen, where = view.at(place), f"namespace {peer.namespace}" if peer.namespace else "the host"
    if peer.name in seen.interfaces and found is None and not is_free:
        was = view.inside.interfaces.get(link.name)
        # That of the one in whose place it comes goes with it.
        if was is None or (was.below_number, was.below) != _end(seen.interfaces[peer.name], was):
            raise Refused(
                f"{where} has an interface {peer.name}, which is no peer of {link.name}",
                "Take another name for the peer, or remove that one first.",
            )
    if peer.bridge:
        bridge = seen.interfaces.get(peer.bridge)
        if bridge is None or bridge.kind != "bridge":
            what = f"is a {bridge.kind or 'device'}" if bridge is not None else "is not there"
            raise Refused(
                f"{peer.name} is to be a port of the bridge {peer.bridge} of {where}, which {what}",
                "Make it first, with linux.namespaces.ns_link or what manages the network of the host.",
            )


def _check_forwarded(link: Link, view: View) -> None:
    """Raises Refused where the host has no address by which it reaches those inside."""
    peer = link.end
    bridge = view.at(HOST).interfaces.get(peer.bridge)
    way = firewall.way_of(link, bridge.addresses if bridge is not None else ())
    led = {one.text for version in firewall.VERSIONS for one in way.published_for(version)}
    if (way.addresses or not link.masquerade) and led == {*link.publish}:
        return
    what = f"the bridge {peer.bridge}" if peer.bridge else f"the peer {peer.name}"
    raise Refused(
        f"{what} has no address in the network of {link.name}, so that the host cannot pass on what is meant"
        " for it",
        f"Give {what} an address beside {link.addresses[0]}.",
    )


def _end(peer: Interface, own: Interface) -> tuple[int, str]:
    return (peer.number, "") if own.is_elsewhere else (0, peer.name)


def _check_addresses(link: Link, wanted: Wanted, view: View, holders: t.Mapping[str, str]) -> None:
    listed = {each.name for each in wanted.links} | {*wanted.gone}
    for text in link.addresses:
        address = parted(text)[0]
        other = view.inside.holder_of(address)
        if other and other != link.name and other not in listed and not wanted.exclusive:
            raise Refused(
                f"{other} has the address {address}, which {link.name} is to have",
                "Give each its own.",
            )
        if address in holders:
            raise Refused(
                f"{holders[address]} of the host has the address {address}, which {link.name} is to have",
                "Give each its own.",
            )


def _check_returns(wanted: Wanted, view: View, *, is_host: bool) -> None:
    """Raises Refused where one goes back to the host whose name is another's there by now."""
    if is_host:
        return
    for change in plan.changes(wanted, view):
        _before, word, name = change.line.partition(f"netns @{HOST}@ name ")
        if word and name in view.at(HOST).interfaces:
            raise Refused(
                f"{name} is to go back to the host, where another interface has that name by now",
                "Rename that one.",
            )


def missing_kinds(links: t.Iterable[Link], inside: Seen) -> list[str]:
    """The kinds of those that are to be made that this kernel lacks. Raises OSError, KernelError."""
    made = {link.kind for link in links if link.name not in inside.interfaces} - {
        MOVED,
        "veth",
        "bridge",
    }
    lines = {kind: _TRIES[kind] for kind in sorted(made)}
    if not lines:
        return []

    def tries() -> list[str]:
        net = os.open("/proc/self/ns/net", os.O_RDONLY)
        return [kind for kind, line in lines.items() if _is_unknown(line, net)]

    found: list[str] = enter.run_inside(tries, creates=["net"])
    return found


# What makes one of a kind in an empty namespace, where but for the kind something else is missing.
_TRIES = {
    "dummy": "link add name try type dummy",
    "vrf": "link add name try type vrf table 10",
    "wireguard": "link add name try type wireguard",
    "macvlan": "link add link lo name try type macvlan",
    "ipvlan": "link add link lo name try type ipvlan",
    "vlan": "link add link lo name try type vlan id 1",
}


def _is_unknown(line: str, net: int) -> bool:
    try:
        tool.batch([line], net=net)
    except tool.Failed as error:
        return explain.is_unknown_kind(error.complaints)
    return False
