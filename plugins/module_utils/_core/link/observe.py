# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The interfaces of a network namespace as they are, with their addresses, routes and rules.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from . import tool

# RTPROT_KERNEL, _BOOT and _STATIC of linux/rtnetlink.h: what the kernel has made, and what people have.
_KERNEL, _OF_PEOPLE = 2, (3, 4)
MAIN, LOCAL = 254, 255


class Interface(t.NamedTuple):
    """An interface."""

    name: str
    number: int
    # Empty for one of hardware, and for lo.
    kind: str
    up: bool
    mac: str
    mtu: int
    master: str
    # As ``10.9.0.2/30`` or ``10.9.0.2 peer 10.9.0.1/32``, but for those that the kernel gives it.
    addresses: tuple[str, ...]
    # What it is made of, or its peer: the name where that is here, else the number that it has elsewhere.
    below: str
    below_number: int
    # The number that this namespace has for the one where that is; None for this one (ip-netns(8)).
    netnsid: int | None
    # What it is called for people, beside its name (ip-link(8), alias).
    alias: str
    # What is special about its kind, by the names of ip-link(8).
    data: dict[str, t.Any]

    @property
    def is_elsewhere(self) -> bool:
        """Whether what it is made of, or its peer, is in another namespace."""
        return self.netnsid is not None

    @property
    def is_physical(self) -> bool:
        """Whether it is no device of software, which goes back to the host by itself."""
        return not self.kind and self.name != "lo"


class Seen(t.NamedTuple):
    """What there is in a network namespace, or as much of it as was asked for."""

    interfaces: dict[str, Interface]
    routes: tuple[dict[str, t.Any], ...] = ()
    rules: tuple[dict[str, t.Any], ...] = ()

    def holder_of(self, address: str) -> str:
        """The name of the interface that has the address; empty for none."""
        return next(
            (
                each.name
                for each in self.interfaces.values()
                for text in each.addresses
                if text.partition("/")[0].partition(" ")[0] == address
            ),
            "",
        )


NOTHING = Seen({})


def everything(net: int, *, rules: bool = False) -> Seen:
    """All of the network namespace of the open file; ``rules`` take another look.

    Raises tool.Failed, Refused, OSError.
    """
    lines = ["addr show", "route show table all", *(["rule show"] if rules else ())]
    found = tool.answers(lines, net=net)
    every = found[2] if rules else []
    if rules:
        every = [{**each, "family": 4} for each in every]
        six = tool.answers(["rule show"], net=net, words=["-6"])[0]
        every += [{**each, "family": 6} for each in six]
    listed = [_interface(each) for each in found[0]]
    return Seen({each.name: each for each in listed}, tuple(found[1]), tuple(every))


def interfaces(net: int) -> dict[str, Interface]:
    """All interfaces with their addresses, by name. Raises as everything()."""
    return {each.name: each for each in map(_interface, tool.answers(["addr show"], net=net)[0])}


def named(net: int, names: t.Iterable[str], addresses: t.Iterable[str] = ()) -> Seen:
    """The interfaces of these names, as far as they are there; and those that have one of these addresses.

    Of the latter only such addresses are known. Raises as everything().
    """
    lines = [f"addr show to {each}" for each in dict.fromkeys(addresses)]
    lines += [f"addr show dev {name}" for name in dict.fromkeys(names)]
    found = tool.answers(lines, net=net) if lines else []
    # Whoever is named comes last, and with all that it has.
    listed = [_interface(each) for answer in found for each in answer]
    return Seen({each.name: each for each in listed})


def defaults(net: int) -> set[str]:
    """The interfaces by which default routes lead. Raises as everything()."""
    found = tool.answers(["route show table main default"], net=net)
    found += tool.answers(["route show table main default"], net=net, words=["-6"])
    hops = [hop for answer in found for each in answer for hop in (each, *each.get("nexthops", ()))]
    return {str(hop["dev"]) for hop in hops if hop.get("dev")}


def _interface(data: dict[str, t.Any]) -> Interface:
    info = data.get("linkinfo", {})
    return Interface(
        name=str(data.get("ifname", "")),
        number=int(data.get("ifindex", 0)),
        kind=str(info.get("info_kind", "")),
        up="UP" in data.get("flags", ()),
        mac=str(data.get("address", "")),
        mtu=int(data.get("mtu", 0)),
        master=str(data.get("master", "")),
        addresses=tuple(_addresses(data.get("addr_info", ()))),
        below=str(data.get("link") or ""),
        below_number=int(data.get("link_index", 0)),
        netnsid=int(data["link_netnsid"]) if "link_netnsid" in data else None,
        alias=str(data.get("ifalias", "")),
        data=dict(info.get("info_data", {})),
    )


def _addresses(found: t.Iterable[dict[str, t.Any]]) -> t.Iterator[str]:
    for each in found:
        # What an interface has of its hardware address, or of a router.
        if not each.get("local") or each.get("dynamic") or _is_own(each):
            continue
        other = f" peer {each['address']}" if each.get("address") else ""
        yield f"{each['local']}{other}/{each['prefixlen']}"


def _is_own(address: dict[str, t.Any]) -> bool:
    return address.get("family") == "inet6" and str(address["local"]).startswith("fe80:")


def whole(value: t.Any) -> int:
    """A number that ip writes as one, or as a text."""
    return int(str(value), 0) if value is not None else 0


def is_of_people(route: dict[str, t.Any]) -> bool:
    """Whether neither the kernel nor a daemon has made the route."""
    return whole(route.get("protocol", _KERNEL)) in _OF_PEOPLE
