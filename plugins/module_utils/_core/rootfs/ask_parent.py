# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A process that works inside a target and talks with the one that started it meanwhile.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import typing as t

from ..namespace.enter import spawn
from ..namespace.target import Handles
from ..syscalls import processes

Ask = t.Callable[..., t.Any]


def call(
    function: t.Callable[[Ask], t.Any],
    *,
    joins: Handles,
    answers: t.Mapping[str, t.Callable[..., t.Any]],
) -> t.Any:
    """Call ``function(ask)`` in a child that has joined ``joins``; return what it returns.

    ``ask(name, ...)`` there calls ``answers[name](...)`` here and returns its result, or raises
    what it raised. What the function raises is raised here. Raises KernelError when the
    namespaces cannot be joined.
    """
    ours, theirs = socket.socketpair()

    def body() -> int:
        processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
        ours.close()
        channel = theirs.makefile("rwb")

        def ask(name: str, *arguments: t.Any) -> t.Any:
            _send(channel, ("ask", (name, arguments)))
            return _settled(pickle.load(channel))

        _send(channel, _outcome(lambda: function(ask)))
        return 0

    child = -1
    with ours:
        try:
            child = spawn(body, joins=joins)
            theirs.close()
            with ours.makefile("rwb") as channel:
                while True:
                    try:
                        message = pickle.load(channel)
                    except EOFError:
                        raise ChildProcessError("the process in the target ended early") from None
                    if message[0] != "ask":
                        return _settled(message)
                    name, arguments = message[1]
                    _send(channel, _outcome(lambda: answers[name](*arguments)))  # noqa: B023
        finally:
            theirs.close()
            if child > 0:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def _outcome(function: t.Callable[[], t.Any]) -> tuple[str, t.Any]:
    try:
        return ("returned", function())
    except Exception as error:
        return ("raised", error)


def _settled(message: tuple[str, t.Any]) -> t.Any:
    if message[0] == "raised":
        raise message[1]
    return message[1]


def _send(channel: t.Any, message: tuple[str, t.Any]) -> None:
    pickle.dump(message, channel)
    channel.flush()
