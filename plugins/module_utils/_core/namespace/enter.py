# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A child process that lives in other namespaces: joined ones, new ones, or both.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os
import pickle
import signal

from .. import kinds
from ..errors import KernelError
from ..process import import_guard, proc
from ..syscalls import namespaces, processes
from .target import Handles

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t


def spawn(
    body: t.Callable[[], int],
    *,
    joins: Handles | None = None,
    creates: t.Collection[str] = (),
    time_offsets: str = "",
    prepare: t.Callable[[int], None] | None = None,
) -> int:
    """Start a child that runs ``body`` and exits with its result; return the child's pid.

    It joins ``joins`` first and then gets new namespaces of the kinds in ``creates``, which
    so belong to the user namespace it joined or got. ``time_offsets`` is what goes into
    /proc/self/timens_offsets of a new time namespace. ``prepare`` is called here with the
    child's pid before ``body`` runs there; when it raises, or when this process dies, the
    child ends without running ``body``.

    The child is a child of the caller in every case: wait for it with os.waitpid(). No
    process stands between the two. Raises KernelError with the step that failed.
    """
    # unshare(2) and setns(2) leave the caller outside of a pid or time namespace: a second
    # birth is needed there.
    twice = bool(kinds.FOR_CHILDREN & {*creates, *(joins.kinds if joins else ())})
    # Without clone3(2) the second child is an orphan that must come back to us; later ones may be init's.
    adopts = twice and not processes.is_subreaper()
    if adopts:
        processes.prctl(processes.PR_SET_CHILD_SUBREAPER, 1)
    told, tell = os.pipe()
    gate, open_gate = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(told)
        os.close(open_gate)  # held by us alone, so that our death opens it
        _exit_with(lambda: _first_child(body, joins, creates, time_offsets, twice, tell, gate))
    os.close(tell)
    os.close(gate)
    try:
        message = read_all(told)
        if twice:
            os.waitpid(first, 0)
        if adopts:
            processes.prctl(processes.PR_SET_CHILD_SUBREAPER, 0)
        if not message:
            if not twice:
                os.waitpid(first, 0)
            raise ChildProcessError("the child ended before it had joined its namespaces")
        answer = pickle.loads(message)
        if isinstance(answer, Exception):
            if not twice:
                os.waitpid(first, 0)
            raise answer
        child: int = answer
        if prepare is not None:
            try:
                prepare(child)
            except BaseException:
                os.close(open_gate)
                open_gate = -1
                os.waitpid(child, 0)
                raise
        os.write(open_gate, b"x")
        return child
    finally:
        os.close(told)
        if open_gate >= 0:
            os.close(open_gate)


def _first_child(
    body: t.Callable[[], int],
    joins: Handles | None,
    creates: t.Collection[str],
    time_offsets: str,
    twice: bool,
    tell: int,
    gate: int,
) -> int:
    try:
        import_guard.end()
        if joins is not None:
            # No process inside may trace us or open our /proc/PID/exe (CVE-2019-5736).
            processes.prctl(processes.PR_SET_DUMPABLE, 0)
            joins.join()
        if not twice:
            namespaces.unshare(kinds.flags_of(creates))
            _tell(tell, os.getpid())
        else:
            namespaces.unshare(kinds.flags_of(set(creates) - {"pid"}))
            if time_offsets:
                # Only before the first child is born there (time_namespaces(7)).
                proc.write("/proc/self/timens_offsets", time_offsets)
            child = _second_birth(new_pid="pid" in creates)
            if child:
                _tell(tell, child)
                return 0
            os.close(tell)
    except BaseException as error:
        os.write(tell, pickle.dumps(error))
        os._exit(1)
    if not os.read(gate, 1):
        return 1  # the one who started us is gone, or changed its mind
    os.close(gate)
    return body()


def _second_birth(*, new_pid: bool) -> int:
    flags = kinds.flags_of(["pid"]) if new_pid else 0
    try:
        # A sibling, not a child: nothing stands between it and the one who asked for it.
        return processes.clone3(flags | processes.CLONE_PARENT, exit_signal=0)
    except KernelError as error:
        # ENOSYS is also what container engines' filters answer.
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
    namespaces.unshare(flags)
    return os.fork()


def _tell(fd: int, pid: int) -> None:
    os.write(fd, pickle.dumps(pid))
    os.close(fd)


def read_all(fd: int) -> bytes:
    """What can be read until the end. Raises OSError."""
    chunks = []
    while chunk := os.read(fd, 65536):
        chunks.append(chunk)
    return b"".join(chunks)


def _exit_with(body: t.Callable[[], int]) -> t.NoReturn:
    """Run ``body`` in a forked child and leave, without the parent's cleanup handlers."""
    status = 1
    try:
        status = body()
    finally:
        os._exit(status)


def run_inside(
    function: t.Callable[[], t.Any],
    *,
    joins: Handles | None = None,
    creates: t.Collection[str] = (),
) -> t.Any:
    """Call ``function`` in a child inside these namespaces; return what it returns.

    What it raises is raised here. The result travels by pickle. Raises KernelError when the
    namespaces cannot be joined.
    """
    result_fd, child_fd = os.pipe()

    def body() -> int:
        processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
        try:
            answer: tuple[bool, t.Any] = (True, function())
        except Exception as error:
            answer = (False, error)
        message = pickle.dumps(answer)
        while message:
            message = message[os.write(child_fd, message) :]
        return 0

    try:
        child = spawn(body, joins=joins, creates=creates)
    except BaseException:
        os.close(result_fd)
        raise
    finally:
        os.close(child_fd)
    try:
        message = read_all(result_fd)
    finally:
        os.close(result_fd)
        _pid, status = os.waitpid(child, 0)
    if not message:
        raise ChildProcessError(f"the process inside the namespaces ended early, status {status}")
    succeeded, value = pickle.loads(message)
    if succeeded:
        return value
    raise value
