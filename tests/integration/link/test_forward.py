# SPDX-License-Identifier: GPL-3.0-or-later
"""In and out: what a namespace sends beyond the host, and the ports of the host that lead to it."""

from __future__ import annotations

import pathlib
import subprocess
import typing as t

import network
import pytest
from named_namespaces import NewName
from network import kept_net
from results import Converge, RunModule, is_failure
from traffic import answering, other_host, seen_by

HOST, CLIENT = ["192.0.2.1/24", "2001:db8::1/64"], ["192.0.2.2/24", "2001:db8::2/64"]
INSIDE = ["10.9.0.2/24", "fd00:9::2/64"]
ROUTES = [{"to": "default", "via": "10.9.0.1"}, {"to": "default", "via": "fd00:9::1"}]


@pytest.fixture
def client() -> t.Iterator[str]:
    """The file of the network of another host, which the host is connected with."""
    with other_host("wan0", CLIENT) as where:
        for each in HOST:
            network.ip(f"addr add {each} dev wan0{' nodad' if ':' in each else ''}")
        network.ip("link set wan0 up")
        yield where


@pytest.fixture
def bridge(converge: Converge) -> t.Iterator[None]:
    own = {"name": "br0", "kind": "bridge", "addresses": ["10.9.0.1/24", "fd00:9::1/64"]}
    converge("ns_link", own)
    yield
    converge("ns_link", {"name": "br0", "state": "absent"})


def behind(bridge: bool) -> dict[str, t.Any]:
    """An interface behind a bridge, or with an end on the host that has addresses."""
    peer: dict[str, t.Any] = {"name": "ve0", "bridge": "br0"}
    if not bridge:
        peer = {"name": "ve0", "addresses": ["10.9.0.1/24", "fd00:9::1/64"]}
    return {
        "name": "eth0", "kind": "veth", "peer": peer, "addresses": INSIDE, "routes": ROUTES,
    }  # fmt: skip


@pytest.fixture(params=["routed", "bridged"])
def is_bridged(request: pytest.FixtureRequest) -> bool:
    """Whether the interface is behind a bridge, which is there then."""
    if request.param == "bridged":
        request.getfixturevalue("bridge")
        return True
    return False


def test_out(converge: Converge, new_name: NewName, client: str, is_bridged: bool) -> None:
    name = new_name()
    before = network.forwarding()
    link = behind(is_bridged)
    converge("ns_namespace", {"name": name, "kinds": ["net"], "links": [link]})
    inside = kept_net(name)
    with answering(99, where=client):
        assert not seen_by("192.0.2.2", 99, where=inside, patience=0.5)
        result = converge("ns_link", {"namespace": name, **link, "masquerade": True})
        assert f"write the table inet linux-namespaces-{name}" in result["actions"]
        assert "set net.ipv4.conf.wan0.forwarding to 1" in result["actions"]
        assert seen_by("192.0.2.2", 99, where=inside) == "192.0.2.1"
        assert seen_by("2001:db8::2", 99, where=inside) == "2001:db8::1"
    with answering(99, where=inside):
        # It is a way out, not in: with a route to it nobody gets there that did not before.
        network.ip_in(client, "route add 10.9.0.0/24 via 192.0.2.1")
        assert not seen_by("10.9.0.2", 99, where=client, patience=0.5)
        assert seen_by("10.9.0.2", 99) == "10.9.0.1"
    result = converge("ns_link", {"namespace": name, **link})
    assert "set net.ipv4.conf.wan0.forwarding back to 0" in result["actions"]
    assert network.tables() == []
    assert network.forwarding()["ipv4/conf/wan0/forwarding"] == "0"
    converge("ns_namespace", {"name": name, "state": "absent"})
    assert {key: network.forwarding()[key] for key in before} == before


def test_in(converge: Converge, new_name: NewName, client: str, is_bridged: bool) -> None:
    name = new_name()
    link = {
        **behind(is_bridged),
        "publish": [
            "8080:80",
            "127.0.0.1:5432:80/tcp",
            "192.0.2.1:8053:53/udp",
            "[2001:db8::1]:81:80",
            "[::1]:5433:80",
        ],
    }
    result = converge("ns_namespace", {"name": name, "kinds": ["net"], "links": [link]})
    assert "set net.ipv4.conf.wan0.forwarding to 1" in result["actions"]
    inside = kept_net(name)
    with answering(80, where=inside), answering(53, where=inside, protocol="udp"):
        # Whoever is there from elsewhere is seen as who it is.
        assert seen_by("192.0.2.1", 8080, where=client) == "192.0.2.2"
        assert seen_by("2001:db8::1", 8080, where=client) == "2001:db8::2"
        assert seen_by("2001:db8::1", 81, where=client) == "2001:db8::2"
        assert seen_by("192.0.2.1", 8053, where=client, protocol="udp") == "192.0.2.2"
        # The host itself.
        for address in ("127.0.0.1", "127.0.0.9"):
            assert seen_by(address, 8080) == "10.9.0.1"
        assert seen_by("192.0.2.1", 8080)
        assert seen_by("127.0.0.1", 5432) == "10.9.0.1"
        assert seen_by("::1", 5433) == "fd00:9::1"
        assert seen_by("::1", 8080) == "fd00:9::1"
        # What is of the host alone is for nobody else, also not for who sends to it by the host.
        network.ip_in(client, "route add 127.0.0.0/8 via 192.0.2.1 dev wan0 table 9")
        assert not seen_by("192.0.2.1", 5432, where=client, patience=0.5)
        # It is a way in, not out: nor is another port reached.
        assert not seen_by("10.9.0.2", 80, where=client, patience=0.5)
    with answering(99, where=client):
        assert not seen_by("192.0.2.2", 99, where=inside, patience=0.5)
    converge("ns_namespace", {"name": name, "state": "absent"})
    assert network.tables() == []


def test_two(
    converge: Converge, run_module: RunModule, new_name: NewName, client: str, bridge: None
) -> None:
    assert bridge is None
    first, second = new_name(), new_name()
    network.ip("link add name other type bridge")
    for number, name in enumerate((first, second), start=2):
        link = {
            **behind(True),
            "peer": {"name": f"ve{number}", "bridge": "br0"},
            "addresses": [f"10.9.0.{number}/24"],
            "routes": [{"to": "default", "via": "10.9.0.1"}],
            "masquerade": True,
            "publish": [f"80{number}:80"],
        }
        converge("ns_namespace", {"name": name, "kinds": ["net"], "links": [link]})
    with answering(80, where=kept_net(second)), answering(80, where=kept_net(first)):
        # One that is beside it on the bridge, and it itself, by the address of the host.
        assert seen_by("10.9.0.1", 803, where=kept_net(first)) == "10.9.0.1"
        assert seen_by("192.0.2.1", 802, where=client) == "192.0.2.2"
        # Each at the other's address.
        assert seen_by("10.9.0.3", 80, where=kept_net(first)) == "10.9.0.2"
    clash = {"namespace": second, **link, "publish": ["802:80"]}
    for check in (True, False):
        is_failure(
            run_module("ns_link", clash, check=check), f"802:80 of namespace {second}", "own"
        )
    with answering(807):
        taken = {"namespace": second, **link, "publish": ["803:80", "807:80"]}
        for check in (True, False):
            is_failure(run_module("ns_link", taken, check=check), "listens at", "ss -lntup")
    converge("ns_namespace", {"name": first, "state": "absent"})
    assert network.tables() == [f"linux-namespaces-{second}", "linux-namespaces"]
    with answering(80, where=kept_net(second)):
        assert seen_by("192.0.2.1", 803, where=client) == "192.0.2.2"
        assert not seen_by("192.0.2.1", 802, where=client, patience=0.5)
    # Mended, whoever has disturbed it.
    for disturbed in (
        ["nft", "delete", "table", "inet", f"linux-namespaces-{second}"],
        ["nft", "flush", "ruleset"],
        ["nft", "flush", "chain", "inet", f"linux-namespaces-{second}", "incoming"],
        ["sysctl", "-q", "net.ipv4.conf.wan0.forwarding=0"],
    ):
        subprocess.run(disturbed, check=True)
        again = {"name": second, "kinds": ["net"], "links": [link]}
        converge("ns_namespace", again)
        with answering(80, where=kept_net(second)):
            assert seen_by("192.0.2.1", 803, where=client) == "192.0.2.2"
    converge("ns_namespace", {"name": second, "state": "absent"})
    network.ip("link del other")
    assert network.tables() == []


def test_it_touches_no_others(
    converge: Converge, new_name: NewName, client: str, tmp_path: pathlib.Path
) -> None:
    assert client
    rules = tmp_path / "rules"
    rules.write_text(
        "table inet mine { chain c { type filter hook input priority 0; tcp dport 1 drop; }; }\n"
    )
    subprocess.run(["nft", "-f", str(rules)], check=True)
    before = network.ruleset()
    name = new_name()
    link = {**behind(False), "masquerade": True, "publish": ["8080:80"]}
    converge("ns_namespace", {"name": name, "kinds": ["net"], "links": [link]})
    assert "mine" in network.tables()
    converge("ns_namespace", {"name": name, "state": "absent"})
    assert network.ruleset() == before
    subprocess.run(["nft", "delete", "table", "inet", "mine"], check=True)
