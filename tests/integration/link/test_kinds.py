# SPDX-License-Identifier: GPL-3.0-or-later
"""Each kind of interface: made, changed, removed. What a kernel lacks is refused, and said."""

from __future__ import annotations

import pathlib
import subprocess
import typing as t

import network
import pytest
from named_namespaces import NewName
from results import Converge, RunModule

KEY = "A" * 42 + "E="
# By kind its options, another form of it that is a change in place, and one that makes it anew.
KINDS: dict[str, tuple[dict[str, t.Any], dict[str, t.Any], dict[str, t.Any]]] = {
    "veth": ({"peer": {"name": "ve0"}}, {"mtu": 1300}, {"peer": {"name": "ve1"}}),
    "bridge": ({}, {"mac": "02:00:00:00:00:05"}, {}),
    "dummy": ({}, {"mac": "02:00:00:00:00:05"}, {}),
    "macvlan": ({"parent": "base0"}, {"mtu": 1300}, {"mode": "private"}),
    "ipvlan": ({"parent": "base0"}, {"mtu": 1300}, {"mode": "l3"}),
    "vlan": ({"parent": "base0", "id": 7}, {"mac": "02:00:00:00:00:05"}, {"id": 8}),
    "vrf": ({"table": 77}, {"mtu": 1300}, {"table": 78}),
    "wireguard": ({"wireguard": {"listen_port": 51820}}, {"mtu": 1300}, {}),
}


@pytest.fixture
def base() -> t.Iterator[None]:
    network.ip("link add name base0 type veth peer name base1")
    network.ip("link set base0 up")
    network.ip("link set base1 up")
    yield
    network.ip("link del base0")


def has_kind(kind: str) -> bool:
    """Whether this kernel has it, by trying."""
    words = {"veth": "peer name try1", "vlan": "id 1", "vrf": "table 5"}.get(kind, "")
    below = "link base0 " if kind in ("macvlan", "ipvlan", "vlan") else ""
    # Elsewhere: with the first vrf the kernel makes a rule that stays.
    line = f"ip link add name base0 type veth && ip link add {below}name try0 type {kind} {words}"
    argv = ["unshare", "--net", "sh", "-c", line]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        assert "Unknown device type" in done.stderr, done.stderr
    return done.returncode == 0


@pytest.mark.usefixtures("base")
@pytest.mark.parametrize("kind", KINDS)
def test_a_kind(
    converge: Converge, run_module: RunModule, new_name: NewName, kind: str, tmp_path: pathlib.Path
) -> None:
    options, change, anew = KINDS[kind]
    if kind == "wireguard":
        for file, text in (("key", "cOFJ9EDXNXjTLfsEQ+9Wv5Y1aVZNqXGXtBDm0KAuy1Y="), ("psk", KEY)):
            (tmp_path / file).write_text(f"{text}\n")
            (tmp_path / file).chmod(0o600)
        options = {"wireguard": {**options["wireguard"], "private_key_file": f"{tmp_path}/key"}}
    name = new_name()
    converge("ns_namespace", {"name": name, "kinds": ["net"]})
    link = {"namespace": name, "name": "if0", "kind": kind, "addresses": ["10.9.3.1/24"], **options}
    if not has_kind(kind):
        for check in (True, False):
            failed = run_module("ns_link", link, check=check)
            assert f"no interfaces of the kind {kind}" in failed["reason"]
            assert f"modprobe {kind}" in failed["hint"]
        assert network.interfaces(name) == {}
        return
    converge("ns_link", link)
    assert network.interfaces(name)["if0"]["linkinfo"]["info_kind"] == kind
    number = network.interfaces(name)["if0"]["ifindex"]
    converge("ns_link", {**link, **change, "addresses": ["10.9.3.2/24", "fd00:9::3/64"]})
    assert network.addresses("if0", name) == ["10.9.3.2/24", "fd00:9::3/64"]
    assert network.interfaces(name)["if0"]["ifindex"] == number
    if kind == "wireguard":
        _peers(converge, link, f"{tmp_path}/psk", name)
    if anew:
        converge("ns_link", {**link, **anew})
        assert network.interfaces(name)["if0"]["ifindex"] != number
    converge("ns_link", {"namespace": name, "name": "if0", "state": "absent"})
    assert network.interfaces(name) == {}
    assert network.interfaces().keys() == {"base0", "base1"}


def _peers(converge: Converge, link: dict[str, t.Any], psk: str, name: str) -> None:
    peer = {"public_key": KEY, "preshared_key_file": psk, "allowed_ips": ["10.9.4.0/24", "::/0"]}
    peer.update(endpoint="127.0.0.1:51821", persistent_keepalive=25)
    tunnel = {**link["wireguard"], "fwmark": 5, "peers": [peer]}
    result = converge("ns_link", {**link, "wireguard": tunnel})
    assert "set keys and peers of if0" in result["actions"]
    where = f"/run/linux-namespaces/{name}/net"
    argv = ["nsenter", f"--net={where}", "wg", "show", "if0"]
    shown = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert "10.9.4.0/24, ::/0" in shown
    assert KEY not in str(result["actions"])
    converge("ns_link", link)
    shown = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert "peer" not in shown


@pytest.mark.usefixtures("base")
def test_below_one_inside(converge: Converge, run_module: RunModule, new_name: NewName) -> None:
    name = new_name()
    converge("ns_namespace", {"name": name, "kinds": ["net"]})
    outer = {"name": "eth0", "kind": "veth", "peer": {"name": "ve0"}}
    inner = {"name": "mac0", "kind": "macvlan", "parent": "eth0", "parent_in": "namespace"}
    if not has_kind("macvlan"):
        assert (
            "macvlan"
            in run_module("ns_link", {"namespace": name, "links": [outer, inner]})["reason"]
        )
        return
    converge("ns_link", {"namespace": name, "links": [inner, outer]})
    assert network.interfaces(name)["mac0"]["link"] == "eth0"
    converge("ns_link", {"namespace": name, "links": [], "exclusive": True})
    assert network.interfaces(name) == {}


def test_of_the_host(converge: Converge) -> None:
    converge("ns_link", {"name": "br0", "kind": "bridge"})
    port = {"name": "ve0", "kind": "veth", "peer": {"name": "ve1"}, "master": "br0"}
    converge("ns_link", port)
    assert network.interfaces()["ve0"]["master"] == "br0"
    converge("ns_link", {**port, "master": None, "addresses": ["10.9.0.1/24"]})
    assert "master" not in network.interfaces()["ve0"]
    gone = [{"name": name, "state": "absent"} for name in ("ve0", "br0")]
    converge("ns_link", {"links": gone})
    assert network.interfaces() == {}
