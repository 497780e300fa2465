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

from .. import host_paths
from ..process import watch
from ..storage import atomic, json_file

_PATIENCE = 10.0


def _path(name: str) -> str:
    return f"{host_paths.kept_in(name)}/holder.json"


def note(name: str, pid: int) -> None:
    """Write down who the holder is. Call it with the lock held."""
    json_file.write(_path(name), watch.identify(pid)._asdict())


def _noted(name: str) -> watch.Running | None:
    try:
        noted = json_file.read(_path(name))
        return watch.Running(**noted) if noted is not None else None
    except (ValueError, TypeError):
        return None


def pid_of(name: str) -> int | None:
    """The pid of the holder when it lives, else None."""
    process = _noted(name)
    return process.pid if process is not None and watch.is_alive(process) else None


def end(name: str) -> None:
    """End the holder, and with it the pid namespace and everything in it. Raises KernelError."""
    process = _noted(name)
    if process is not None and watch.send(process, signal.SIGKILL):
        # Until then it keeps its other namespaces, and what is mounted in them.
        watch.wait_for_end(process, timeout=_PATIENCE)
    atomic.remove(_path(name))
