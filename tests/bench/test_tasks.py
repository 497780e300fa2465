# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task costs, as a ratio of an empty one, measured side by side in one play.

The empty task is ansible.builtin.ping. A thousand mounts are half a megabyte of arguments and
answer, which cost Ansible more than all of ping, whoever takes them: there the empty task takes
the same arguments and answers as much (library/empty.py), and the ratio of ping is shown beside.
"""

from __future__ import annotations

import pathlib

import pytest
from timed import BASE, NAME, PING, Task, compared, run, task

ROUNDS = 25


def tmpfs(count: int) -> list[dict[str, str]]:
    return [
        {"path": f"/mnt/{number}", "src": "tmpfs", "fstype": "tmpfs", "opts": "X-mount.mkdir"}
        for number in range(count)
    ]


EMPTY: Task = {"name": "empty", "empty": {"namespace": NAME, "mounts": tmpfs(1000)}}
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


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize("case", CASES)
def test_costs_about_what_ping_costs(case: str, tmp_path: pathlib.Path) -> None:
    limit, tasks = CASES[case]
    times = run([PING, *tasks] * ROUNDS, tmp_path / "measured")
    assert compared(case, times, limit) <= limit
