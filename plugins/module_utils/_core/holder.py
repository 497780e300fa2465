# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The holder of a pid namespace: its init, which keeps it alive where a pin cannot.

When the init of a pid namespace ends, everything in it is killed and nothing can be born
there any more (pid_namespaces(7)): a pinned one still needs a process.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import typing as t

from . import nsfs, pins
from .syscalls import processes


def _path(name: str) -> str:
    return f"{pins.directory(name)}/holder.json"


def become() -> t.NoReturn:
    """Turn this process into a holder: nothing open, nothing to do, and children are reaped."""
    os.setsid()
    os.chdir("/")
    # The kernel reaps the children of who ignores SIGCHLD; that survives execve(2) (wait(2)).
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    processes.close_descriptors_from(3)
    program = shutil.which("sleep", path="/bin:/usr/bin") or "/bin/sleep"
    os.execve(program, ["sleep", "infinity"], {})


def note(name: str, pid: int) -> None:
    """Write down who the holder is, by pid and start. Call it with the lock held."""
    facts = nsfs.process_facts(pid)
    content = {"pid": pid, "start": facts.start if facts is not None else 0}
    beside = f"{_path(name)}.new"
    with open(beside, "w", encoding="utf-8") as noted:
        json.dump(content, noted)
    os.rename(beside, _path(name))


def pid_of(name: str) -> int | None:
    """The pid of the holder when it lives, else None."""
    try:
        with open(_path(name), encoding="utf-8") as noted:
            content = json.load(noted)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    facts = nsfs.process_facts(content["pid"])
    if facts is None or facts.start != content["start"] or facts.state == "Z":
        return None
    return int(content["pid"])


def end(name: str) -> None:
    """End the holder, and with it the pid namespace and everything in it."""
    pid = pid_of(name)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(_path(name))
