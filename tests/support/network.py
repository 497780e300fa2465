# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks as ip(8) shows them, and a network namespace that tests take for the host's."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pathlib
import subprocess
import sys
import typing as t

from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import namespaces

CLONE_NEWNET = 0x40000000


@contextlib.contextmanager
def own_network() -> t.Iterator[None]:
    """Live in a network namespace of one's own, in which there is nothing but lo, which is up."""
    before = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    namespaces.unshare(CLONE_NEWNET)
    try:
        ip("link set lo up")
        yield
    finally:
        namespaces.setns(before, CLONE_NEWNET)
        os.close(before)


def ip(command: str, *, inside: str = "") -> str:
    """What ip(8) says to the command, on the host or in the named namespace."""
    return _run(["ip"], command, inside)


def shown(command: str, *, inside: str = "") -> list[dict[str, t.Any]]:
    """The same as data."""
    found: list[dict[str, t.Any]] = json.loads(_run(["ip", "-d", "-j"], command, inside) or "[]")
    return [each for each in found if each]


def lacks_wireguard() -> str:
    """What ip(8) says where this kernel has no WireGuard; empty where it has."""
    argv = ["unshare", "--net", "ip", "link", "add", "name", "try", "type", "wireguard"]
    return subprocess.run(argv, check=False, capture_output=True, text=True).stderr.strip()


def ip_in(where: str, command: str) -> None:
    """Have ip(8) change something in the network of the file."""
    subprocess.run(["nsenter", f"--net={where}", "ip", *command.split()], check=True)


def kept_net(name: str) -> str:
    """The file of the network of the named namespace."""
    return f"{host_paths.kept_in(name)}/net"


def nft(command: str) -> None:
    """Have nft(8) change something on the host."""
    subprocess.run(["nft", command], check=True)


def ruleset() -> str:
    """All rules of nftables."""
    return subprocess.run(
        ["nft", "list", "ruleset"], check=True, capture_output=True, text=True
    ).stdout


def tables() -> list[str]:
    """The names of the tables of nftables."""
    return [line.split()[2] for line in ruleset().splitlines() if line.startswith("table ")]


def forwarding() -> dict[str, str]:
    """The kernel parameters of the host that say what it passes on, by their paths."""
    words = ("forwarding", "force_forwarding", "route_localnet", "accept_ra")
    root = pathlib.Path("/proc/sys/net")
    return {
        str(path.relative_to(root)): path.read_text().strip()
        for version in ("ipv4", "ipv6")
        for word in words
        for path in root.glob(f"{version}/conf/*/{word}")
    }


def _run(argv: list[str], command: str, inside: str) -> str:
    where = ["nsenter", f"--net={kept_net(inside)}"] if inside else []
    done = subprocess.run(
        [*where, *argv, *command.split()], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def reaches(address: str, *, inside: str = "") -> bool:
    """Whether who lives there gets an answer from the address: that nobody listens is one."""
    program = (
        "import socket, sys\n"
        "family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET\n"
        "with socket.socket(family) as client:\n"
        "    client.settimeout(5)\n"
        "    print(client.connect_ex((sys.argv[1], 9)))\n"
    )
    where = ["nsenter", f"--net={kept_net(inside)}"] if inside else []
    argv = [*where, sys.executable, "-c", program, address]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return int(done.stdout) == errno.ECONNREFUSED


def interfaces(inside: str = "") -> dict[str, dict[str, t.Any]]:
    """The interfaces, by name, without lo."""
    return {
        each["ifname"]: each for each in shown("addr show", inside=inside) if each["ifname"] != "lo"
    }


def addresses(name: str, inside: str = "") -> list[str]:
    """The addresses of an interface, but for those that the kernel gives it."""
    return [
        f"{each['local']}/{each['prefixlen']}"
        for each in interfaces(inside)[name]["addr_info"]
        if each["scope"] != "link"
    ]


def routes(inside: str = "") -> list[str]:
    """The routes that people have made, as ``default via 10.9.0.1``."""
    found = []
    for family in ("-4", "-6"):
        for each in shown(f"{family} route show table all", inside=inside):
            if each.get("protocol") in ("static", "boot"):
                via = f" via {each['gateway']}" if "gateway" in each else ""
                kind = "blackhole " if each.get("type") == "blackhole" else ""
                found.append(f"{kind}{each['dst']}{via}")
    return sorted(found)


def state() -> dict[str, t.Any]:
    """What the network of the host is: what a test has to leave as it was.

    An address that the kernel has just made is one only after it has looked whether others have it.
    """
    wait_until(lambda: "tentative" not in _run(["ip", "-6"], "addr show", ""), seconds=5)
    words = {"link show", "addr show", "route show table all", "rule show"}
    seen = {
        f"{family} {command}": _run(["ip", family, "-o"], command, "")
        for command in sorted(words)
        for family in ("-4", "-6")
    }
    return {**seen, "nft": ruleset(), "forwarding": forwarding()}
