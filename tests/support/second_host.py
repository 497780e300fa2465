# SPDX-License-Identifier: GPL-3.0-or-later
"""A second host beside the tests' own: see own_host.py. It has processes and a network of its own as well."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import typing as t

import own_host

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
    mounts,
    namespaces,
    processes,
)

CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000


@contextlib.contextmanager
def second_host(furnished: t.Callable[[], t.ContextManager[None]]) -> t.Iterator[int]:
    """Its first process, which lives within what ``furnished`` makes there; it ends with the block."""
    told, tell = os.pipe()
    parent = os.fork()
    if parent == 0:
        with _ended_by_any_error():
            _end_with_parent()
            os.close(told)
            namespaces.unshare(CLONE_NEWPID | CLONE_NEWNET)
            first = os.fork()
            if first == 0:
                _be_first(furnished, tell)
            os.write(tell, f"{first}\n".encode())
            os.close(tell)
            os.waitpid(first, 0)
            os._exit(0)
    os.close(tell)
    with open(told, encoding="utf-8") as lines:
        words = lines.read().split()  # up to the end: it is settled, or has failed
    try:
        assert "ready" in words, words
        (pid,) = [int(word) for word in words if word != "ready"]
        yield pid
    finally:
        for word in words:
            if word != "ready":
                os.kill(int(word), signal.SIGKILL)
        os.waitpid(parent, 0)


def _be_first(furnished: t.Callable[[], t.ContextManager[None]], tell: int) -> None:
    with _ended_by_any_error():
        _end_with_parent()
        own_host.enter()
        mounts.mount("proc", "/proc", fstype="proc")
        pathlib.Path("/run/systemd/system").mkdir(parents=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        with furnished():
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody is a zombie there
            os.write(tell, b"ready\n")
            os.close(tell)
            while True:
                signal.pause()


def _end_with_parent() -> None:
    processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def _ended_by_any_error() -> t.Iterator[None]:
    """No child of the tests goes on as if it were the tests."""
    try:
        yield
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
