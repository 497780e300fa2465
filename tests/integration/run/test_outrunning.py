# SPDX-License-Identifier: GPL-3.0-or-later
"""A line of processes, each of which ends as the next is born: its end is seen, and not only believed."""

from __future__ import annotations

import os
import sys

import fork_bombs
from programs import in_child
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.process import descendants

LINE = """
import os
while True:
    if os.fork():
        os._exit(0)
"""
# One in thirty got away from who went by the lists of children alone.
TRIES = 40


def killed(mark: str) -> None:
    """Start it below a program, as a module with a timeout does, and kill what there is of both."""
    descendants.adopt_orphans()
    program = os.fork()
    if program == 0:
        os.setsid()
        line = [sys.executable, "-I", "-S", "-c", LINE, mark]
        os.execv("/bin/sh", ["sh", "-c", 'setsid "$@" & sleep 60', "sh", *line])
    with descendants.reaped(program):
        wait_for_line(mark)
    descendants.kill_all(program, is_warden=False)


def wait_for_line(mark: str) -> None:
    assert wait_until(lambda: any(fork_bombs.has_mark(pid, mark) for pid in youngest()))


def youngest() -> list[int]:
    return sorted((int(each) for each in os.listdir("/proc") if each.isdecimal()), reverse=True)


def test_none_gets_away() -> None:
    for number in range(TRIES):
        mark = f"line-{os.getpid()}-{number}"
        try:
            in_child(lambda mark=mark: killed(mark))  # type: ignore[misc]
        finally:
            assert fork_bombs.ended(mark) == [], number
