# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that read something as fast as they can, while a test changes it."""

from __future__ import annotations

import collections
import contextlib
import mmap
import os
import pickle
import socket
import typing as t

from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import namespaces

# What was seen, and how often: the content, or the error in words.
Seen = collections.Counter[str]


class Readings(t.NamedTuple):
    seen: Seen
    # How often it was read by now.
    number: t.Callable[[], int]


@contextlib.contextmanager
def reading(pid: int, path: str) -> t.Iterator[Readings]:
    """Within the block a process in the mount namespace of ``pid`` reads the file; ``seen`` afterwards."""

    def read() -> str:
        try:
            with open(path, encoding="utf-8") as file:
                return file.read()
        except OSError as error:
            return str(error.strerror)

    with repeating(pid, "mnt", read) as readings:
        yield readings


@contextlib.contextmanager
def requesting(pid: int, port: int) -> t.Iterator[Readings]:
    """Within the block a process in the net namespace of ``pid`` asks the web server there.

    ``seen`` has the bodies of its answers, or why there is none.
    """

    def request() -> str:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                answer = b""
                while chunk := connection.recv(1 << 20):
                    answer += chunk
        except OSError as error:
            return str(error)
        head, _empty, body = answer.decode().partition("\r\n\r\n")
        return body if head.startswith("HTTP/1.1 200 ") else f"no answer: {answer[:200]!r}"

    with repeating(pid, "net", request) as readings:
        yield readings


@contextlib.contextmanager
def repeating(pid: int, kind: str, look: t.Callable[[], str]) -> t.Iterator[Readings]:
    """Within the block a process in a namespace of ``pid`` looks, again and again."""
    # How often it looked, and whether it is to end.
    shared = mmap.mmap(-1, 16)
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            with open(f"/proc/{pid}/ns/{kind}", "rb") as target:
                namespaces.setns(target.fileno(), kinds.KINDS[kind].flag)
            seen = Seen()
            while not shared[8]:
                seen[look()] += 1
                shared[:8] = seen.total().to_bytes(8, "little")
            with open(tell, "wb") as pipe:
                pickle.dump(seen, pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(tell)
    found = Readings(Seen(), lambda: int.from_bytes(shared[:8], "little"))
    try:
        yield found
    finally:
        shared[8] = 1
        with open(told, "rb") as pipe:
            answer = pipe.read()
        _pid, status = os.waitpid(child, 0)
    assert not status, "the reader failed"
    found.seen.update(pickle.loads(answer))
