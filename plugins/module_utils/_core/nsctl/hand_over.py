# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Handing over to a program that had to be a child: systemd takes it for the main process.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import array
import os
import pickle
import select
import socket

from ..errors import Refused
from ..namespace import enter
from ..namespace.target import Handles

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

_SOCKET = "NOTIFY_SOCKET"
_PATIENCE = 5.0


def run(handles: Handles, body: t.Callable[[], int]) -> int:
    """Call ``body`` in a process that has joined ``handles``, once systemd knows of it.

    Returns 0 then: our end is nothing to systemd any more. Raises Refused, KernelError.
    """
    address = os.environ.get(_SOCKET, "")
    if not address:
        raise Refused(
            "systemd did not say how to tell it which process is the program",
            "--hand-over is for units, with NotifyAccess=main.",
        )
    gate, open_gate = os.pipe()
    told, tell = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(open_gate)  # held by us alone, so that our death opens it
        os.close(told)
        _bear(handles, body, gate, tell)
    os.close(gate)
    os.close(tell)
    with open(told, "rb") as pipe:
        answer = pickle.loads(pipe.read())
    os.waitpid(first, 0)
    if isinstance(answer, Exception):
        raise answer
    _tell_systemd(address, answer)
    os.write(open_gate, b"x")
    return 0


def _bear(handles: Handles, body: t.Callable[[], int], gate: int, tell: int) -> t.NoReturn:
    """Have the child, and leave it to systemd: who watches a process has to be its parent."""

    def child() -> int:
        os.close(tell)
        if not os.read(gate, 1):
            return 1
        os.close(gate)
        os.setsid()
        return body()

    try:
        answer: t.Any = enter.spawn(child, joins=handles)
    except Exception as error:
        answer = error
    os.write(tell, pickle.dumps(answer))
    os._exit(0)


def _tell_systemd(address: str, pid: int) -> None:
    """Tell which process is the main one, and wait until systemd has taken note of it.

    sd_notify(3), and its sd_notify_barrier(): systemd closes what it was sent with BARRIER=1
    when it comes to it. A version before 246 does so at once.
    """
    if address.startswith("@"):
        address = "\0" + address[1:]
    reader, writer = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.connect(address)
        notify.send(f"MAINPID={pid}".encode())
        passed = array.array("i", [writer])
        notify.sendmsg([b"BARRIER=1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
    os.close(writer)
    poller = select.poll()
    poller.register(reader, 0)
    poller.poll(_PATIENCE * 1000)
    os.close(reader)
