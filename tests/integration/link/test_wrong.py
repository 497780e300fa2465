# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be is refused with a reason before anything has changed, in check mode as well."""

from __future__ import annotations

import os
import typing as t

import network
import pytest
from host_state import host_state
from named_namespaces import NewName
from results import Converge, Result, RunModule, is_failure

VETH: dict[str, t.Any] = {"name": "eth0", "kind": "veth", "peer": {"name": "ve0"}}


@pytest.fixture(scope="module")
def name(run_module: RunModule) -> t.Iterator[str]:
    found = f"test{os.getpid()}-wrong"
    run_module("ns_namespace", {"name": found, "kinds": ["net"]})
    yield found
    run_module("ns_namespace", {"name": found, "state": "absent"})


@pytest.fixture
def refused(run_module: RunModule, name: str) -> t.Callable[..., Result]:
    """The failure of a run that changes nothing."""

    def run(**options: t.Any) -> Result:
        options = {"namespace": name, **options}
        options = {key: value for key, value in options.items() if value is not None}
        before = [host_state(), network.state(), network.interfaces(name)]
        results = [run_module("ns_link", options, check=check) for check in (True, False)]
        assert [host_state(), network.state(), network.interfaces(name)] == before
        for result in results:
            assert result.get("failed"), result
            assert "defect" not in result["msg"]
            assert "step" not in result
        assert results[0]["msg"] == results[1]["msg"]
        return results[1]

    return run


@pytest.mark.parametrize(
    ("options", "reason", "hint"),
    [
        ({"name": "a234567890123456"}, "16 bytes", "IFNAMSIZ"),
        ({"name": "é23456789012345"}, "16 bytes", "IFNAMSIZ"),
        ({"name": "a/b"}, "'a/b'", "letters"),
        ({"name": "a b"}, "'a b'", "letters"),
        ({"name": "a;reboot"}, "for no interface", "letters"),
        ({"name": "lo"}, "'lo'", "letters"),
        ({"name": "-x"}, "'-x'", "letters"),
        ({"name": ""}, "''", "letters"),
        ({"kind": None}, "no kind", "veth"),
        ({"peer": {"name": "p234567890123456"}}, "peer: name", "IFNAMSIZ"),
        ({"peer": {"name": "ve0", "bridge": "nosuch"}}, "not there", "ns_link"),
        ({"peer": {"name": "ve0", "bridge": "lo"}}, "'lo'", "letters"),
        ({"peer": {"namespace": "db"}}, "name is missing", ""),
        ({"peer": {"name": "a", "bridge": "b", "addresses": ["10.1.1.1/24"]}}, "a bridge and", "port"),
        ({"addresses": ["10.9.0.2"]}, "without its prefix", "10.9.0.2/32"),
        ({"addresses": ["10.9.0.256/24"]}, "is no address", "10.9.0.2/30"),
        ({"addresses": ["10.9.0.2/33"]}, "is no address", ""),
        ({"addresses": ["224.0.0.1/24"]}, "no interface can have", ""),
        ({"addresses": ["10.9.0.2/24", "10.9.0.2/16"]}, "twice", ""),
        ({"addresses": ["10.9.0.2/24"], "peer": {"name": "a", "addresses": ["10.9.0.2/24"]}}, "eth0", "own"),
        ({"mtu": 10}, "mtu is 10", ""),
        ({"mtu": 1000, "addresses": ["fd00::1/64"]}, "mtu is 1000", ""),
        ({"mac": "01:00:00:00:00:01"}, "mac", "02:00"),
        ({"mac": "nonsense"}, "mac", "02:00"),
        ({"routes": [{"to": "10.1.2.3/8"}]}, "no network", "default"),
        ({"routes": [{"to": "default", "via": "nowhere"}]}, "via", ""),
        ({"routes": [{"to": "::/0", "via": "10.9.0.1"}]}, "another family", ""),
        ({"routes": [{"to": "10.0.0.0/8", "dev": "nosuch"}]}, "not there", ""),
        ({"routes": [{"to": "10.0.0.0/8", "blackhole": True, "via": "10.9.0.1"}]}, "blackhole", ""),
        ({"routes": [{"to": "default", "via": "10.9.0.1"}], "up": False}, "up is false", ""),
        ({"rules": [{"priority": 0, "table": 5}]}, "priority", ""),
        ({"rules": [{"priority": 5, "table": 255}]}, "table", ""),
        ({"rules": [{"priority": 5, "table": 5, "from": "10.0.0.0/8", "to": "::/0"}]}, "families", ""),
        ({"master": "nosuch"}, "no bridge", "same namespace"),
        ({"kind": "macvlan", "peer": None}, "parent is missing", ""),
        ({"kind": "macvlan", "peer": None, "parent": "nosuch"}, "no interface nosuch", ""),
        ({"kind": "macvlan", "parent": "lo0"}, "peer is for no macvlan", ""),
        ({"kind": "macvlan", "peer": None, "parent": "lo0", "mode": "l2"}, "mode is 'l2'", "bridge"),
        ({"kind": "vlan", "peer": None, "parent": "lo0", "id": 4095}, "4095", ""),
        ({"kind": "ipvlan", "peer": None, "parent": "lo0", "mac": "02:00:00:00:00:01"}, "mac is for no", ""),
        ({"kind": "vrf", "peer": None}, "table is missing", ""),
        ({"kind": "moved", "peer": None, "name": "nosuch"}, "no interface nosuch", "ip link"),
        ({"kind": "wireguard", "peer": None}, "wireguard is missing", ""),
        ({"publish": ["80"]}, "publish has '80'", "8080:80"),
        ({"publish": ["8080:80"]}, "needs an address", "addresses"),
        ({"masquerade": True}, "needs an address", "addresses"),
        ({"addresses": ["10.9.0.2/24"], "masquerade": True}, "no address in the network", "beside 10.9.0.2/24"),
        ({"addresses": ["10.9.0.2/24"], "publish": ["[::1]:80:80"]}, "no address of that family", ""),
        ({"addresses": ["10.9.0.2/24"], "publish": ["80:80", "127.0.0.1:80:81"]}, "one port of the host", "own"),
        ({"addresses": ["10.9.0.2/24"], "masquerade": True, "peer": {"name": "a", "namespace": "db"}}, "not in", ""),
        ({"kind": "bridge", "peer": None, "masquerade": True}, "masquerade is for no bridge", ""),
        ({"namespace": None, "addresses": ["10.9.0.2/24"], "publish": ["8:80"]}, "of a named namespace", "namespace"),
        ({"namespace": None, "exclusive": True}, "exclusive", "absent"),
    ],
)  # fmt: skip
def test_refused(
    refused: t.Callable[..., Result], options: dict[str, t.Any], reason: str, hint: str
) -> None:
    given = {**VETH, **options}
    is_failure(refused(**given), reason, hint)


@pytest.mark.parametrize(
    ("tunnel", "reason"),
    [
        ({"private_key_file": "/nosuch"}, "cannot be read"),
        ({"private_key_file": "relative"}, "absolute path"),
        ({"private_key_file": "/etc/hostname"}, "can be read by others"),
        ({"private_key_file": "{bad}"}, "no key of WireGuard"),
        ({"private_key_file": "{good}", "peers": [{"public_key": "x"}]}, "no key of WireGuard"),
        ({"private_key_file": "{good}", "listen_port": 70000}, "listen_port"),
        ({"private_key_file": "{good}", "peers": [{"public_key": "{key}", "endpoint": "a"}]}, "endpoint"),
        (
            {"private_key_file": "{good}", "peers": [{"public_key": "{key}", "allowed_ips": ["x"]}]},
            "allowed_ips",
        ),
        ({"private_key_file": "{good}", "peers": [{"public_key": "{key}"}] * 2}, "one public_key"),
    ],
)  # fmt: skip
def test_bad_keys(
    refused: t.Callable[..., Result],
    tmp_path: t.Any,
    tunnel: dict[str, t.Any],
    reason: str,
) -> None:
    key = "A" * 43 + "="
    words = {"{bad}": str(tmp_path / "bad"), "{good}": str(tmp_path / "good"), "{key}": key}
    for file, text in (("bad", "hunter2"), ("good", key)):
        (tmp_path / file).write_text(f"{text}\n")
        (tmp_path / file).chmod(0o600)

    def filled(value: t.Any) -> t.Any:
        if isinstance(value, dict):
            return {name: filled(each) for name, each in value.items()}
        if isinstance(value, list):
            return [filled(each) for each in value]
        return words.get(value, value)

    result = refused(name="wg0", kind="wireguard", wireguard=filled(tunnel))
    assert "hunter2" not in str(result)
    if "this kernel" not in result["reason"]:
        assert reason in result["reason"]


def test_what_is_there(refused: t.Callable[..., Result], name: str) -> None:
    network.ip("link add name ve0 type bridge")
    network.ip("link add name other type veth peer name inner")
    network.ip("addr add 10.9.0.7/24 dev other")
    network.ip("addr add 10.9.0.8/24 dev lo", inside=name)
    try:
        is_failure(refused(**VETH), "has an interface ve0", "another name")
        peer = {"peer": {"name": "ve1"}}
        is_failure(
            refused(**{**VETH, **peer}, addresses=["10.9.0.7/24"]), "other of the host", "own"
        )
        is_failure(
            refused(**{**VETH, **peer}, addresses=["10.9.0.8/24"]), "lo has the address", "own"
        )
        bridged = {"peer": {"name": "ve1", "bridge": "other"}}
        is_failure(refused(**{**VETH, **bridged}), "is a veth", "ns_link")
        is_failure(
            refused(namespace=None, name="other", kind="bridge"), "which is a veth", "another"
        )
    finally:
        network.ip("link del ve0")
        network.ip("link del other")


def test_listed_together(refused: t.Callable[..., Result]) -> None:
    second = {**VETH, "name": "eth1"}
    is_failure(refused(links=[VETH, VETH]), "listed twice", "once")
    is_failure(refused(links=[VETH, second]), "peer ve0", "another")
    first = {**VETH, "addresses": ["10.9.0.2/24"]}
    second = {**second, "peer": {"name": "ve1"}, "addresses": ["10.9.0.2/24"]}
    is_failure(refused(links=[first, second]), "10.9.0.2", "own")


def test_without_its_tools(run_module: RunModule, name: str, tmp_path: t.Any) -> None:
    def failed(path: str) -> Result:
        return run_module("ns_link", {"namespace": name, **VETH}, env={"PATH": path})

    (tmp_path / "busybox").write_text("#!/bin/sh\n")
    (tmp_path / "busybox").chmod(0o755)
    (tmp_path / "ip").symlink_to("busybox")
    is_failure(failed(str(tmp_path)), "is that of busybox", "iproute2")


def test_shared_network(
    run_module: RunModule, converge: Converge, name: str, new_name: NewName
) -> None:
    other = new_name()
    converge("ns_namespace", {"name": other, "kinds": ["mnt"], "share": {"net": name}})
    result = run_module("ns_link", {"namespace": other, **VETH})
    is_failure(result, f"is that of {name}", f"Give {name}")
    result = run_module("ns_namespace", {"name": other, "kinds": ["mnt"], "links": [VETH]})
    is_failure(result, "need the kind net", "Add net")
    converge("ns_namespace", {"name": other, "state": "absent"})


def test_to_come(run_module: RunModule) -> None:
    result = run_module("ns_link", {"namespace": "nosuch", **VETH}, check=True)
    assert result["changed"]
    is_failure(
        run_module("ns_link", {"namespace": "nosuch", **VETH}), "no namespace", "ns_namespace"
    )
