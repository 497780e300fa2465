# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task costs, as a ratio of an empty one, measured side by side in one play.

The empty task is ansible.builtin.ping. A thousand mounts are half a megabyte of arguments and
answer, which cost Ansible more than all of ping, whoever takes them: there the empty task takes
the same arguments and answers as much (library/empty.py), and the ratio of ping is shown beside.
"""

from __future__ import annotations

import pathlib
import statistics
import typing as t

import pytest
import timed

ROUNDS = 25
NAME = "bench-tasks"
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


def run(tasks: list[Task], where: pathlib.Path) -> dict[str, list[float]]:
    """The durations in seconds of each task, by its name, in the order of the runs."""
    play = {"hosts": "localhost", "gather_facts": False, "tasks": tasks}
    return timed.durations([play], where)


@pytest.fixture
def namespace(tmp_path: pathlib.Path) -> t.Iterator[None]:
    absent = task("absent", "ns_namespace", name=NAME, state="absent", force=True)
    present = task("present", "ns_namespace", name=NAME)
    base = task("base", "ns_mount", namespace=NAME, **BASE)
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    run([absent, present, base], tmp_path / "before")
    yield
    run([absent], tmp_path / "after")


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize("case", CASES)
def test_costs_about_what_ping_costs(case: str, tmp_path: pathlib.Path) -> None:
    limit, tasks = CASES[case]
    times = run([PING, *tasks] * ROUNDS, tmp_path)
    empty = "empty" if "empty" in times else "ping"
    ratio, of_ping = (timed.ratio(times[case], times[other]) for other in (empty, "ping"))
    seconds = {name: statistics.median(times[name]) for name in (case, empty, "ping")}
    print(
        f"\n{case}: {seconds[case]:.3f} s, empty {seconds[empty]:.3f} s, "
        f"ratio {ratio:.2f} ≤ {limit}; of ping, {seconds['ping']:.3f} s: {of_ping:.2f}"
    )
    assert ratio <= limit
