# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs plays, and reads how long each of their tasks took."""

from __future__ import annotations

import collections
import json
import operator
import os
import pathlib
import statistics
import subprocess
import typing as t

from module_server import CHECKOUT

BENCH = CHECKOUT / "tests/bench"
Task = dict[str, t.Any]
# The namespace that tasks are measured in, and the mount inside it.
NAME = "bench-tasks"
BASE = {"path": "/mnt", "src": "bench", "fstype": "tmpfs"}
PING: Task = {"name": "ping", "ansible.builtin.ping": None}


def task(title: str, module: str, /, **arguments: t.Any) -> Task:
    """A task with a module of this collection."""
    return {"name": title, f"linux.namespaces.{module}": arguments}


def run(tasks: list[Task], where: pathlib.Path) -> dict[str, list[float]]:
    """How long each task took here, in seconds, by its name, in the order of the runs."""
    where.mkdir()
    return durations([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}], where)


def compared(title: str, times: dict[str, list[float]], limit: float) -> float:
    """The ratio of the empty task, or of ping where there is none; printed with what it is of."""
    empty = "empty" if "empty" in times else "ping"
    ratios = {name: ratio(times[title], times[name]) for name in (empty, "ping")}
    seconds = {name: statistics.median(times[name]) for name in (title, empty, "ping")}
    print(
        f"\n{title}: {seconds[title]:.3f} s, empty {seconds[empty]:.3f} s, "
        f"ratio {ratios[empty]:.2f} ≤ {limit}; of ping, {seconds['ping']:.3f} s: {ratios['ping']:.2f}"
    )
    return ratios[empty]


def ratio(times: list[float], others: list[float]) -> float:
    """Of what took turns: what slows the machine for a while slows both."""
    return statistics.median(map(operator.truediv, times, others))


def durations(
    plays: list[dict[str, t.Any]], where: pathlib.Path, *arguments: str
) -> dict[str, list[float]]:
    """How long each task took, in seconds, by its name, in the order of the runs.

    ``where`` is an empty directory; ``arguments`` are further ones of ansible-playbook.
    """
    playbook, lines = where / "play.yml", where / "durations"
    playbook.write_text(json.dumps(plays))
    environment = {
        **os.environ,
        "ANSIBLE_CALLBACK_PLUGINS": str(BENCH / "callback"),
        "ANSIBLE_CALLBACKS_ENABLED": "durations",
        "ANSIBLE_LIBRARY": str(BENCH / "library"),
        "DURATIONS": str(lines),
    }
    # With it Python reads a module that is piped to it byte by byte, so that the size of the module
    # decides. Hosts of a fleet do not have it.
    environment.pop("PYTHONUNBUFFERED", None)
    subprocess.run(
        ["ansible-playbook", *arguments, str(playbook)],
        check=True,
        stdout=subprocess.DEVNULL,
        env=environment,
    )
    found = collections.defaultdict(list)
    for line in lines.read_text().splitlines():
        took, _space, name = line.partition(" ")
        found[name].append(float(took))
    return dict(found)
