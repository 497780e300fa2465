# SPDX-License-Identifier: GPL-3.0-or-later
"""Fuzz tests: what a stranger may have written, in all the places where it is read.

Their rule: no traceback, no hang, no change outside, and nothing is left.
"""

from __future__ import annotations

import pathlib
import typing as t

import fuzzing
import module_server
import pytest
from command import Nsctl
from fixtures import host, host_unchanged, run_module, server
from results import RunModule

__all__ = ["host", "host_unchanged", "run_module", "server"]

# Of a module, in seconds.
module_server.TIMEOUT = 20.0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"FUZZ_SEED={fuzzing.SEED} FUZZ_TIMES={fuzzing.TIMES}")


@pytest.fixture(scope="session")
def nsctl() -> Nsctl:
    """The host's command, of this checkout."""
    return Nsctl(pathlib.Path("/run/tests"))


@pytest.fixture
def lives(run_module: RunModule) -> t.Iterator[str]:
    """The name of a namespace, the same in all runs, that a test may make; it goes with the test."""
    yield "fuzz"
    gone = run_module("ns_namespace", {"name": "fuzz", "state": "absent", "force": True})
    assert not gone.get("failed"), gone
