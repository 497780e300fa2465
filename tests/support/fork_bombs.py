# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that keep forking for a minute: as many as they are told, and never more.

They leave others time: whoever tests with them is to get to the removal.
"""

from __future__ import annotations

import contextlib
import pathlib
import sys

from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.process import kill, proc

# Each goes on as a child of its own, and has ended by the time that somebody has looked at it.
PROGRAM = """
import os, sys, time
end = time.monotonic() + 60 # also where the tests were killed
number, form = int(sys.argv[1]), sys.argv[2]
if os.fork():
    os._exit(0)
os.setsid()
os.nice(19)
for _ in range(number):
    if os.fork() == 0:
        while time.monotonic() < end:
            try:
                if os.fork():
                    os._exit(0)
            except OSError: # a limit
                continue
            time.sleep(0.005)
            if form == "sessions":
                os.setsid()
        os._exit(0)
print("begun", flush=True)
os._exit(0)
"""
FORMS = ("children", "sessions")
# A line, of which each ends as the next is born: no list of processes is sure to hold the one that lives.
LINE = """
import os
print("begun", flush=True)
while True:
    if os.fork():
        os._exit(0)
"""


def words(number: int, form: str, mark: str) -> list[str]:
    """A command that starts them, and ends; ``mark`` is the last of their arguments.

    It says "begun" when all of them are there.
    """
    return [sys.executable, "-I", "-S", "-c", PROGRAM, str(number), form, mark]


def have_begun(mark: str) -> bool:
    """Wait until one of them lives."""
    return wait_until(
        lambda: any(has_mark(pid, mark) for pid in sorted(proc.all_pids(), reverse=True))
    )


def ended(mark: str) -> list[int]:
    """Kill all of them that live, and return who that was.

    A single look may miss all of a line of parents and children.
    """
    found: list[int] = []

    def is_one(pid: int) -> bool:
        if has_mark(pid, mark):
            found.append(pid)
            return True
        return False

    kill.all_of(is_one, timeout=30)
    return found


def has_mark(pid: int, mark: str) -> bool:
    """Whether the last argument of the process is this; False where it has ended."""
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().endswith(f"\0{mark}\0".encode())
    return False
