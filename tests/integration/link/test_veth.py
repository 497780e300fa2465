# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces with two ends: one inside, the other on the host, on a bridge, or in another namespace."""

from __future__ import annotations

import pathlib
import subprocess
import typing as t

import network
import pytest
from named_namespaces import NewName, record_of
from results import Converge

INNER, OUTER = "10.9.0.2/30", "10.9.0.1/30"
V6_INNER, V6_OUTER = "fd00:9::2/64", "fd00:9::1/64"


def veth(**options: t.Any) -> dict[str, t.Any]:
    return {
        "name": "eth0",
        "kind": "veth",
        "peer": {"name": "ve0", "addresses": [OUTER, V6_OUTER]},
        "addresses": [INNER, V6_INNER],
        "routes": [{"to": "default", "via": "10.9.0.1"}, {"to": "default", "via": "fd00:9::1"}],
        "mtu": 1450,
        **options,
    }


@pytest.fixture
def name(converge: Converge, new_name: NewName) -> str:
    found = new_name()
    converge("ns_namespace", {"name": found, "kinds": ["net"]})
    return found


def test_both_ends(converge: Converge, name: str) -> None:
    result = converge("ns_link", {"namespace": name, **veth()})
    assert result["actions"][0] == "make veth eth0"
    assert result["links"][0]["addresses"] == [INNER, V6_INNER]
    assert result["links"][0]["mtu"] == 1450
    assert network.addresses("eth0", name) == [INNER, V6_INNER]
    assert network.addresses("ve0") == [OUTER, V6_OUTER]
    assert network.interfaces()["ve0"]["mtu"] == 1450
    assert network.routes(name) == ["default via 10.9.0.1", "default via fd00:9::1"]
    assert network.reaches("10.9.0.1", inside=name)
    assert network.reaches("fd00:9::1", inside=name)


def test_changed_in_place(converge: Converge, name: str) -> None:
    converge("ns_link", {"namespace": name, **veth()})
    before = network.interfaces(name)["eth0"]["ifindex"]
    changed = veth(
        addresses=["10.9.0.2/24", "10.9.0.3/24"],
        peer={"name": "ve0", "addresses": ["10.9.0.1/24"]},
        routes=[{"to": "default", "via": "10.9.0.1"}, {"to": "10.7.0.0/16", "blackhole": True}],
        mtu=1400,
        mac="02:00:00:00:00:07",
    )
    converge("ns_link", {"namespace": name, **changed})
    found = network.interfaces(name)["eth0"]
    assert (found["ifindex"], found["mtu"], found["address"]) == (before, 1400, "02:00:00:00:00:07")
    assert network.addresses("eth0", name) == ["10.9.0.2/24", "10.9.0.3/24"]
    assert network.addresses("ve0") == ["10.9.0.1/24"]
    assert network.routes(name) == ["blackhole 10.7.0.0/16", "default via 10.9.0.1"]
    converge("ns_link", {"namespace": name, **changed, "routes": []})
    assert network.routes(name) == []


def test_first_of_two_addresses_goes(converge: Converge, name: str) -> None:
    both = veth(addresses=["10.9.0.2/24", "10.9.0.3/24"], peer={"name": "ve0", "addresses": []})
    both["routes"] = [{"to": "default", "via": "10.9.0.1"}]
    converge("ns_link", {"namespace": name, **both})
    converge("ns_link", {"namespace": name, **both, "addresses": ["10.9.0.3/24"]})
    assert network.addresses("eth0", name) == ["10.9.0.3/24"]
    assert network.routes(name) == ["default via 10.9.0.1"]


def test_down_and_up_again(converge: Converge, name: str) -> None:
    converge("ns_link", {"namespace": name, **veth(routes=[])})
    converge("ns_link", {"namespace": name, **veth(routes=[], up=False)})
    assert "UP" not in network.interfaces(name)["eth0"]["flags"]
    converge("ns_link", {"namespace": name, **veth()})
    assert network.routes(name) == ["default via 10.9.0.1", "default via fd00:9::1"]


def test_absent(converge: Converge, name: str) -> None:
    converge("ns_link", {"namespace": name, **veth()})
    result = converge("ns_link", {"namespace": name, "name": "eth0", "state": "absent"})
    assert result["actions"] == ["remove veth eth0", f"record the interfaces of {name}"]
    assert network.interfaces() == {}
    assert '"links"' not in record_of(name).read_text()


def test_on_a_bridge(converge: Converge, name: str, new_name: NewName) -> None:
    bridge = {"name": "br0", "kind": "bridge", "addresses": ["10.9.0.1/24"]}
    converge("ns_link", bridge)
    assert pathlib.Path("/etc/linux-namespaces/host/links.json").exists()
    other = new_name()
    converge("ns_namespace", {"name": other, "kinds": ["net"]})
    for number, each in enumerate((name, other), start=2):
        peer = {"name": f"ve{number}", "bridge": "br0"}
        link = veth(peer=peer, addresses=[f"10.9.0.{number}/24"], routes=[])
        converge("ns_link", {"namespace": each, **link})
    assert network.reaches("10.9.0.3", inside=name)
    assert network.reaches("10.9.0.2")
    converge("ns_namespace", {"name": other, "state": "absent"})
    assert sorted(network.interfaces()) == ["br0", "ve2"]
    converge("ns_link", {"namespace": name, **veth(routes=[], addresses=["10.9.0.2/24"])})
    assert network.interfaces()["ve0"].get("master") is None
    converge("ns_link", {"namespace": name, "name": "eth0", "state": "absent"})
    converge("ns_link", {"name": "br0", "state": "absent"})
    assert not pathlib.Path("/etc/linux-namespaces/host").exists()


def test_between_two_namespaces(converge: Converge, name: str, new_name: NewName) -> None:
    other = new_name()
    converge("ns_namespace", {"name": other, "kinds": ["net"]})
    peer = {"namespace": other, "name": "eth1", "addresses": [OUTER]}
    converge("ns_link", {"namespace": name, **veth(peer=peer, addresses=[INNER], routes=[])})
    assert network.reaches("10.9.0.1", inside=name)
    assert network.interfaces() == {}
    converge("ns_namespace", {"name": other, "state": "absent"})
    assert network.interfaces(name) == {}


def test_list_and_exclusive(converge: Converge, name: str) -> None:
    first = veth(peer={"name": "ve0"}, addresses=["10.9.0.2/30"], routes=[])
    second = {**first, "name": "eth1", "peer": {"name": "ve1"}, "addresses": ["10.9.1.2/30"]}
    bridge = {"name": "br0", "kind": "bridge", "addresses": ["10.9.2.1/24"]}
    port = {**first, "name": "eth2", "peer": {"name": "ve2"}, "addresses": [], "master": "br0"}
    converge("ns_link", {"namespace": name, "links": [first, second, port, bridge]})
    assert network.interfaces(name)["eth2"]["master"] == "br0"
    network.ip("link add name strange type bridge", inside=name)
    converge("ns_link", {"namespace": name, "links": [second], "exclusive": True})
    assert sorted(network.interfaces(name)) == ["eth1"]
    assert sorted(network.interfaces()) == ["ve1"]


def test_rules(converge: Converge, name: str) -> None:
    def found() -> list[tuple[str, int]]:
        return [
            (family, each["priority"])
            for family in ("-4", "-6")
            for each in network.shown(f"{family} rule show", inside=name)
            if 0 < each["priority"] < 32766
        ]

    rules = [
        {"priority": 100, "from": "10.9.0.0/16", "table": 77},
        {"priority": 101, "from": "fd00:9::/64", "table": 77},
        {"priority": 102, "fwmark": 7, "table": 78},
    ]
    routes = [{"to": "10.8.0.0/16", "via": "10.9.0.1", "table": 77, "metric": 5}]
    converge("ns_link", {"namespace": name, **veth(rules=rules, routes=routes)})
    assert found() == [("-4", 100), ("-4", 102), ("-6", 101), ("-6", 102)]
    assert network.routes(name) == ["10.8.0.0/16 via 10.9.0.1"]
    converge("ns_link", {"namespace": name, **veth(rules=rules[:1], routes=[])})
    assert found() == [("-4", 100)]
    converge("ns_link", {"namespace": name, "name": "eth0", "state": "absent"})
    assert found() == []


def test_other_targets(converge: Converge, name: str) -> None:
    path = f"/run/linux-namespaces/{name}/net"
    link = veth(peer={"name": "ve0"}, routes=[])
    converge("ns_link", {"namespace_path": path, **link})
    assert sorted(network.interfaces(name)) == ["eth0"]
    assert '"links"' not in record_of(name).read_text()
    holder = subprocess.Popen(["nsenter", f"--net={path}", "sleep", "60"])
    try:
        converge("ns_link", {"pid": holder.pid, "name": "eth0", "state": "absent"})
    finally:
        holder.kill()
        holder.wait()
    assert network.interfaces() == {}
