# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that tests start through the core: what they became, and how they fail."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from programs import run_program, status_of

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import StepFailed
from ansible_collections.linux.namespaces.plugins.module_utils._core.launch import setup
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc

PRIVATE = setup.Surroundings(propagation="private")
STATUS = ("cat", "/proc/self/status")


def status_with(**program: t.Any) -> dict[str, str]:
    """The status of a program that is started with these fields."""
    ended = run_program(*STATUS, **program)
    assert ended.status == 0, ended.stderr
    return status_of(ended.stdout)


def capability_sets(status: dict[str, str]) -> dict[str, int]:
    return {name: int(status[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}


def failure_of(*argv: str, **program: t.Any) -> StepFailed:
    before = zombies()
    with pytest.raises(StepFailed) as failed:
        run_program(*argv, **program)
    assert zombies() <= before  # it was waited for
    return failed.value


def zombies() -> set[int]:
    """Children of this process that have ended and were not waited for."""
    listed = pathlib.Path("/proc/thread-self/children").read_text().split()
    facts = [proc.process_facts(int(pid)) for pid in listed]
    return {each.pid for each in facts if each is not None and each.state == "Z"}
