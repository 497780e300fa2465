# SPDX-License-Identifier: GPL-3.0-or-later
"""The test hosts with their networks, as they are after each step."""

from __future__ import annotations

import json
import socket
import urllib.request

import pytest

CONTROLLER = "10.89.0.1"
LICENSE = "GNU GENERAL PUBLIC LICENSE"


@pytest.fixture
def address(host) -> str:
    found = json.loads(host.check_output("ip -json -4 addr show dev host0"))
    return found[0]["addr_info"][0]["local"]


def test_everything_is_as_it_is_to_be(host) -> None:
    for each in json.loads(host.check_output("nsctl list --json")):
        shown = json.loads(host.check_output("nsctl show --json %s", each["name"]))
        assert [link for link in shown["links"] if link["state"] != "ok"] == []


def test_the_port_is_reached_from_elsewhere(address: str) -> None:
    with urllib.request.urlopen(f"http://{address}:8080/GPL-3", timeout=10) as page:
        assert LICENSE in page.read().decode()


def test_the_port_is_reached_from_the_host(host, address: str) -> None:
    for asked in ("127.0.0.1:8080", "127.0.0.1:8081", "[::1]:8080", f"{address}:8080"):
        assert LICENSE in host.check_output("curl -sS --max-time 10 http://%s/GPL-3", asked)


def test_a_port_of_the_host_itself_is_reached_from_nowhere_else(address: str) -> None:
    with pytest.raises(OSError, match=r"refused|timed out"):
        socket.create_connection((address, 8081), timeout=2).close()


def test_it_gets_out_with_the_address_of_the_host(host, address: str) -> None:
    with socket.create_server((CONTROLLER, 0)) as server:
        server.settimeout(10)
        port = str(server.getsockname()[1])
        asks = f"import socket; socket.create_connection(('{CONTROLLER}', {port}), 5)"
        assert host.run("nsctl exec shop -- python3 -c %s", asks).rc == 0
        connection, peer = server.accept()
        connection.close()
    assert peer[0] == address


def test_its_names_are_there(host) -> None:
    assert "10.9.0.1" in host.check_output("nsctl exec shop -- getent hosts gateway")


def test_two_share_a_network_and_a_directory(host) -> None:
    for name in ("front", "back"):
        asked = f"nsctl exec {name} -- curl -sS --max-time 10 http://127.0.0.1:8000/hello"
        assert host.check_output(asked) == "hello"
    assert host.run("curl -sS --max-time 2 http://127.0.0.1:8000/").rc != 0
    assert not host.file("/run/hello").exists


def test_the_tunnel_is_the_only_way_out(host) -> None:
    if not host.file("/etc/linux-namespaces/fetcher.json").exists:
        pytest.skip(
            "there is no tunnel from here: it is on one of the two hosts, where the kernel has WireGuard"
        )
    assert LICENSE in host.check_output(
        "nsctl exec fetcher -- curl -sS --max-time 20 http://10.99.0.1:8000/GPL-3"
    )
    routes = json.loads(host.check_output("ip -n fetcher -json route show default"))
    assert [route["dev"] for route in routes] == ["wg0"]
