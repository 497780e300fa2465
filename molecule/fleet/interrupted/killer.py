# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill the process that holds the lock of the namespace web once NUMBER steps are recorded for it."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import sys
import time

LOCK = pathlib.Path("/run/linux-namespaces/.locks/web")
DEFINITION = pathlib.Path("/etc/linux-namespaces/web.json")
LIMIT = 300


def holder() -> int:
    """The pid of the process that holds the lock, 0 for none (proc_locks(5))."""
    try:
        found = LOCK.stat()
    except FileNotFoundError:
        return 0
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in pathlib.Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if words[1] == "FLOCK" and words[5] == device:
            return int(words[4])
    return 0


def recorded() -> int:
    """How many steps the definition has."""
    try:
        return len(json.loads(DEFINITION.read_text())["steps"])
    except FileNotFoundError:
        return 0


def state_of(pid: int) -> str:
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def has_killed() -> bool:
    pid = holder()
    if not pid or recorded() < int(sys.argv[1]):
        return False
    try:
        # It may let go of the lock just now, and then end as if nobody had killed it: so it is held
        # while that is looked at.
        os.kill(pid, signal.SIGSTOP)
        while state_of(pid) not in "TZX":
            pass
        is_at_work = holder() == pid
        os.kill(pid, signal.SIGKILL if is_at_work else signal.SIGCONT)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return is_at_work


end = time.monotonic() + LIMIT
while not has_killed() and time.monotonic() < end:
    time.sleep(0.0005)
