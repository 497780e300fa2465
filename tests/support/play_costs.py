# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs plays on a fleet, and reads what each of them cost."""

from __future__ import annotations

import collections
import json
import operator
import os
import pathlib
import statistics
import subprocess
import sys
import typing as t

from fleet import Host
from module_server import CHECKOUT

BENCH = CHECKOUT / "tests/bench"
Play = dict[str, t.Any]
Task = dict[str, t.Any]


class Cost(t.NamedTuple):
    """What a play took, in seconds."""

    # On the clock.
    wall: float
    # Of the processors: on the controller, with the processes that run a task each.
    controller: float
    # Of the processors: on all hosts together.
    hosts: float


Costs = dict[str, list[Cost]]


def play(name: str, *tasks: Task, **more: t.Any) -> Play:
    """A play for all hosts, without facts."""
    return {"name": name, "hosts": "all", "gather_facts": False, "tasks": [*tasks], **more}


def run(
    plays: t.Sequence[Play], hosts: t.Sequence[Host], where: pathlib.Path, *, forks: int = 1
) -> Costs:
    """The costs of the plays by their names, in the order of the runs; none may fail.

    ``where`` is a directory that is made. What ansible-playbook takes to start is in none of them.
    """
    where.mkdir()
    playbook, inventory = where / "play.yml", where / "hosts.json"
    playbook.write_text(json.dumps(plays))
    known = {host.name: host.variables() for host in hosts}
    inventory.write_text(json.dumps({"all": {"hosts": known}}))
    lines, spent = where / "costs", where / "hosts"
    spent.touch()
    environment = {
        **os.environ,
        "ANSIBLE_CALLBACK_PLUGINS": str(BENCH / "callback"),
        "ANSIBLE_CALLBACKS_ENABLED": "costs",
        "ANSIBLE_CONNECTION_PLUGINS": str(BENCH / "connection"),
        "BENCH_HOSTS": str(spent),
        "COSTS": str(lines),
    }
    environment.pop("PYTHONUNBUFFERED", None)  # hosts do not have it: see timed.py
    argv = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), f"--forks={forks}"]
    argv += [f"--inventory={inventory}", str(playbook)]
    done = subprocess.run(
        argv, check=False, capture_output=True, text=True, env=environment, cwd=CHECKOUT
    )
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr
    found: Costs = collections.defaultdict(list)
    for line in map(json.loads, lines.read_text().splitlines()):
        cost = Cost(line["clock"], line["processors"] - line["hosts"], line["hosts"])
        found[line["play"]].append(cost)
    return dict(found)


def typical(costs: t.Sequence[Cost]) -> Cost:
    """The median of each."""
    return Cost(*map(statistics.median, zip(*costs)))


def ratio(costs: t.Sequence[Cost], others: t.Sequence[Cost]) -> float:
    """Of what they took on the clock. They took turns: what slows the machine for a while slows both."""
    walls = ([cost.wall for cost in each] for each in (costs, others))
    return statistics.median(map(operator.truediv, *walls))
