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
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import capabilities
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.pipes import Pipes
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import processes

_OWN = processes.get_capabilities()[1]
# All that we have but those that are for what it tries: with them it is root on the host.
NEARLY_ALL = tuple(
    name
    for number, name in enumerate(capabilities.NAMES)
    if name not in ("sys_ptrace", "checkpoint_restore") and _OWN >> number & 1
)

# A line for each file that it has opened, and for how it went to open that for writing: which takes
# until nobody runs it any more (ETXTBSY), and so it is kept open.
_WATCH = """
import errno, os
print("begun", flush=True)
held, said = {}, set()
def say(*words):
    if words not in said:
        said.add(words)
        print(*words, flush=True)
while True:
    for pid in os.listdir("/proc"):
        if not pid.isdigit() or int(pid) == os.getpid():
            continue
        try:
            fd = os.open(f"/proc/{pid}/exe", os.O_PATH)
        except OSError:
            continue
        found = os.fstat(fd)
        if (found.st_dev, found.st_ino) in held:
            os.close(fd)
        else:
            held[found.st_dev, found.st_ino] = fd
            say("opened", os.readlink(f"/proc/self/fd/{fd}"), found.st_ino)
    for (_device, number), fd in held.items():
        try:
            os.close(os.open(f"/proc/self/fd/{fd}", os.O_RDWR))
            say("writable", number)
        except OSError as error:
            if error.errno != errno.ETXTBSY:
                say(errno.errorcode[error.errno], number)
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
