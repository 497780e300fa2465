# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide on networks, as a reader follows it; the tunnel needs a kernel that has WireGuard."""

from __future__ import annotations

import pathlib
import subprocess
import typing as t

import guides
import network
import pytest
from command import Nsctl
from module_server import CHECKOUT
from network import kept_net
from results import RunModule
from traffic import answering, other_host, seen_by

GUIDE = CHECKOUT / "docs/docsite/rst/guide_networks.rst"
NAMES = ["shop", "fetcher", "front", "back"]


@pytest.fixture
def reader(
    nsctl: Nsctl, run_module: RunModule, tmp_path: pathlib.Path
) -> t.Iterator[tuple[pathlib.Path, dict[str, str]]]:
    """The directory of somebody with a controller and a host, which are one here, and the environment."""
    guides.write_hosts(tmp_path)
    yield tmp_path, guides.environment(nsctl)
    listed = [{"name": name} for name in NAMES]
    gone = run_module("ns_definition", {"namespaces": listed, "state": "absent", "force": True})
    assert not gone.get("failed"), gone
    if "br-apps" in network.interfaces():
        run_module("ns_link", {"name": "br-apps", "state": "absent"})
    assert network.tables() == []


def play(reader: tuple[pathlib.Path, dict[str, str]], name: str) -> tuple[int, str]:
    directory, env = reader
    argv = ["ansible-playbook", "-i", "hosts.yml", name]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, cwd=directory, env=env)
    return done.returncode, done.stdout


def test_the_guide(reader: tuple[pathlib.Path, dict[str, str]]) -> None:
    guides.follow(guides.blocks_of(GUIDE), *reader)
    # It has run all but the tunnel. A second time there is nothing to do.
    for name in ("bridge.yml", "pair.yml"):
        status, said = play(reader, name)
        assert status == 0
        assert "changed=0" in said, said
    with other_host("wan0", ["192.0.2.2/24"]) as client:
        network.ip("addr add 192.0.2.1/24 dev wan0")
        network.ip("link set wan0 up")
        assert play(reader, "bridge.yml")[0] == 0
        page = fetched("192.0.2.1", 8080, client)
        assert "GPL-3" in page
        with answering(99, where=client):
            assert seen_by("192.0.2.2", 99, where=kept_net("shop")) == "192.0.2.1"
    assert "hello" in fetched("127.0.0.1", 8000, kept_net("back"))
    front = ["nsenter", f"--net={kept_net('back')}", "ip", "-br", "link"]
    assert subprocess.run(front, check=True, capture_output=True, text=True).stdout.startswith("lo")


def test_the_tunnel(reader: tuple[pathlib.Path, dict[str, str]]) -> None:
    directory, _env = reader
    for block in guides.blocks_of(GUIDE):
        if block.caption == "tunnel.yml":
            key = directory / "fetcher.key"
            text = block.text.replace("/etc/wireguard/fetcher.key", str(key))
            (directory / "tunnel.yml").write_text(text)
    key.write_text("A" * 43 + "=\n")
    key.chmod(0o600)
    status, said = play(reader, "tunnel.yml")
    if network.lacks_wireguard():
        assert "no interfaces of the kind wireguard" in said
    else:
        assert status == 0, said


def fetched(address: str, port: int, where: str) -> str:
    argv = ["nsenter", f"--net={where}", "curl", "-sS", f"http://{address}:{port}/"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
