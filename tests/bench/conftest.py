# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks share: how long a task takes, beside one that does nothing."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import time
import typing as t

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
_TASKS = 8
_ROUNDS = 3


class TaskSeconds(t.Protocol):
    def __call__(self, *tasks: dict[str, t.Any]) -> list[float]: ...


def best(action: t.Callable[[], object], *, rounds: int = _ROUNDS) -> float:
    """The shortest of some runs, in seconds: what the machine's other work adds the least to."""
    durations = []
    for _round in range(rounds):
        before = time.perf_counter()
        action()
        durations.append(time.perf_counter() - before)
    return min(durations)


@pytest.fixture
def task_seconds(tmp_path: pathlib.Path) -> TaskSeconds:
    """How long one task of each of these takes, in seconds, without the start of a play."""

    def measure(*tasks: dict[str, t.Any]) -> list[float]:
        counts = (1, 1 + _TASKS)
        shortest = {(index, count): float("inf") for index in range(len(tasks)) for count in counts}
        # In turn, so that all of them meet the same machine.
        for _round in range(_ROUNDS):
            for index, count in shortest:
                spent = best(lambda: _play(tmp_path, [tasks[index]] * count), rounds=1)  # noqa: B023
                shortest[index, count] = min(shortest[index, count], spent)
        return [
            (shortest[index, counts[1]] - shortest[index, counts[0]]) / _TASKS
            for index in range(len(tasks))
        ]

    return measure


def _play(directory: pathlib.Path, tasks: list[dict[str, t.Any]]) -> None:
    playbook = directory / "playbook.yml"
    playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    argv = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), str(playbook)]
    subprocess.run(argv, check=True, capture_output=True, cwd=CHECKOUT)
