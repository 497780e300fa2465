# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to look: nsctl beside lsns(8) among many, and the task of the playbook `map` beside a ping."""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import time
import typing as t

from fleet import fleet
from play_costs import Cost, play, ratio, run

NAMES, PROCESSES, INSIDE = 300, 2000, 1200
ROUNDS = 8
# As nsctl tells of processes and pins.
LSNS = ["lsns", "--json", "--list", "--output", "NS,TYPE,NPROCS,PID,PPID,COMMAND,UID,USER,NSFS"]
NAMESPACES, PINGS = 10, 5


def wish(number: int) -> dict[str, t.Any]:
    """So many, each with a tmpfs and a bind."""
    mounts = [
        {"path": "/mnt", "src": "bench", "fstype": "tmpfs"},
        {"path": "/media", "src": "/srv", "opts": ["bind"]},
    ]
    names = [f"bench{each:03}" for each in range(number)]
    every = [{"name": each, "kinds": ["mnt", "uts"], "mounts": mounts} for each in names]
    return {"namespaces": every}


# What becomes many processes, of which some live in named namespaces; it says when they do.
_CROWD = f"""
import os, signal
pins = [os.open(f"/run/linux-namespaces/bench{{each:03}}/uts", os.O_RDONLY) for each in range({NAMES})]
libc = __import__("ctypes").CDLL(None)
for each in range({PROCESSES}):
    if os.fork() == 0:
        if each < {INSIDE}:
            libc.setns(pins[each % {NAMES}], 0)
        signal.pause()
print("ready", flush=True)
signal.pause()
"""


def durations(commands: dict[str, list[str]]) -> dict[str, list[float]]:
    """In seconds; they take turns, so that load hits all."""
    found: dict[str, list[float]] = {title: [] for title in commands}
    for _round in range(ROUNDS):
        for title, argv in commands.items():
            before = time.perf_counter()
            subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
            found[title].append(time.perf_counter() - before)
    return found


def test_among_many(tmp_path: pathlib.Path) -> None:
    with fleet(1) as (host,):
        run(
            [play("new", {"linux.namespaces.ns_definition": wish(NAMES)})], [host], tmp_path / "run"
        )
        argv = host.argv("/usr/bin/python3", "-c", _CROWD)
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as crowd:
            assert crowd.stdout is not None
            assert crowd.stdout.readline() == b"ready\n"
            verbs = {verb: host.argv("nsctl", verb) for verb in ("list", "tree", "top")}
            verbs["why"] = host.argv("nsctl", "why", "/media")
            took = durations({"lsns": host.argv(*LSNS), **verbs})
            listed = json.loads(subprocess.check_output(host.argv("nsctl", "list", "--json")))
            subprocess.run(host.argv("pkill", "-f", "signal.pause"), check=False)
            crowd.kill()
    assert sum(len(each["processes"]) for each in listed) == INSIDE
    print()
    for title, each in took.items():
        print(f"{title}: {min(each) * 1000:.0f} ms, of lsns {ratio_of(each, took['lsns']):.2f}")
    assert ratio_of(took["list"], took["lsns"]) <= 3


def ratio_of(times: list[float], others: list[float]) -> float:
    return statistics.median(own / other for own, other in zip(times, others))


def test_the_task_of_the_map(tmp_path: pathlib.Path) -> None:
    gather = ["definition", "drift", "services", "host"]
    plays = [
        play("ping", *[{"ansible.builtin.ping": None}] * PINGS),
        play("ns_info", {"linux.namespaces.ns_info": {}}),
        play("map", {"linux.namespaces.ns_info": {"gather": gather}}),
    ]
    with fleet(1) as (host,):
        new = play("new", {"linux.namespaces.ns_definition": wish(NAMESPACES)})
        costs = run([new, *plays * ROUNDS], [host], tmp_path / "run")
    costs["ping"] = [Cost(*(value / PINGS for value in each)) for each in costs["ping"]]
    print()
    for title in ("ping", "ns_info", "map"):
        wall = statistics.median(cost.wall for cost in costs[title])
        print(f"{title}: {wall * 1000:.0f} ms, {ratio(costs[title], costs['ping']):.2f} pings")
    assert ratio(costs["map"], costs["ping"]) <= 1.5
