# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_info with 2,000 processes in 1,000 namespaces, beside lsns(8) and beside an empty task."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import time
import typing as t

import pytest
from timed import PING, Task, compared, run, task

from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import info

NAMESPACES, PROCESSES = 1000, 2000
ROUNDS = 10
COLUMNS = "NS,TYPE,NPROCS,PID,PPID,COMMAND,UID,USER,NETNSID,NSFS,PNS,ONS"


@pytest.fixture(scope="module")
def crowd() -> t.Iterator[None]:
    script = str(pathlib.Path(__file__).with_name("crowd.py"))
    argv = [sys.executable, script, str(NAMESPACES), str(PROCESSES // NAMESPACES)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
        process.kill()


def lsns() -> list[t.Any]:
    argv = ["lsns", "--json", "--list", "--output", COLUMNS]
    shown = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    return list(shown["namespaces"])


def best(action: t.Callable[[], object]) -> float:
    """The shortest of some runs, in seconds: what the machine's other work adds the least to."""
    durations = []
    for _round in range(ROUNDS):
        before = time.perf_counter()
        action()
        durations.append(time.perf_counter() - before)
    return min(durations)


@pytest.mark.usefixtures("crowd")
def test_it_is_faster_than_lsns() -> None:
    assert len(info.namespaces()) >= len(lsns()) >= NAMESPACES
    own, theirs = best(info.namespaces), best(lsns)
    print(f"\nns_info's own part: {own * 1e3:.0f} ms, lsns: {theirs * 1e3:.0f} ms")
    assert own < theirs


@pytest.mark.usefixtures("crowd")
def test_it_costs_little_more_than_an_empty_task(tmp_path: pathlib.Path) -> None:
    """Than one with an answer as long: see test_tasks.py. The ratio of ping is shown beside."""
    found = [vars(namespace) for namespace in info.namespaces()]
    answer = {"answer": found[len(found) // 2], "times": len(found)}
    empty: Task = {"name": "empty", "empty": answer}
    times = run([PING, empty, task("ns_info", "ns_info")] * ROUNDS, tmp_path / "measured")
    assert compared("ns_info", times, 1.5) <= 1.5
