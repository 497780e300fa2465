# SPDX-License-Identifier: GPL-3.0-or-later
"""A line of processes, each of which ends as the next is born: its end is seen, and not only believed."""

from __future__ import annotations

import os
import shlex
import sys

import fork_bombs
from programs import in_child
from results import RunModule
from unshared_process import UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core.process import descendants

# One in thirty got away from who looked at each list of children once.
TRIES = 40


def script(mark: str) -> str:
    """A program that starts such a line, in a session of its own."""
    line = [sys.executable, "-I", "-S", "-c", fork_bombs.LINE, mark]
    return f"setsid {shlex.join(line)} >/dev/null & sleep 60"


def killed(mark: str) -> None:
    """Start it, as a module with a timeout does, and kill all that there is of it."""
    descendants.adopt_orphans()
    program = os.fork()
    if program == 0:
        os.setsid()
        os.execv("/bin/sh", ["sh", "-c", script(mark)])
    with descendants.reaped(program):
        assert fork_bombs.have_begun(mark)
    descendants.kill_all(program, is_warden=False)


def test_none_gets_away() -> None:
    for number in range(TRIES):
        mark = f"line-{os.getpid()}-{number}"
        try:
            in_child(lambda mark=mark: killed(mark))  # type: ignore[misc]
        finally:
            assert fork_bombs.ended(mark) == [], number


def test_none_gets_away_to_the_init_of_another_namespace(
    run_module: RunModule, unshared_process: UnsharedProcess
) -> None:
    inside = unshared_process(["pid"])
    for number in range(TRIES):
        mark = f"line-{os.getpid()}-inside-{number}"
        args = {"pid": inside.pid, "argv": ["sh", "-c", script(mark)], "timeout": 0.4}
        try:
            assert run_module("ns_setns_run", args)["timed_out"] is True
        finally:
            assert fork_bombs.ended(mark) == [], number
