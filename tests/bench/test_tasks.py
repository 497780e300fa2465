# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task costs, as a ratio of an empty one, measured side by side in one play.

The empty task is ansible.builtin.ping. A thousand mounts are half a megabyte of arguments and
answer, which cost Ansible more than all of ping, whoever takes them: there the empty task takes
the same arguments and answers as much (library/empty.py), and the ratio of ping is shown beside.
"""

from __future__ import annotations

import collections
import json
import os
import pathlib
import statistics
import subprocess
import typing as t

import pytest

ROUNDS = 12
NAME = "bench-tasks"
HERE = pathlib.Path(__file__).parent
Task = dict[str, t.Any]


def tmpfs(count: int) -> list[dict[str, str]]:
    return [
        {"path": f"/mnt/{number}", "src": "tmpfs", "fstype": "tmpfs", "opts": "X-mount.mkdir"}
        for number in range(count)
    ]


def task(title: str, module: str, /, **arguments: t.Any) -> Task:
    return {"name": title, f"linux.namespaces.{module}": arguments}


PING: Task = {"name": "ping", "ansible.builtin.ping": None}
EMPTY: Task = {"name": "empty", "empty": {"namespace": NAME, "mounts": tmpfs(1000)}}
BASE = {"path": "/mnt", "src": "bench", "fstype": "tmpfs"}
# What is measured: the limit of the ratio, and the tasks of a round; only the one with the name
# of the case counts.
CASES: dict[str, tuple[float, list[Task]]] = {
    "one unchanged mount": (
        1.25,
        [task("one unchanged mount", "ns_mount", namespace=NAME, **BASE)],
    ),
    "unchanged namespace": (1.25, [task("unchanged namespace", "ns_namespace", name=NAME)]),
    "100 new mounts": (
        1.6,
        [
            task("clear", "ns_mount", namespace=NAME, path="/mnt", state="unmounted"),
            task("base", "ns_mount", namespace=NAME, **BASE),
            task("100 new mounts", "ns_mount", namespace=NAME, mounts=tmpfs(100)),
        ],
    ),
    "1000 unchanged mounts": (
        1.5,
        [EMPTY, task("1000 unchanged mounts", "ns_mount", namespace=NAME, mounts=tmpfs(1000))],
    ),
}


def measure(tasks: list[Task], where: pathlib.Path) -> dict[str, float]:
    """The median duration in seconds of each task, by its name."""
    playbook, durations = where / "play.yml", where / "durations"
    play = {"hosts": "localhost", "gather_facts": False, "tasks": tasks}
    playbook.write_text(json.dumps([play]))
    environment = {
        "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback"),
        "ANSIBLE_CALLBACKS_ENABLED": "durations",
        "ANSIBLE_LIBRARY": str(HERE / "library"),
        "DURATIONS": str(durations),
    }
    subprocess.run(
        ["ansible-playbook", str(playbook)],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    found = collections.defaultdict(list)
    for line in durations.read_text().splitlines():
        took, _space, name = line.partition(" ")
        found[name].append(float(took))
    return {name: statistics.median(times) for name, times in found.items()}


@pytest.fixture
def namespace(tmp_path: pathlib.Path) -> t.Iterator[None]:
    absent = task("absent", "ns_namespace", name=NAME, state="absent", force=True)
    present = task("present", "ns_namespace", name=NAME)
    base = task("base", "ns_mount", namespace=NAME, **BASE)
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    measure([absent, present, base], tmp_path / "before")
    yield
    measure([absent], tmp_path / "after")


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize("case", CASES)
def test_costs_about_what_ping_costs(case: str, tmp_path: pathlib.Path) -> None:
    limit, tasks = CASES[case]
    times = measure([PING, *tasks] * ROUNDS, tmp_path)
    ratio = times[case] / times.get("empty", times["ping"])
    shown = ", ".join(
        f"{name} {times[name]:.3f} s" for name in times if name in (case, "ping", "empty")
    )
    print(f"\n{case}: ratio {ratio:.2f} ≤ {limit} ({shown})")
    assert ratio <= limit
