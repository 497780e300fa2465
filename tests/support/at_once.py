# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks that are run at the same time."""

from __future__ import annotations

import concurrent.futures
import typing as t

from results import Result, RunModule

Task = tuple[str, dict[str, t.Any]]


def at_once(run_module: RunModule, tasks: t.Sequence[Task]) -> list[Result]:
    """The results of the tasks, a module and its options each, in their order."""
    with concurrent.futures.ThreadPoolExecutor(len(tasks)) as pool:
        results = list(pool.map(lambda task: run_module(*task), tasks))
    for result in results:
        assert "defect" not in result.get("msg", ""), result
    return results


def succeeded(results: t.Iterable[Result]) -> list[Result]:
    """The same, when none of them failed."""
    for result in results:
        assert not result.get("failed"), result
    return list(results)
