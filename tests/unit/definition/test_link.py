# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces: their JSON form, and what is made of what people write."""

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    link_checks,
    link_file,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.link import Link
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.link_words import (
    KINDS,
    MODES,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.options import link as options

KEY = "A" * 43 + "="
FULL: dict[str, t.Any] = {
    "name": "eth0",
    "kind": "veth",
    "up": True,
    "mac": "02:00:00:00:00:01",
    "mtu": 1450,
    "master": "br0",
    "addresses": ["10.9.0.2/30", "fd00:9::2/64", "10.1.0.1 peer 10.1.0.2/32"],
    "routes": [
        {"to": "0.0.0.0/0", "via": "10.9.0.1", "dev": "eth1", "metric": 5, "table": 7},
        {"to": "10.0.0.0/8", "blackhole": True},
    ],
    "rules": [
        {
            "priority": 9, "table": 7, "from": "10.0.0.0/8", "to": "10.2.0.0/16", "iif": "eth0",
            "oif": "eth1", "fwmark": 3,
        }
    ],
    "peer": {"name": "ve0", "namespace": "db", "addresses": ["10.9.0.1/30"]},
}  # fmt: skip
TUNNEL: dict[str, t.Any] = {
    "name": "wg0",
    "kind": "wireguard",
    "wireguard": {
        "private_key_file": "/etc/key",
        "listen_port": 51820,
        "fwmark": 9,
        "peers": [
            {
                "public_key": KEY,
                "preshared_key_file": "/etc/psk",
                "endpoint": "[2001:db8::1]:51820",
                "allowed_ips": ["0.0.0.0/0", "::/0"],
                "persistent_keepalive": 25,
            }
        ],
    },
}
OF_KINDS: dict[str, dict[str, t.Any]] = {
    "macvlan": {"parent": "eth9", "mode": "vepa"},
    "ipvlan": {"parent": "eth9", "parent_in": "namespace"},
    "vlan": {"parent": "eth9", "id": 7},
    "vrf": {"table": 9},
    "moved": {"parent": "eth9", "force": True},
}


@pytest.mark.parametrize(
    "data",
    [FULL, TUNNEL, *({"name": "x", "kind": kind, **own} for kind, own in OF_KINDS.items())],
    ids=lambda data: data["kind"],
)
def test_json_form(data: dict[str, t.Any]) -> None:
    link = Link.from_data(data, "it")
    assert link_checks.checked(link) == link
    wanted = {key: value for key, value in data.items() if (key, value) != ("up", True)}
    assert link.to_data() == wanted
    assert link_file.of_data([wanted]) == (link,)


def test_what_options_say_is_the_same() -> None:
    params = {name: option.get("default") for name, option in options.OPTIONS.items()}
    routes = [{"metric": 0, "table": 0, "blackhole": False, **each} for each in FULL["routes"]]
    assert options.wanted({**params, **FULL, "routes": routes}) == Link.from_data(FULL, "it")


def test_in_the_form_of_the_kernel() -> None:
    link = link_checks.checked(
        Link(
            name="eth0",
            kind="veth",
            mac="02:AA:00:00:00:01",
            addresses=("10.9.0.2/255.255.255.0", "FD00:0:0:0::2/64", "10.1.0.1  peer 10.1.0.2/32"),
            routes=Link.from_data(
                {"name": "x", "kind": "veth", "routes": [
                    {"to": "default", "via": "fd00::1"}, {"to": "10.0.0.5", "dev": "eth0", "table": 254},
                ]}, "it",
            ).routes,
        )
    )  # fmt: skip
    assert link.mac == "02:aa:00:00:00:01"
    assert link.addresses == ("10.9.0.2/24", "fd00::2/64", "10.1.0.1 peer 10.1.0.2/32")
    assert [route.to_data() for route in link.routes] == [
        {"to": "::/0", "via": "fd00::1"},
        {"to": "10.0.0.5/32"},
    ]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([1], "link 1 is no object"),
        ([{"name": "x"}], "link 1 has no kind"),
        ([{"name": "x", "kind": "tap"}], "'tap', which is unknown"),
        ([{"name": "x", "kind": "bridge", "colour": 1}], "colour"),
        ([{"name": "x", "kind": "bridge", "mtu": "9"}], "mtu of link 1"),
        ([{"name": "x", "kind": "bridge"}] * 2, "listed twice"),
        ([{"name": "x\n", "kind": "bridge"}], "for no interface"),
        ([{"name": "x", "kind": "vrf", "table": True}], "table of link 1"),
        ([{"name": "x", "kind": "veth", "peer": []}], "peer of link 1"),
        ([{"name": "x", "kind": "veth", "routes": [{}]}], "routes[0] of link 1 has no to"),
        ([{"name": "x", "kind": "veth", "rules": [{"priority": "a", "table": 1}]}], "priority of"),
    ],
)
def test_what_somebody_has_edited(data: list[t.Any], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        link_file.of_data(data)


def test_each_kind_takes_what_it_needs() -> None:
    for name, kind in KINDS.items():
        assert {*kind.needs} <= {*kind.takes}, name
        for option in kind.takes:
            assert option in options.OPTIONS
    assert {*MODES} <= {*KINDS}


@pytest.mark.parametrize("text", ["", "A" * 44, "A" * 43, "A" * 42 + "==", KEY + "\n", "é" * 44])
def test_no_key(text: str) -> None:
    assert not link_checks.is_key(text)
    assert link_checks.is_key(KEY)


def test_names_of_fifteen_bytes() -> None:
    link_checks.check_name("a" * 15)
    for name in ("a" * 16, "é" * 8, ".a", "a:b", "a%d", "a\n", "all", "default"):
        with pytest.raises(Refused):
            link_checks.check_name(name)
