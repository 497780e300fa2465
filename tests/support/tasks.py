# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks as a playbook has them: those of the documentation, and what run_tasks of conftest.py takes."""

from __future__ import annotations

import importlib
import typing as t

import yaml
from module_server import MODULES

Tasks = list[dict[str, t.Any]]


class RunTasks(t.Protocol):
    def __call__(self, tasks: Tasks, *, cleanup: Tasks) -> None: ...


def examples_of(module: str) -> Tasks:
    """The tasks in the documentation of a module."""
    found = importlib.import_module(f"{MODULES}.{module}").EXAMPLES
    return list(yaml.safe_load(found))
