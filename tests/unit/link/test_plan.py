# SPDX-License-Identifier: GPL-3.0-or-later
"""From the interfaces that are there to those that are wanted: the lines for ip, in their order."""

from __future__ import annotations

import typing as t

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.link import (
    Link,
    Peer,
    Route,
    Rule,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.link import explain, plan
from ansible_collections.linux.namespaces.plugins.module_utils._core.link.observe import (
    Interface,
    Seen,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.link.plan import View, Wanted

ETH0 = Link("eth0", "veth", peer=Peer("ve0"), addresses=("10.9.0.2/24",))


def interface(name: str, kind: str = "veth", **fields: t.Any) -> Interface:
    found = Interface(
        name=name,
        number=5,
        kind=kind,
        up=True,
        mac="02:00:00:00:00:01",
        mtu=1500,
        master="",
        addresses=(),
        below="",
        below_number=0,
        netnsid=None,
        alias="",
        data={},
    )
    return found._replace(**fields)


def there(
    *,
    addresses: tuple[str, ...] = ("10.9.0.2/24",),
    routes: tuple[dict[str, t.Any], ...] = (),
    rules: tuple[dict[str, t.Any], ...] = (),
) -> View:
    own = interface("eth0", addresses=addresses, below_number=7, netnsid=0)
    peer = interface("ve0", number=7, below_number=5, netnsid=0)
    return View(Seen({"eth0": own}, routes, rules), {".": Seen({"ve0": peer})})


def lines(wanted: Wanted, view: View) -> list[str]:
    return [f"{change.place or 'inside'}: {change.line}" for change in plan.changes(wanted, view)]


def test_new() -> None:
    link = ETH0.replace(mtu=1400, routes=(Route("0.0.0.0/0", "10.9.0.1"),))
    assert lines(Wanted((link,)), View()) == [
        "inside: link add name eth0 mtu 1400 type veth peer name ve0 mtu 1400 netns @.@",
        "inside: addr replace 10.9.0.2/24 dev eth0",
        "inside: link set dev eth0 up",
        "inside: route replace 0.0.0.0/0 via 10.9.0.1 dev eth0 table 254 proto static",
        ".: link set dev ve0 up",
    ]


def test_as_wanted() -> None:
    assert lines(Wanted((ETH0,)), there()) == []
    assert lines(Wanted(()), there()) == []


def test_an_address_goes_with_its_routes_and_neighbours() -> None:
    link = ETH0.replace(routes=(Route("0.0.0.0/0", "10.9.0.1"),))
    default = {"dst": "default", "gateway": "10.9.0.1", "dev": "eth0", "protocol": "4", "flags": []}
    view = there(addresses=("10.9.0.3/24", "10.9.0.2/24"), routes=(default,))
    assert lines(Wanted((link,)), view) == [
        "inside: addr del 10.9.0.3/24 dev eth0",
        "inside: addr replace 10.9.0.2/24 dev eth0",
        "inside: route replace 0.0.0.0/0 via 10.9.0.1 dev eth0 table 254 proto static",
    ]


def test_routes_of_daemons_and_of_other_interfaces_stay() -> None:
    routes = (
        {"dst": "10.1.0.0/16", "dev": "eth0", "protocol": "4", "metric": 5},
        {"dst": "10.2.0.0/16", "dev": "eth0", "protocol": "12"},
        {"dst": "10.3.0.0/16", "dev": "eth1", "protocol": "4"},
        {"dst": "fe80::/64", "dev": "eth0", "protocol": "2", "pref": "medium"},
        {"dst": "10.9.0.2", "dev": "eth0", "protocol": "2", "table": "255", "type": "2"},
    )
    assert lines(Wanted((ETH0,)), there(routes=routes)) == [
        "inside: route del 10.1.0.0/16 dev eth0 metric 5 table 254"
    ]
    other = Link("eth1", "bridge", routes=(Route("10.1.0.0/16", dev="eth0", metric=5),))
    found = lines(Wanted((ETH0, other)), there(routes=routes))
    assert not any("route del 10.1" in line for line in found)


def test_a_default_route_of_ipv6_without_a_gateway() -> None:
    route = {"dst": "default", "dev": "eth0", "protocol": "4", "metric": 1024, "pref": "medium"}
    link = ETH0.replace(routes=(Route("::/0"),))
    assert lines(Wanted((link,)), there(routes=(route,))) == []
    assert lines(Wanted((ETH0.replace(routes=(Route("0.0.0.0/0"),)),)), there(routes=(route,))) == [
        "inside: route replace 0.0.0.0/0 dev eth0 table 254 proto static",
        "inside: route del ::/0 dev eth0 metric 1024 table 254",
    ]


def test_another_peer_makes_it_anew() -> None:
    link = ETH0.replace(peer=Peer("ve1"))
    assert lines(Wanted((link,)), there())[:2] == [
        "inside: link del dev eth0",
        "inside: link add name eth0 type veth peer name ve1 netns @.@",
    ]


def test_only_what_was_recorded_goes_of_what_no_interface_has() -> None:
    rules = (
        {"family": 4, "priority": 5, "src": "10.0.0.0", "srclen": 8, "table": "7", "protocol": "0"},
        {"family": 4, "priority": 6, "src": "all", "table": "8", "fwmark": "0x3"},
    )
    old = ETH0.replace(rules=(Rule(5, 7, "10.0.0.0/8"),))
    wanted = Wanted((ETH0.replace(rules=(Rule(6, 8, fwmark=3),)),), old=(old,))
    assert lines(wanted, there(rules=rules)) == [
        "inside: rule del priority 5 from 10.0.0.0/8 table 7",
        "inside: rule add priority 6 fwmark 3 table 8",  # of IPv6
    ]
    assert [change.words for change in plan.changes(wanted, there(rules=rules))] == [(), ("-6",)]


def test_those_that_others_are_made_of_first() -> None:
    first = Link("mac0", "macvlan", parent="eth0", parent_in="namespace")
    found = lines(Wanted((first, ETH0)), View())
    assert "name eth0" in found[0]
    assert "link eth0 name mac0 type macvlan mode bridge" in found[1]


def test_what_is_made_of_it_goes_with_it() -> None:
    inside = {
        "eth0": interface("eth0", below_number=7, netnsid=0),
        "mac0": interface("mac0", "macvlan", below="eth0"),
        "wan": interface("wan", ""),
        "sit0": interface("sit0", "sit"),
    }
    assert lines(Wanted((), exclusive=True), View(Seen(inside))) == [
        "inside: link del dev eth0",
        "inside: link set dev wan down",
        "inside: link set dev wan netns @.@ name wan",
    ]


def test_moved_and_back() -> None:
    link = Link("wan", "moved", parent="enp1s0")
    assert lines(Wanted((link,)), View())[0] == ".: link set dev enp1s0 netns @@ name wan"
    view = View(Seen({"wan": interface("wan", "dummy")}))
    assert lines(Wanted((), ("wan",), old=(link,)), view)[-1].endswith("netns @.@ name enp1s0")


def test_why() -> None:
    reason, hint = explain.failure("Unknown device type.", "link add name x type vrf table 5")
    assert "no interfaces of the kind vrf" in reason
    assert "modprobe vrf" in hint
    assert explain.failure("odd", "link set x up") == ("ip says: odd", "")


def test_what_goes_with_another_is_not_removed_by_itself() -> None:
    chain = {
        "eth0": interface("eth0"),
        "mac0": interface("mac0", "macvlan", below="eth0"),
        "vlan0": interface("vlan0", "vlan", below="mac0"),
        "br0": interface("br0", "bridge"),
    }
    assert plan.to_remove(chain, chain) == ["eth0", "br0"]
    assert plan.to_remove(["mac0", "vlan0"], chain) == ["mac0"]
    assert plan.to_remove(["vlan0", "mac0"], chain) == ["vlan0", "mac0"]
