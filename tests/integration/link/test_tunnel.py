# SPDX-License-Identifier: GPL-3.0-or-later
"""A tunnel that is the only way out, to another host that is set up by hand. It takes a kernel that has WireGuard."""

from __future__ import annotations

import contextlib
import pathlib
import select
import socket
import struct
import subprocess
import typing as t

import network
import pytest
from command import Nsctl
from named_namespaces import NewName
from network import kept_net
from results import Converge
from traffic import answering, other_host, seen_by

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import namespaces

PORT = 51820
_EVERYTHING, _IPV4 = 3, 0x0800
_OUTGOING = 4  # PACKET_OUTGOING (packet(7))


@pytest.fixture(autouse=True)
def _wireguard() -> None:
    lacking = network.lacks_wireguard()
    if lacking:
        pytest.skip(f"this kernel has no WireGuard: {lacking}; tests/guests/run has")


def wg(*words: str, given: str = "", where: str = "") -> str:
    enter = ["nsenter", f"--net={where}"] if where else []
    argv = [*enter, "wg", *words]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, input=given)
    return done.stdout.strip()


@contextlib.contextmanager
def captured(where: str, name: str) -> t.Iterator[set[tuple[str, int]]]:
    """What has come by the interface there when the block ends: to which address, and port of UDP; 0 for others."""
    seen: set[tuple[str, int]] = set()
    with open(where, "rb") as there, open("/proc/self/ns/net", "rb") as here:
        namespaces.setns(there.fileno(), network.CLONE_NEWNET)
        try:
            tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_EVERYTHING))
        finally:
            namespaces.setns(here.fileno(), network.CLONE_NEWNET)
    with tap:
        yield seen
        while select.select([tap], [], [], 0.5)[0]:
            packet, about = tap.recvfrom(65536)
            if about[:2] == (name, _IPV4) and about[2] != _OUTGOING:
                length = (packet[0] & 15) * 4
                is_udp = packet[9] == socket.IPPROTO_UDP
                port = struct.unpack_from("!H", packet, length + 2)[0] if is_udp else 0
                seen.add((socket.inet_ntoa(packet[16:20]), port))


def test_nothing_leaves_but_by_the_tunnel(
    converge: Converge, nsctl: Nsctl, new_name: NewName, tmp_path: pathlib.Path
) -> None:
    keys = [wg("genkey") for _each in range(2)]
    own, other = (wg("pubkey", given=key) for key in keys)
    file = tmp_path / "key"
    file.write_text(keys[0])
    file.chmod(0o600)
    name = new_name()
    with other_host("wan0", ["192.0.2.2/24"]) as far:
        network.ip("addr add 192.0.2.1/24 dev wan0")
        network.ip("link set wan0 up")
        network.ip_in(far, "link add name wg0 type wireguard")
        (tmp_path / "far").write_text(keys[1])
        wg("set", "wg0", "private-key", str(tmp_path / "far"), "listen-port", str(PORT), where=far)
        wg("set", "wg0", "peer", own, "allowed-ips", "10.99.0.2/32", where=far)
        network.ip_in(far, "addr add 10.99.0.1/24 dev wg0")
        network.ip_in(far, "link set wg0 up")
        peer = {"public_key": other, "endpoint": f"192.0.2.2:{PORT}", "allowed_ips": ["0.0.0.0/0"]}
        link = {
            "name": "wg0",
            "kind": "wireguard",
            "addresses": ["10.99.0.2/24"],
            "routes": [{"to": "default"}],
            "wireguard": {"private_key_file": str(file), "peers": [peer]},
        }
        converge("ns_namespace", {"name": name, "kinds": ["net"], "links": [link]})
        assert keys[0] not in nsctl("export", name).stdout
        inside = kept_net(name)

        def asks() -> str:
            return seen_by("10.99.0.1", 99, where=inside, patience=10)

        with answering(99, where=far), captured(far, "wan0") as up:
            assert asks() == "10.99.0.2"
        assert up == {("192.0.2.2", PORT)}
        # Nobody at the other end: what goes out is for that alone.
        network.ip_in(far, "link set wg0 down")
        with captured(far, "wan0") as alone:
            assert asks() == ""
        assert alone == {("192.0.2.2", PORT)}
        network.ip("link set wg0 down", inside=name)
        with captured(far, "wan0") as down:
            assert asks() == ""
        assert down == set()
        network.ip_in(far, "link set wg0 up")
        nsctl("up", name)
        with answering(99, where=far):
            assert asks() == "10.99.0.2"
