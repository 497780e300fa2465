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
import dataclasses
import errno
import fcntl
import functools
import io
import os
import pickle
import resource
import signal
import stat
import typing as t

from . import (
    capabilities,
    credentials,
    descendants,
    executable,
    explain_namespaces,
    explain_programs,
    kinds,
    nsfs,
    spawn,
    steps,
    users,
)
from .errors import KernelError, Refused, StepFailed
from .inside import open_host_proc
from .surroundings import Surroundings, arrange
from .syscalls import processes
from .targets import Handles

_REPORT_FD = 3
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclasses.dataclass(frozen=True)
class Program:
    """A program and what it runs with.

    ``argv[0]`` without a slash is looked up in the PATH of ``environment``, inside the root.
    ``environment`` is all of it. ``chdir`` is the working directory inside the root. ``user``,
    ``group`` and ``groups`` are names or numbers as in users.resolve(); with ``host_users`` they
    are looked up on the host. ``capabilities`` are the names of those that are kept, None for
    what the kernel gives to the user. ``limits`` are (soft, hard) by the name of the limit, as
    "nofile". An empty ``chdir`` and a ``umask`` of None leave those of the caller.
    """

    argv: tuple[str, ...]
    environment: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    chdir: str = "/"
    user: str | None = None
    group: str | None = None
    groups: tuple[str, ...] | None = None
    host_users: bool = False
    capabilities: tuple[str, ...] | None = None
    no_new_privs: bool = False
    limits: t.Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    umask: int | None = None

    def checked(self) -> Program:
        """This program when it makes sense by itself. Raises Refused."""
        if not self.argv or not self.argv[0]:
            raise Refused("argv names no program")
        texts = [*self.argv, self.chdir, *self.environment, *self.environment.values()]
        if any("\0" in text for text in texts):
            raise Refused("argv, chdir and environment must not hold a null character")
        wrong = [name for name in self.environment if not name or "=" in name]
        if wrong:
            raise Refused(f"{wrong[0]!r} cannot be the name of an environment variable")
        users.checked(self.user, self.group, self.groups)
        capabilities.mask_of(self.capabilities or ())
        for name in self.limits:
            limit_number(name)
        return self


class Streams(t.NamedTuple):
    """Open files that become the standard streams of a program."""

    stdin: int
    stdout: int
    stderr: int


class Started(t.NamedTuple):
    """A program that runs: its pid, its namespaces' ids by kind, and the steps taken for it."""

    pid: int
    namespaces: dict[str, int]
    steps: list[str]


NOTHING_AROUND = Surroundings()


class NotStarted(Exception):
    """The question that was asked before the start had an answer: the argument."""


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
    warden: bool = False,
) -> Started:
    """Start the program as a child of the caller, in a session of its own.

    ``joins``, ``creates``, ``time_offsets`` and ``prepare`` are those of spawn.spawn();
    ``surroundings`` are arranged in the new namespaces. ``reason_not_to`` is called in the
    program's root and working directory; what it answers is raised as NotStarted, unless it is
    empty. ``may_make_paths`` is that of surroundings.arrange(). With ``warden`` the child is
    one (descendants.py), and the program the child of that.

    Returns once the program runs. Raises StepFailed for the step that failed in the child,
    Refused, KernelError for namespaces that cannot be joined or made.
    """
    program.checked()
    surroundings.checked()
    # Name services may need libraries and sockets of the host.
    identity = _identity_of(program, users.Host()) if program.host_users else None
    told, report = os.pipe()
    host_proc = open_host_proc()

    def body() -> int:
        pipe = report
        try:
            os.close(told)
            os.setsid()  # no terminal of the caller's to push input into (CVE-2017-5226)
            if "user" in creates:
                credentials.become_root()
            joined = set(joins.names if joins is not None else ())
            done = arrange(
                surroundings,
                host_proc,
                own_kinds=joined | set(creates),
                copy_of_host="mnt" not in joined,
                may_make_paths=may_make_paths,
            )
            ids = _own_namespaces(host_proc)
            if warden:
                descendants.become_warden()
            pipe = _take_streams(streams, report)
            become(
                program,
                identity=identity,
                reason_not_to=reason_not_to,
                before_exec=lambda: _tell(pipe, (ids, done)),
            )
        except Exception as error:
            _tell(pipe, error)
        return 1

    try:
        pid = steps.run(
            _birth_name(joins, creates),
            lambda: spawn.spawn(
                body, joins=joins, creates=creates, time_offsets=time_offsets, prepare=prepare
            ),
            explain=lambda error: explain_namespaces.birth(error, joins=joins, creates=creates),
        )
    except BaseException:
        os.close(told)
        raise
    finally:
        os.close(report)
        os.close(host_proc)
    answers = _read_answers(told)
    if len(answers) == 1 and isinstance(answers[0], tuple):
        ids, done = answers[0]
        return Started(pid, ids, done)
    os.waitpid(pid, 0)
    if not answers:
        raise ChildProcessError("the process ended before it became the program")
    failure = answers[-1]
    if isinstance(failure, StepFailed) and "user" in creates:
        reason, hint = explain_namespaces.switch_in_the_way(failure.cause)
        if reason:
            raise StepFailed(failure.step, failure.cause, reason, hint)
    raise failure


def become(
    program: Program,
    *,
    identity: users.Identity | None = None,
    reason_not_to: t.Callable[[], str] | None = None,
    before_exec: t.Callable[[], None] | None = None,
) -> t.NoReturn:
    """Turn the calling process into the program. The standard streams are in place already.

    Other descriptors are closed, but for the fourth, the pipe for failures. ``identity`` are
    the program's ids where they were looked up before. See start() for ``reason_not_to``;
    ``before_exec`` is called last. Raises StepFailed, Refused, NotStarted.
    """
    # Before the working directory is entered: it may be named by a descriptor that would lead
    # out of the root, /proc/self/fd/7 (CVE-2024-21626).
    processes.close_descriptors_from(_REPORT_FD + 1)
    _reset_signals()
    for name, limit in program.limits.items():
        steps.run(
            f"set the limit {name}",
            functools.partial(_set_limit, name, limit),
            explain=functools.partial(explain_programs.limit, name=name),
        )
    if program.umask is not None:
        os.umask(program.umask)
    if program.chdir:
        directory = program.chdir
        steps.run(
            f"change to the directory {directory}",
            lambda: enter_directory(directory),
            explain=functools.partial(explain_programs.directory, path=directory),
        )
    if reason_not_to is not None and (reason := reason_not_to()):
        raise NotStarted(reason)
    ids = identity if identity is not None else _identity_of(program, None)
    _give_away_pipes(ids)
    steps.run(
        f"become {_title(ids)}",
        lambda: credentials.take_on(ids, program.capabilities),
        explain=explain_programs.identity,
    )
    if program.no_new_privs:
        processes.prctl(processes.PR_SET_NO_NEW_PRIVS, 1)
    name = program.argv[0]
    steps.run(
        f"run {name}",
        lambda: _execute(program, before_exec),
        explain=lambda error: explain_programs.execve(error, name),
    )
    raise AssertionError("unreachable")


def _execute(program: Program, before_exec: t.Callable[[], None] | None) -> None:
    path = executable.find(program.argv[0], program.environment.get("PATH", _DEFAULT_PATH))
    executable.check_no_magic_link(path)
    if before_exec is not None:
        before_exec()
    try:
        os.execve(path, program.argv, program.environment)
    except OSError as error:
        raise KernelError("execve", error.errno or errno.EIO, {"path": path}) from error


def enter_directory(path: str) -> None:
    """Change to the directory, which must lie in the root of the process.

    One that is reached through a descriptor may not; the kernel then tells a working directory
    of "(unreachable)/..." (getcwd(2), CVE-2024-21626). Raises KernelError, Refused.
    """
    try:
        os.chdir(path)
    except OSError as error:
        raise KernelError("chdir", error.errno or errno.EIO, {"path": path}) from error
    try:
        here = os.getcwd()
    except OSError:  # what the C library makes of it
        here = ""
    if not here.startswith("/"):
        raise Refused(
            f"the directory {path} lies outside of the program's root, or was removed",
            "Name a directory inside the root.",
        )


def _own_namespaces(host_proc: int) -> dict[str, int]:
    ids = {}
    for kind in kinds.NAMES:
        with contextlib.suppress(OSError):  # a kind that this kernel lacks
            ids[kind] = nsfs.parse_link(os.readlink(f"self/ns/{kind}", dir_fd=host_proc))
    return ids


def _take_streams(streams: Streams, report: int) -> int:
    """Put the streams in their places, and the pipe for failures next to them."""
    # All of them out of the way first: one may lie in the place of another.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64) for fd in (*streams, report)]
    for place, fd in enumerate(high):
        os.dup2(fd, place, inheritable=place != _REPORT_FD)
    return _REPORT_FD


def _reset_signals() -> None:
    """Default dispositions and nothing blocked: both survive execve(2), and Python ignores some."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):  # those the C library keeps for itself
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def limit_number(name: str) -> int:
    """The number of a limit by its name in setrlimit(2): "nofile", "RLIMIT_NOFILE". Raises Refused."""
    word = name.upper()
    word = word if word.startswith("RLIMIT_") else f"RLIMIT_{word}"
    number = getattr(resource, word, None)
    if not isinstance(number, int):
        known = sorted(each[7:].lower() for each in dir(resource) if each.startswith("RLIMIT_"))
        raise Refused(f"{name!r} is not a resource limit", f"Use one of {', '.join(known)}.")
    return number


def _set_limit(name: str, limit: tuple[int, int]) -> None:
    try:
        resource.setrlimit(limit_number(name), limit)
    except ValueError as error:  # what Python makes of EINVAL, and of EPERM for the hard limit
        number = errno.EPERM if "not allowed" in str(error) else errno.EINVAL
        raise KernelError("setrlimit", number, {"name": name, "limit": limit}) from error


def _identity_of(program: Program, database: users.Database | None) -> users.Identity:
    if program.user is None and program.group is None and program.groups is None:
        return users.Identity()
    if database is None:
        database = users.files_of_this_root()
    return users.resolve(program.user, program.group, program.groups, database)


def _give_away_pipes(identity: users.Identity) -> None:
    """Let the program open /dev/stdout by name: its pipes belong to the one who made them."""
    for fd in (1, 2):
        if identity.uid is not None and stat.S_ISFIFO(os.fstat(fd).st_mode):
            with contextlib.suppress(OSError):  # its owner has no id in this user namespace
                os.fchown(fd, identity.uid, -1)


def _title(identity: users.Identity) -> str:
    words = []
    if identity.uid is not None:
        words.append(f"uid {identity.uid}")
    if identity.gid is not None:
        words.append(f"gid {identity.gid}")
    return ", ".join(words) or "the program's user"


def _birth_name(joins: Handles | None, creates: t.Collection[str]) -> str:
    words = []
    if joins is not None and joins.names:
        words.append(f"join {', '.join(sorted(joins.names))}")
    if creates:
        words.append(f"create {', '.join(sorted(creates))}")
    return " and ".join(words) or "start a process"


def _tell(fd: int, answer: t.Any) -> None:
    message = pickle.dumps(answer)
    while message:
        message = message[os.write(fd, message) :]


def _read_answers(fd: int) -> list[t.Any]:
    with open(fd, "rb") as pipe:
        stream = io.BytesIO(pipe.read())
    answers = []
    while stream.tell() < len(stream.getbuffer()):
        answers.append(pickle.load(stream))
    return answers
