# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking into a named namespace from a process inside it, and living there."""

from __future__ import annotations

import contextlib
import os
import signal
import typing as t

from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import (
    table as mount_table,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import enter
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace.target import Target


def inside(
    name: str, function: t.Callable[[], t.Any], kinds: t.Sequence[str] | None = None
) -> t.Any:
    """Call the function in a child that has joined the named namespace, or some kinds of it."""
    with Target(namespace=name).open(kinds, closed_too=True) as handles:
        return enter.run_inside(function, joins=handles)


def mounts_inside(name: str) -> list[mount_table.Mount]:
    """The mounts of the named namespace, which need not have a /proc."""
    host_proc = os.open("/proc", os.O_PATH)

    def read() -> str:
        table = os.open("self/mountinfo", os.O_RDONLY, dir_fd=host_proc)
        with open(table, encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
            return lines.read()

    try:
        return mount_table.parse(inside(name, read, ["mnt"]))
    finally:
        os.close(host_proc)


@contextlib.contextmanager
def living(name: str, kinds: t.Sequence[str] | None = None) -> t.Iterator[int]:
    """A process that lives in the named namespace, or some kinds of it, and does nothing; its pid.

    Its parent reaps it, as the init of a host does.
    """
    told, tell = os.pipe()
    parent = os.fork()
    if parent == 0:
        os.close(told)
        with Target(namespace=name).open(kinds, closed_too=True) as handles:
            child = enter.spawn(_wait_for_ever, joins=handles)
        os.write(tell, f"{child}\n".encode())
        os.waitpid(child, 0)
        os._exit(0)
    os.close(tell)
    with open(told, "rb") as pipe:
        child = int(pipe.readline())
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(parent, 0)


def _wait_for_ever() -> int:
    while True:
        signal.pause()
