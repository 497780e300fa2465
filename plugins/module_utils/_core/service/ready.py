# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Waiting until a service is up.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import typing as t

from ..definition.layout import Layout
from ..definition.service import Ready
from ..definition.service_socket import Socket
from ..errors import KernelError, Refused
from ..mount.view import TargetView, open_host_proc
from ..namespace import enter
from ..namespace.target import Target
from ..printable import in_sentence
from ..process import watch
from ..process.watch import Running

# How long a program is watched that nothing else shows to be up: what cannot run ends at once.
_FIRST_SECONDS = 0.2
# How long a program that can no longer be joined is given to have ended.
_LAST_SECONDS = 1.0


def is_up(ready: Ready, process: Running, sockets: t.Iterable[Socket] = ()) -> bool:
    """Wait until the service that ``process`` is answers as ready; False when it does not.

    On its ``sockets`` the kernel takes connections for it before it is up: there it has to take one of
    them itself. ``ready.notify`` is left to who is told. Raises Refused, KernelError where the namespaces of
    the living process cannot be entered.
    """
    if ready.port is not None:
        is_there: t.Callable[[], bool]
        if any(ready.port == each.port and each.type == "stream" for each in sockets):
            is_there = _Accepts(ready.address, ready.port)
        else:
            is_there = functools.partial(_answers, ready.address, ready.port)
        return _wait_inside(is_there, ready, process, ("net", "user"))
    if ready.file:
        host_proc = open_host_proc()
        try:
            return _wait_inside(
                lambda: TargetView(host_proc, Layout()).exists(ready.file),
                ready,
                process,
                ("mnt", "user"),
            )
        finally:
            os.close(host_proc)
    return not watch.wait_for_end(process, timeout=_FIRST_SECONDS)


def failed(name: str, *, is_late: bool, lines: str, hint: str) -> Refused:
    """Why service ``name`` is not up, with the last ``lines`` that its program wrote."""
    said = in_sentence(lines) or "it wrote nothing"
    return Refused(
        f"service {name} {'is not ready' if is_late else 'ended'}: {said}",
        hint,
        log=lines,
    )


def _wait_inside(
    is_there: t.Callable[[], bool], ready: Ready, process: Running, kinds: t.Collection[str]
) -> bool:
    """Wait in the namespaces of the service, which may have some of its own."""
    with contextlib.ExitStack() as stack:
        ends_within = stack.enter_context(watch.watched(process))
        try:
            handles = stack.enter_context(Target(pid=process.pid).open().only(kinds))
            found: bool = enter.run_inside(
                lambda: watch.wait_until(is_there, ends_within, timeout=ready.timeout),
                joins=handles,
            )
        except (Refused, KernelError):
            # A process that ends leaves its namespaces some time before it counts as ended
            # (do_exit in kernel/exit.c: the longer, the more mounts die with it).
            if not ends_within(_LAST_SECONDS):
                raise
            return False  # it ended before it was joined
        return found


def _connected(address: str, port: int) -> socket.socket:
    # As bytes: for text Python would import a codec, from the root that was entered.
    found = socket.getaddrinfo(address.encode(), port, type=socket.SOCK_STREAM)
    family, kind, protocol, _name, place = found[0]
    connection = socket.socket(family, kind, protocol)
    try:
        connection.settimeout(1)
        connection.connect(place)
    except BaseException:
        connection.close()
        raise
    return connection


def _answers(address: str, port: int) -> bool:
    """Whether somebody accepts TCP connections there, from the caller's network namespace."""
    try:
        with _connected(address, port):
            return True
    except OSError:
        return False


class _Accepts:
    """Asks whether a program has taken a TCP connection that the kernel had taken for it.

    One connection is waited for as long as it lasts: a program may take only those in which something came
    or that have waited for some time (tcp(7), TCP_DEFER_ACCEPT).
    """

    def __init__(self, address: str, port: int) -> None:
        self._address, self._port = address, port
        self._connection: socket.socket | None = None

    def __call__(self) -> bool:
        try:
            if self._connection is None:
                self._connection = _connected(self._address, self._port)
                self._connection.setblocking(False)
            if self._is_taken(self._connection):
                self._connection.close()
                return True
        except OSError:  # its end of the queue was closed
            if self._connection is not None:
                self._connection.close()
            self._connection = None
        return False

    def _is_taken(self, connection: socket.socket) -> bool:
        own = connection.getsockname()[1]
        with contextlib.suppress(BlockingIOError):
            connection.recv(1, socket.MSG_PEEK)
            return True  # it said something, or has taken leave
        ends = f":{self._port:04X}", f":{own:04X}"
        name = (
            "/proc/self/net/tcp6" if connection.family == socket.AF_INET6 else "/proc/self/net/tcp"
        )
        # One of IPv4 may have come to a socket of IPv6.
        for path in dict.fromkeys((name, "/proc/self/net/tcp6")):
            with contextlib.suppress(FileNotFoundError), open(path, "rb") as lines:
                for line in lines:
                    words = line.split()
                    # What no program has taken has no inode yet (proc_pid_net(5)).
                    if (
                        words[1].endswith(ends[0].encode())
                        and words[2].endswith(ends[1].encode())
                        and words[9] != b"0"
                    ):
                        return True
        return False
