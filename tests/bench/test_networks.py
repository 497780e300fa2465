# SPDX-License-Identifier: GPL-3.0-or-later
"""What interfaces cost beside the same by hand, and what goes through them."""

from __future__ import annotations

import json
import pathlib
import subprocess
import time
import typing as t

import pytest
from timed import PING, Task, compared, ratio, run, task

MANY, ROUNDS = 100, 3
SOME, UNCHANGED_ROUNDS = 20, 15
BRIDGE = "bench-br"
# In seconds, and how often each has its turn.
SENT, TURNS = 2, 12


@pytest.fixture
def bridge() -> t.Iterator[None]:
    for line in (f"add {BRIDGE} type bridge", f"set {BRIDGE} up"):
        subprocess.run(["ip", "link", *line.split()], check=True)
    subprocess.run(["ip", "addr", "add", "10.88.0.1/16", "dev", BRIDGE], check=True)
    yield
    subprocess.run(["ip", "link", "del", BRIDGE], check=True)


def address(number: int) -> str:
    return f"10.88.{number // 200}.{number % 200 + 2}/16"


def link(number: int) -> dict[str, t.Any]:
    return {
        "name": "eth0",
        "kind": "veth",
        "peer": {"name": f"bench{number}", "bridge": BRIDGE},
        "addresses": [address(number)],
        "routes": [{"to": "default", "via": "10.88.0.1"}],
    }


def by_hand(script: pathlib.Path) -> Task:
    """The same as ip(8) does it: a batch for the host, and one for each namespace."""
    names = [f"bench-hand{number}" for number in range(MANY)]
    host, inside = [], []
    for number, name in enumerate(names):
        host += [
            f"netns add {name}",
            f"link add hand{number} type veth peer name eth0 netns {name}",
            f"link set hand{number} master {BRIDGE} up",
        ]
        batch = script.parent / name
        batch.write_text(
            "link set lo up\n"
            f"addr add {address(number)} dev eth0\nlink set eth0 up\n"
            "route add default via 10.88.0.1\n"
        )
        inside.append(f"ip -n {name} -batch {batch}")
    (script.parent / "host").write_text("\n".join([*host, ""]))
    script.write_text("\n".join(["set -e", f"ip -batch {script.parent / 'host'}", *inside, ""]))
    return {"name": "by hand", "ansible.builtin.command": {"argv": ["bash", str(script)]}}


def hand_gone() -> Task:
    names = " ".join(f"bench-hand{number}" for number in range(MANY))
    line = f"for name in {names}; do ip netns del $name; done"
    return {"name": "hand gone", "ansible.builtin.command": {"argv": ["bash", "-c", line]}}


@pytest.mark.usefixtures("bridge")
def test_a_hundred_namespaces_on_a_bridge(tmp_path: pathlib.Path) -> None:
    listed = [
        {"name": f"bench-net{number}", "kinds": ["net"], "links": [link(number)]}
        for number in range(MANY)
    ]
    names = [{"name": each["name"]} for each in listed]
    # While one is there the host has nsctl, which comes with the first and is as much work as many of them.
    first = task("first", "ns_namespace", name="bench-first", kinds=["net"])
    last = task("last", "ns_namespace", name="bench-first", state="absent")
    gone = task("gone", "ns_definition", namespaces=names, state="absent")
    made = task("made", "ns_definition", namespaces=listed)
    tasks = [PING, by_hand(tmp_path / "script"), hand_gone(), made, gone]
    run([first], tmp_path / "before")
    try:
        times = run(tasks * ROUNDS, tmp_path / "measured")
    finally:
        run([gone, last], tmp_path / "after")
    found = ratio(times["made"], times["by hand"])
    print(f"\n{MANY} namespaces on a bridge: {found:.2f} times what it takes by hand ≤ 3")
    assert found <= 3


@pytest.mark.usefixtures("bridge")
def test_unchanged_interfaces(tmp_path: pathlib.Path) -> None:
    name = "bench-links"
    links = [
        {
            "name": f"eth{number}",
            "kind": "veth",
            "peer": {"name": f"bench{number}", "bridge": BRIDGE},
            "addresses": [address(number)],
        }
        for number in range(SOME)
    ]
    have = task("have", "ns_namespace", name=name, kinds=["net"])
    gone = task("gone", "ns_namespace", name=name, state="absent")
    unchanged = task("20 unchanged interfaces", "ns_link", namespace=name, links=links)
    run([have, unchanged], tmp_path / "before")
    try:
        times = run([PING, unchanged] * UNCHANGED_ROUNDS, tmp_path / "measured")
    finally:
        run([gone], tmp_path / "after")
    assert compared("20 unchanged interfaces", times, 1.5) <= 1.5


def sent(where: str, to: str) -> float:
    """How much goes there in a second, in bits."""
    argv = ["ip", "netns", "exec", where, "iperf3", "--json", "-t", str(SENT), "-c", to]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"])


def test_as_much_goes_through_as_by_hand(tmp_path: pathlib.Path) -> None:
    name, hand = "bench-through", "bench-hand"
    made = {
        "name": "eth0", "kind": "veth", "peer": {"name": "bench0", "addresses": ["10.88.0.1/30"]},
        "addresses": ["10.88.0.2/30"],
    }  # fmt: skip
    have = task("have", "ns_namespace", name=name, kinds=["net"], links=[made])
    gone = task("gone", "ns_namespace", name=name, state="absent")
    for line in (
        f"ip netns add {hand}",
        f"ip link add hand0 type veth peer name eth0 netns {hand}",
        "ip addr add 10.88.1.1/30 dev hand0",
        "ip link set hand0 up",
        f"ip -n {hand} addr add 10.88.1.2/30 dev eth0",
        f"ip -n {hand} link set eth0 up",
    ):
        subprocess.run(line.split(), check=True)
    server = subprocess.Popen(["iperf3", "-s"], stdout=subprocess.DEVNULL)
    try:
        run([have], tmp_path / "before")
        time.sleep(1)
        pairs = [(sent(name, "10.88.0.1"), sent(hand, "10.88.1.1")) for _turn in range(TURNS)]
    finally:
        server.kill()
        server.wait()
        run([gone], tmp_path / "after")
        subprocess.run(["ip", "netns", "del", hand], check=True)
    # The best of each: what else the machine does only takes away.
    own, other = (max(values) for values in zip(*pairs))
    print(
        f"\nthrough ours {own / 1e9:.1f} Gbit/s, by hand {other / 1e9:.1f}, ratio {own / other:.3f} ≥ 0.98"
    )
    assert own / other >= 0.98
