# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A child process that holds new namespaces while they are set up and pinned.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import typing as t

from .enter import read_all, spawn
from .target import Handles


@contextlib.contextmanager
def hold(
    setup: t.Callable[[], None],
    *,
    joins: Handles | None = None,
    creates: t.Collection[str] = (),
    time_offsets: str = "",
    prepare: t.Callable[[int], None] | None = None,
    afterwards: t.Callable[[], t.NoReturn] | None = None,
) -> t.Iterator[int]:
    """A child in these namespaces that has run ``setup`` and waits while the block runs.

    Yields its pid, for the block to make pins of its namespaces. After the block the child
    ends, or goes on with ``afterwards``; when the block raises, it ends in every case. What
    ``setup`` raises is raised here. See spawn() for the rest.
    """
    report_fd, child_report = os.pipe()
    child_gate, gate = os.pipe()

    def body() -> int:
        os.close(report_fd)
        os.close(gate)
        answer: Exception | None = None
        try:
            setup()
        except Exception as error:
            answer = error
        os.write(child_report, pickle.dumps(answer))
        os.close(child_report)
        proceed = os.read(child_gate, 1)  # end of file when our parent has died
        if proceed and answer is None and afterwards is not None:
            afterwards()
        return 0

    try:
        child = spawn(
            body, joins=joins, creates=creates, time_offsets=time_offsets, prepare=prepare
        )
    except BaseException:
        os.close(report_fd)
        os.close(gate)
        raise
    finally:
        os.close(child_report)
        os.close(child_gate)
    stays = False
    try:
        message = read_all(report_fd)
        if not message:
            raise ChildProcessError("the child ended while it set up its namespaces")
        error = pickle.loads(message)
        if error is not None:
            raise error
        yield child
        if afterwards is not None:
            os.write(gate, b"x")
            stays = True
    finally:
        os.close(report_fd)
        os.close(gate)
        if not stays:
            os.waitpid(child, 0)
