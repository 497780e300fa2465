# SPDX-License-Identifier: GPL-3.0-or-later
"""Many processes in many namespaces: `crowd.py NAMESPACES PROCESSES_IN_EACH`, until stdin ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_FLAGS = (0x04000000, 0x08000000, 0x00020000, 0x40000000, 0x02000000)  # uts ipc mnt net cgroup
_PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)


def stay(ready: int) -> None:
    os.write(ready, b"x")
    while True:
        signal.pause()


def start(number: int, processes: int, ready: int) -> None:
    """The first process of a namespace, which starts the others in it."""
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if libc.unshare(_FLAGS[number % len(_FLAGS)]) != 0:
        sys.exit(f"unshare: {os.strerror(ctypes.get_errno())}")
    for _each in range(processes - 1):
        if os.fork() == 0:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            stay(ready)
    stay(ready)


def main() -> None:
    namespaces, processes = int(sys.argv[1]), int(sys.argv[2])
    reader, ready = os.pipe()
    for number in range(namespaces):
        if os.fork() == 0:
            start(number, processes, ready)
    missing = namespaces * processes
    while missing:
        missing -= len(os.read(reader, missing))
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
