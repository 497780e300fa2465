# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Becoming a program in namespaces: what happens between the birth of a process and execve(2).

The process that is started is the program itself; nothing stands between it and its parent.
What fails before the program runs is raised in the parent, which knows that execve(2) has
succeeded when the pipe for failures closes by itself.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pickle
import select
import time
import typing as t

from .. import actions, kinds
from ..definition import service_socket
from ..definition.service import ServiceSpec
from ..errors import StepFailed
from ..mount.view import open_host_proc
from ..namespace import enter, explain, netns_files
from ..namespace.target import Handles
from ..process import accounts, descendants, proc
from ..process.become_root import become_root
from ..process.execute import become, identity_of, with_variables, with_variables_of
from ..process.pipes import Streams
from ..process.program import Program
from . import credential_files
from .setup import Surroundings, arrange

# Where nothing of the program's lies.
_BEYOND = 3 + service_socket.MOST + 1


class Started(t.NamedTuple):
    """A program that runs."""

    pid: int
    # The ids of those that it lives in, by kind.
    namespaces: dict[str, int]
    # What was done for it.
    actions: list[str]


class TooLate(Exception):
    """The time was up before the program ran. The child, ``pid``, is left to the caller."""

    def __init__(self, pid: int) -> None:
        super().__init__(pid)
        self.pid = pid


NOTHING_AROUND = Surroundings()


def start(
    program: Program,
    *,
    streams: Streams,
    joins: Handles | None = None,
    creates: t.Collection[str] = (),
    surroundings: Surroundings = NOTHING_AROUND,
    time_offsets: str = "",
    prepare: t.Callable[[int], None] | None = None,
    reason_not_to: t.Callable[[], str] | None = None,
    may_make_paths: bool = True,
    service: ServiceSpec | None = None,
    warden: bool = False,
    user_variables: bool = False,
    sockets: t.Sequence[int] = (),
    deadline: float | None = None,
) -> Started:
    """Start the program as a child of the caller, in a session of its own.

    ``joins``, ``creates``, ``time_offsets`` and ``prepare`` are those of enter.spawn();
    ``surroundings`` are arranged in the new namespaces. ``reason_not_to`` is called in the
    program's root and working directory; what it answers is raised as NotStarted, unless it is
    empty. ``may_make_paths`` is that of setup.arrange(). The program gets the credentials of
    ``service``. With ``warden`` the child is one (descendants.py), and the program the child of
    that. With ``user_variables`` its environment has those of its user as well
    (host_paths.environment_of()), where it says nothing else of them. ``sockets`` are open ones,
    which the program gets from descriptor 3 on, by the names that ``service`` has for them
    (sd_listen_fds(3)). ``deadline`` is in terms of time.monotonic(): a file system inside may never
    answer who looks for the program there.

    Returns once the program runs. Raises StepFailed for the step that failed in the child,
    Refused, KernelError for namespaces that cannot be joined or made, TooLate.
    """
    program.checked()
    surroundings.checked(creates)
    # Name services may need libraries and sockets of the host.
    identity = identity_of(program, accounts.Host) if program.host_users else None
    if user_variables and program.host_users:
        program = with_variables_of(accounts.Host(), program)
    told, report = os.pipe()
    host_proc = open_host_proc()

    def body() -> int:
        pipe = report
        try:
            os.close(told)
            os.setsid()  # no terminal of the caller's to push input into (CVE-2017-5226)
            if "user" in creates:
                become_root()
            joined = set(joins.kinds if joins is not None else ())
            if joins is not None and joins.etc and not surroundings.root:
                netns_files.lay(joins.etc, anew="mnt" not in creates)
            done = arrange(
                surroundings,
                host_proc,
                own_kinds=joined | set(creates),
                copy_of_host="mnt" not in joined,
                may_make_paths=may_make_paths,
            )
            ids = _own_namespaces(host_proc)
            if service is not None and service.credentials:
                who = identity_of(program, lambda: accounts.files_of_this_root(host_proc))
                actions.run(
                    f"give service {service.name} its credentials",
                    lambda: credential_files.attach(service, who, host_proc),
                )
            if warden:
                descendants.become_warden()
            kept_proc = _out_of_the_way(host_proc)
            pipe = _take_places([*streams, *sockets], report)
            ready = program
            if service is not None and sockets:
                ready = _with_sockets(program, service, len(sockets))
            if user_variables and not program.host_users:
                ready = with_variables(ready, kept_proc)
            become(
                ready,
                host_proc=kept_proc,
                close_from=pipe + 1,
                identity=identity,
                reason_not_to=reason_not_to,
                before_exec=lambda: _tell(pipe, (ids, done)),
            )
        except Exception as error:
            _tell(pipe, error)
        return 1

    try:
        pid = actions.run(
            _birth_name(joins, creates),
            lambda: enter.spawn(
                body, joins=joins, creates=creates, time_offsets=time_offsets, prepare=prepare
            ),
            explain=lambda error: explain.birth(error, joins=joins, creates=creates),
        )
    except BaseException:
        os.close(told)
        raise
    finally:
        os.close(report)
        os.close(host_proc)
    answers = _read_answers(told, deadline)
    if answers is None:
        raise TooLate(pid)
    if len(answers) == 1 and isinstance(answers[0], tuple):
        ids, done = answers[0]
        return Started(pid, ids, done)
    os.waitpid(pid, 0)
    if not answers:
        raise ChildProcessError("the process ended before it became the program")
    failure = answers[-1]
    cause = failure.cause if isinstance(failure, StepFailed) else None
    if isinstance(cause, OSError) and "user" in creates:
        reason, hint = explain.switch_in_the_way(cause)
        if reason:
            raise StepFailed(failure.step, cause, reason, hint)
    raise failure


def _own_namespaces(host_proc: int) -> dict[str, int]:
    ids = {}
    for kind in kinds.NAMES:
        with contextlib.suppress(OSError):  # a kind that this kernel lacks
            ids[kind] = proc.parse_link(os.readlink(f"self/ns/{kind}", dir_fd=host_proc))
    return ids


def _with_sockets(program: Program, service: ServiceSpec, number: int) -> Program:
    """The program, told of this number of sockets as systemd tells of them (sd_listen_fds(3))."""
    told = {
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": str(number),
        "LISTEN_FDNAMES": service_socket.names_of(service.name, service.sockets),
    }
    return program.replace(environment={**program.environment, **told})


def _take_places(fds: t.Sequence[int], report: int) -> int:
    """Put what the program gets in its places from 0 on, and the pipe for failures next to that."""
    # All of them out of the way first: one may lie in the place of another.
    high = [_out_of_the_way(fd) for fd in (*fds, report)]
    for place, fd in enumerate(high):
        os.dup2(fd, place, inheritable=place < len(fds))
    return len(fds)


def _out_of_the_way(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _BEYOND)


def _birth_name(joins: Handles | None, creates: t.Collection[str]) -> str:
    words = []
    if joins is not None and joins.kinds:
        words.append(f"join {', '.join(sorted(joins.kinds))}")
    if creates:
        words.append(f"create {', '.join(sorted(creates))}")
    return " and ".join(words) or "start a process"


def _tell(fd: int, answer: t.Any) -> None:
    message = pickle.dumps(answer)
    while message:
        message = message[os.write(fd, message) :]


def _read_answers(fd: int, deadline: float | None) -> list[t.Any] | None:
    """What was told until the end, which the start of the program is; None where that is late."""
    content = b""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    with open(fd, "rb", buffering=0) as pipe:
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            if not poller.poll(left):
                return None
            chunk = pipe.read(65536)
            if not chunk:
                break
            content += chunk
    stream = io.BytesIO(content)
    answers = []
    while stream.tell() < len(content):
        answers.append(pickle.load(stream))
    return answers
