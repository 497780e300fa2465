# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules by which the host passes packets on, as nft(8) reads them, and what the kernel is told for it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.link import (
    Link,
    Peer,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.link import (
    firewall,
    forward_needs,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.link.firewall import (
    Opened,
    Way,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.link.observe import Interface

BOTH = ("10.9.0.2/24", "fd00:9::2/64")


def chains(text: str) -> dict[str, list[str]]:
    """The rules of each chain of a table."""
    found: dict[str, list[str]] = {}
    rules: list[str] = []
    for line in text.splitlines():
        if line.startswith("chain "):
            rules = found.setdefault(line.split()[1], [])
        elif line != "}" and not line.startswith(("table ", "delete ")):
            rules.append(line)
    return found


def interface(name: str, kind: str = "", **fields: t.Any) -> Interface:
    own = Interface(name, 1, kind, True, "", 1500, "", (), "", 0, None, "", {})
    return own._replace(**fields)


def test_the_way_is_by_networks_of_the_host() -> None:
    link = Link("eth0", "veth", addresses=BOTH, masquerade=True)
    routed = link.replace(peer=Peer("ve0", addresses=("10.9.0.1/24",)))
    assert firewall.way_of(routed, ()) == Way("ve0", BOTH[:1], masquerade=True)
    bridged = link.replace(peer=Peer("ve0", bridge="br0"))
    assert firewall.way_of(bridged, ("fd00:9::1/64",)) == Way(
        "br0", BOTH[1:], masquerade=True, port="ve0"
    )


def test_it_is_written_in_the_place_of_another() -> None:
    text = firewall.rules_of("shop", [Way("ve0", BOTH, masquerade=True)])
    assert text.splitlines()[:2] == [
        "table inet linux-namespaces-shop",
        "delete table inet linux-namespaces-shop",
    ]
    assert chains(text) == {
        "outgoing": [
            'ip saddr 10.9.0.2 oifname != "ve0" masquerade',
            'ip6 saddr fd00:9::2 oifname != "ve0" masquerade',
        ]
    }


def test_what_is_of_the_host_alone_is_led_for_the_host_alone() -> None:
    found = chains(firewall.rules_of("shop", [Way("ve0", BOTH, publish=("127.0.0.1:5432:5433",))]))
    assert "incoming" not in found
    assert found["own"] == ["ip daddr 127.0.0.1 tcp dport 5432 dnat ip to 10.9.0.2:5433"]
    assert found["first"] == ['iifname "ve0" ip daddr 127.0.0.0/8 drop']


def test_at_all_addresses() -> None:
    found = chains(firewall.rules_of("shop", [Way("ve0", BOTH, publish=("53:53/udp",))]))
    assert [rule.split("fib")[0] for rule in found["incoming"]] == [
        "meta nfproto ipv4 ip daddr != 127.0.0.0/8 ",
        "meta nfproto ipv6 ip6 daddr != ::1 ",
    ]
    assert found["own"][1] == (
        "meta nfproto ipv6 fib daddr type local udp dport 53 dnat ip6 to [fd00:9::2]:53"
    )
    of_one = chains(firewall.rules_of("shop", [Way("ve0", BOTH, publish=("[::]:53:53",))]))
    assert len(of_one["incoming"]) == 1


def test_the_gate() -> None:
    assert firewall.gate_of([], []) == ""
    ways = [Way("ve0", BOTH, masquerade=True), Way("ve1", ("10.8.0.2/24",))]
    found = chains(firewall.gate_of(ways, [Opened(4, ("eth0", "ve0", "ve1")), Opened(6, ())]))
    assert found["forward"] == [
        'meta nfproto ipv4 iifname "eth0" oifname "eth0" accept',
        'meta nfproto ipv4 iifname "ve0" oifname "ve0" accept',
        'meta nfproto ipv4 iifname "ve1" oifname "ve1" accept',
        'iifname "ve0" ip saddr { 10.9.0.2 } accept',
        'meta nfproto ipv4 iifname { "eth0", "ve0", "ve1" } ct state established,related accept',
        'meta nfproto ipv4 iifname { "eth0", "ve0", "ve1" } ct status dnat accept',
        'meta nfproto ipv4 iifname { "eth0", "ve0", "ve1" } drop',
    ]
    # An older kernel has one switch for all, with those that come later.
    everything = chains(firewall.gate_of(ways, [Opened(6, ("eth0", "ve0"), all=True)]))
    assert everything["forward"][-1] == "meta nfproto ipv6 drop"
    assert 'iifname "ve0" ip6 saddr { fd00:9::2 } accept' in everything["forward"]


def test_for_as_few_interfaces_as_will_do() -> None:
    host = {
        each.name: each
        for each in [
            interface("lo", addresses=("127.0.0.1/8",)),
            interface("eth0", addresses=("192.0.2.1/24",)),
            interface("eth1"),
            interface("ppp0"),
            interface("ve0", "veth", addresses=("10.9.0.1/24",), alias=forward_needs.alias_of("a")),
            interface("ve1", "veth", addresses=("10.9.1.1/24",), alias=forward_needs.alias_of("b")),
            interface("br0", "bridge", addresses=("10.7.0.1/24",)),
            interface("ve2", "veth", master="br0", alias=forward_needs.alias_of("c")),
            interface("br1", "bridge", addresses=("10.6.0.1/24",)),
            interface("eth2", master="br1"),
        ]
    }

    def opened(*ways: Way) -> list[str]:
        needs = forward_needs.of(ways, host, {"ppp0"}, ())
        return sorted(key for key in needs.settings if key.startswith("net.ipv4"))

    out = Way("ve0", BOTH[:1], masquerade=True)
    passing = [f"net.ipv4.conf.{name}.forwarding" for name in ("br1", "eth0", "ppp0", "ve0")]
    assert opened(out) == passing
    assert opened(Way("ve0", BOTH[:1], publish=("80:80",))) == [
        *passing,
        "net.ipv4.conf.ve0.route_localnet",
    ]
    assert opened(Way("ve0", BOTH[:1], publish=("127.0.0.1:80:80",))) == [
        "net.ipv4.conf.ve0.route_localnet"
    ]
    assert opened(Way("ve0", BOTH[:1], publish=("192.0.2.1:80:80",))) == passing
    assert opened() == []
    needs = forward_needs.of([Way("eth0.7", BOTH[:1], masquerade=True)], {}, set(), ())
    assert "net.ipv4.conf.eth0/7.forwarding" in needs.settings
    assert forward_needs.opened({"net.ipv4.conf.eth0/7.forwarding": "0"}, host)[0] == Opened(
        4, ("eth0.7",)
    )


def test_a_route_from_a_router_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one switch for all interfaces, each keeps taking routes before that is turned."""
    monkeypatch.setattr(forward_needs, "_FORCED", "/nonexistent")
    host = {"eth0": interface("eth0", addresses=("2001:db8::1/64",))}
    accepting = "net.ipv6.conf.eth0.accept_ra"
    way = Way("ve0", ("fd00:9::2/64",), masquerade=True)
    needs = forward_needs.of([way], host, {"eth0"}, {accepting})
    assert [*needs.settings.items()] == [(accepting, "2"), ("net.ipv6.conf.all.forwarding", "1")]
