# SPDX-License-Identifier: GPL-3.0-or-later
"""A process inside that opens the executables of all others there, as fast as it can."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import typing as t

from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.launch import start as launch
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace.target import Target
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.pipes import Pipes

# A line for each file and what became of opening it. Who is refused because somebody runs it
# (ETXTBSY) has all the rights that it takes, and so has who can keep it until nobody does.
_WATCH = """
import errno, os
print("begun", flush=True)
said = set()
while True:
    for pid in os.listdir("/proc"):
        for mode in (os.O_RDWR, os.O_RDONLY, os.O_PATH):
            if not pid.isdigit() or int(pid) == os.getpid():
                continue
            try:
                name = os.readlink(f"/proc/{pid}/exe")
                fd = os.open(f"/proc/{pid}/exe", mode)
                name = os.readlink(f"/proc/self/fd/{fd}")
                os.close(fd)
                line = f"{name} opened"
            except OSError as error:
                if error.errno != errno.ETXTBSY:
                    continue
                line = f"{name} busy"
            if line not in said:
                said.add(line)
                print(line, flush=True)
"""


@contextlib.contextmanager
def watching(pid: int, **program: t.Any) -> t.Iterator[t.Callable[[], set[str]]]:
    """It lives in all namespaces of the process ``pid``; asked for the lines that it has said.

    ``program`` are fields of Program, as its capabilities.
    """
    said = pathlib.Path(f"/run/tests/seen-{pid}")
    wanted = launch.Program(("/usr/bin/python3", "-I", "-S", "-c", _WATCH), **program)
    with Target(pid=pid).open() as handles, Pipes(b"") as pipes, open(said, "wb") as out:
        streams = pipes.streams._replace(stdout=out.fileno())
        started = launch.start(wanted, streams=streams, joins=handles)
    try:
        assert wait_until(lambda: said.stat().st_size > 0)
        yield lambda: set(said.read_text().splitlines())
    finally:
        os.kill(started.pid, signal.SIGKILL)
        os.waitpid(started.pid, 0)
        said.unlink()
