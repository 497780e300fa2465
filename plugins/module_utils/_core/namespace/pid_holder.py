# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The holder of a pid namespace: its init, which keeps it alive where a pin cannot.

When the init of a pid namespace ends, everything in it is killed and nothing can be born
there any more (pid_namespaces(7)): a pinned one still needs a process. It lives in the mount
namespace of its set as well: /proc/1/root inside is not to lead to the host's root. What becomes
one is in holder_process.py.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import signal
import time

from .. import host_paths, once
from ..errors import Refused
from ..process import kill, watch
from ..storage import atomic, json_file
from . import cgroups, pins

_PATIENCE = 10.0
_PAUSE = 0.002
# proc_sys_kernel(5), pid_max
_HIGHEST_PID = 1 << 22


def _path(name: str) -> str:
    return f"{host_paths.kept_in(name)}/holder.json"


def note(name: str, pid: int) -> None:
    """Write down who the holder is. Call it with the lock held."""
    json_file.write(_path(name), watch.identify(pid)._asdict())


@once.kept
def _noted(name: str) -> watch.Running | None:
    try:
        noted = json_file.read(_path(name))
    except (ValueError, OSError):
        return None
    if noted is None or noted.keys() != set(watch.Running._fields):
        return None
    found = watch.Running(**noted)
    # To Python true is a number as well. What is damaged names no process, and 0 and 1 none of ours.
    are_numbers = all(isinstance(each, int) and not isinstance(each, bool) for each in found)
    return found if are_numbers and 1 < found.pid <= _HIGHEST_PID else None


def pid_of(name: str) -> int | None:
    """The pid of the holder when it lives, else None."""
    process = _noted(name)
    return process.pid if process is not None and watch.is_alive(process) else None


def death(number: int) -> Refused | None:
    """Why nothing can be born in the pid namespace with that id, where it is that its holder is dead.

    To whoever tries the kernel says ENOMEM (pid_namespaces(7)).
    """
    for name in pins.names():
        if pins.pinned(name).get("pid") == number and pid_of(name) is None:
            process = _noted(name)
            who = f", process {process.pid}," if process is not None else ""
            return Refused(
                f"the holder of the pid namespace of {name!r}{who} has ended, and nothing can be born"
                " in it any more",
                f"`nsctl up {name}` makes a new one, and so does its play.",
            )
    return None


def end(name: str) -> None:
    """End the holder, and with it the pid namespace and everything in it.

    The kernel lets nothing be born there from then on, and kills all (pid_namespaces(7)). Raises
    KernelError, OSError, and Refused where something does not end.
    """
    process = _noted(name)
    if process is not None and watch.send(process, signal.SIGKILL):
        # Until then it keeps its other namespaces, and what is mounted in them.
        deadline = time.monotonic() + _PATIENCE
        while not kill.has_ended(process.pid) and time.monotonic() < deadline:
            time.sleep(_PAUSE)
    cgroups.end(name, cgroups.HOLDER)
    atomic.remove(_path(name))
