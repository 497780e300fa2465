# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Becoming a program: what is left to do inside its namespaces before execve(2).

`nsctl exec` is a start of this and of little else, so what is imported here is small.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # signal loads enum, for the names of its numbers
import errno
import os
import resource
import stat

from .. import actions
from ..errors import KernelError, Refused
from ..host_paths import DEFAULT_PATH
from ..syscalls import files, processes
from . import accounts, credentials, executable, explain
from .program import Program, limit_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t


class NotStarted(Exception):
    """The question that was asked before the start had an answer: the argument."""


def become(
    program: Program,
    *,
    host_proc: int,
    close_from: int = 3,
    reset_signals: bool = True,
    identity: accounts.Identity | None = None,
    reason_not_to: t.Callable[[], str] | None = None,
    before_exec: t.Callable[[], None] | None = None,
) -> t.NoReturn:
    """Turn the calling process into the program. The standard streams are in place already.

    ``host_proc`` is an open /proc of the host: that of the program's root may be a lie.
    Descriptors are closed from ``close_from`` on. ``reset_signals`` is for a program that is
    not to be told by the caller's caller which signals to ignore. ``identity`` are the
    program's ids where they were looked up before. ``reason_not_to`` is asked in the program's
    root and working directory; ``before_exec`` is called last. Raises StepFailed, Refused,
    NotStarted.
    """
    # Before the working directory is entered: it may be named by a descriptor that would lead
    # out of the root, /proc/self/fd/7 (CVE-2024-21626).
    if host_proc != close_from:
        host_proc = os.dup2(host_proc, close_from, inheritable=False)
    processes.close_descriptors_from(close_from + 1)
    if reset_signals:
        _reset_signals()
    else:
        _unignore_signals()
    for name in program.limits:
        _apply_limit(program, name)
    if program.umask is not None:
        os.umask(program.umask)
    if program.chdir:
        directory = program.chdir
        actions.run(
            f"change to the directory {directory}",
            lambda: enter_directory(directory),
            explain=lambda error: explain.directory(error, directory),
        )
    if reason_not_to is not None and (reason := reason_not_to()):
        raise NotStarted(reason)
    ids = identity
    if ids is None:
        ids = identity_of(program, lambda: accounts.files_of_this_root(host_proc))
    actions.run("leave the session keyring", _leave_session_keyring, explain=explain.keyring)
    _give_away_streams(ids)
    # Not to be traced by who has what is left of our rights in a moment, nor our executable opened.
    processes.prctl(processes.PR_SET_DUMPABLE, 0)
    actions.run(
        f"become {_title(ids)}",
        lambda: credentials.take_on(ids, program.capabilities),
        explain=explain.identity,
    )
    if program.no_new_privs:
        processes.prctl(processes.PR_SET_NO_NEW_PRIVS, 1)
    name = program.argv[0]
    actions.run(
        f"run {name}",
        lambda: _execute(program, host_proc, before_exec),
        explain=lambda error: explain.execve(error, name),
    )
    raise AssertionError("unreachable")


def _apply_limit(program: Program, name: str) -> None:
    actions.run(
        f"set the limit {name}",
        lambda: _set_limit(name, program.limits[name]),
        explain=lambda error: explain.limit(error, name),
    )


def _execute(
    program: Program, host_proc: int, before_exec: t.Callable[[], None] | None
) -> t.NoReturn:
    path = executable.find(program.argv[0], program.environment.get("PATH", DEFAULT_PATH))
    if before_exec is not None:
        before_exec()
    executable.execute(path, program.argv, program.environment, host_proc=host_proc)


def enter_directory(path: str) -> None:
    """Change to the directory, which must lie in the root of the process.

    Only a link of /proc, as /proc/PID/root, leads out of a root, so none is followed; and a
    working directory that is out of reach is one of "(unreachable)/..." or none at all
    (getcwd(2), CVE-2024-21626). Raises KernelError, Refused.
    """
    outside = Refused(
        f"the directory {path} lies outside of the program's root, or was removed",
        "Name a directory inside the root, by a path without links of /proc.",
    )
    try:
        fd = files.openat2(
            files.AT_FDCWD,
            path,
            flags=os.O_PATH | os.O_DIRECTORY,
            resolve=files.RESOLVE_NO_MAGICLINKS,
        )
    except KernelError as error:
        error.call = "chdir"
        if error.errno == errno.ELOOP:
            raise outside from error
        raise
    try:
        os.fchdir(fd)
    except OSError as error:
        raise KernelError("chdir", error.errno or errno.EIO, {"path": path}) from error
    finally:
        os.close(fd)
    try:
        here = os.getcwd()
    except OSError as error:  # what the C library makes of it
        raise outside from error
    if not here.startswith("/"):
        raise outside


def _leave_session_keyring() -> None:
    """A new one, with no key of the caller's in it and no link to its user's, as containers get.

    It counts for the caller and not for the program's user, who could use up what it may have and
    so keep others of the same id from starting.
    """
    try:
        processes.join_new_session_keyring()
    except KernelError as error:
        # A kernel without keys, or a filter: the program can no more ask for a key than we can.
        if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EACCES):
            raise


def _reset_signals() -> None:
    """Default dispositions and nothing blocked: both survive execve(2), and Python ignores some."""
    for number in _signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP}:
        try:
            _signal.signal(number, _signal.SIG_DFL)
        except (OSError, ValueError):  # those the C library keeps for itself
            pass
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def _unignore_signals() -> None:
    """Only what Python itself ignores; the rest is as the caller's caller has it (nohup(1))."""
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)


def _set_limit(name: str, limit: tuple[int, int]) -> None:
    try:
        resource.setrlimit(limit_number(name), limit)
    except ValueError as error:  # what Python makes of EINVAL, and of EPERM for the hard limit
        number = errno.EPERM if "not allowed" in str(error) else errno.EINVAL
        raise KernelError("setrlimit", number, {"name": name, "limit": limit}) from error


def identity_of(
    program: Program, open_database: t.Callable[[], accounts.Database]
) -> accounts.Identity:
    """The ids of the program, looked up in what ``open_database`` answers. Raises Refused."""
    if program.user is None and program.group is None and program.groups is None:
        return accounts.Identity()
    return accounts.resolve(program.user, program.group, program.groups, open_database())


def with_variables(program: Program, host_proc: int) -> Program:
    """The program with what its environment has of its user, where it says nothing else of that.

    As systemd.exec(5) has it of a service with User=: by the passwd(5) of the root that the
    calling process has now. ``host_proc`` is an open /proc of the host. Raises Refused.
    """
    # Of nobody who is named the root need not be read: it may be hostile.
    named = program.user is not None
    known = accounts.files_of_this_root(host_proc) if named else accounts.Files("", "")
    return with_variables_of(known, program)


def with_variables_of(database: accounts.Database, program: Program) -> Program:
    """with_variables() of a user of this database."""
    own = accounts.variables_of(program.user, database)
    return program.replace(environment={**own, **program.environment})


def _give_away_streams(identity: accounts.Identity) -> None:
    """Let the program open /dev/stdout by name: it belongs to the one who made it.

    That is so for pipes, and for a terminal, which is one that was made for the program.
    """
    if identity.uid is None:
        return
    for fd in (0, 1, 2):
        if os.isatty(fd) or (fd and stat.S_ISFIFO(os.fstat(fd).st_mode)):
            try:
                os.fchown(fd, identity.uid, -1)
            except OSError:  # its owner has no id in this user namespace
                pass


def _title(identity: accounts.Identity) -> str:
    words = []
    if identity.uid is not None:
        words.append(f"uid {identity.uid}")
    if identity.gid is not None:
        words.append(f"gid {identity.gid}")
    return ", ".join(words) or "the program's user"
