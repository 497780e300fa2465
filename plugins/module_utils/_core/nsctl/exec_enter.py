# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl exec and enter: become a program inside a named namespace, or another target.

No process of ours remains beside the program. There are two exceptions, in which ours waits for a
child, and is to others what that is: a pid namespace, since only a child can be born into one, for
which it can also hand over; and a terminal, in whose place the program gets one of its own.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os

from .. import actions, kinds
from ..errors import KernelError, Refused, StepFailed, in_words
from ..host_paths import DEFAULT_PATH
from ..namespace import host_mounts
from ..namespace.target import Handles, Target
from ..process import import_guard, proc
from ..process.execute import become, with_variables
from ..process.program import LIST, OPTIONS, Program
from ..syscalls import namespaces, processes
from . import NOT_STARTED, complain, streams
from .arguments import Given, WrongUsage

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

# What shells end with when a program cannot be run, or is not there.
_NOT_EXECUTABLE = 126
_NOT_FOUND = 127

# What systemd tells of the sockets that it passes (sd_listen_fds(3)).
_LISTEN_PID = "LISTEN_PID"
_LISTEN_FDS = "LISTEN_FDS"
LISTEN = (_LISTEN_PID, _LISTEN_FDS, "LISTEN_FDNAMES")


def run(verb: str, given: Given) -> int:
    """The verbs; return only where the program was not started, or was a child.

    Raises WrongUsage, Refused, KernelError.
    """
    streams.secure()
    target, argv = _target(given)
    if not argv and verb == "exec":
        raise WrongUsage("name a program")
    passed = sockets_passed() if "keep-fds" in given.switches else 0
    program = program_of(given, argv or [_default_shell()], passed).checked()
    # Not to be closed: becoming the program closes them, and so does our end. What is not joined
    # stays as it is, also mounts of the caller's own.
    with host_mounts.Joined():
        handles = target.open(_list_of(given, "kinds"), closed_too="incomplete" in given.switches)
    _check_elsewhere(target, handles)
    return start(
        verb,
        program,
        handles,
        passed=passed,
        new=_new_kinds(given),
        inside=lambda program, host_proc: _as_inside(program, host_proc, has_argv=bool(argv)),
        hands_over="hand-over" in given.switches,
    )


def start(
    verb: str,
    program: Program,
    handles: Handles,
    *,
    passed: int = 0,
    new: t.Collection[str] = (),
    inside: t.Callable[[Program, int], Program] | None = None,
    hands_over: bool = False,
) -> int:
    """Become the program in these namespaces, or have it as a child; the exit code.

    Of the kinds ``new`` it gets new ones. ``passed`` descriptors from 3 on are the program's.
    ``inside`` is called in its namespaces with an open /proc of the host, and returns what it is
    there. ``hands_over`` says that a child is left to systemd. Raises Refused, KernelError.
    """
    create = _creation(new)
    host_proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    terminals = streams.terminals()
    if handles.etc:
        create = _with_names(handles.etc, create, has_mounts="mnt" in new)
    if not terminals and "pid" not in handles.kinds:
        return _become(verb, program, passed, handles, create, inside, host_proc)

    def body() -> int:
        return _become(verb, program, passed, None, create, inside, host_proc)

    try:
        if "pid" in handles.kinds and hands_over:
            from . import hand_over

            _check_no_terminal(terminals)
            return hand_over.run(handles, body)
        if terminals:
            from . import terminal

            return terminal.run(
                terminals,
                handles,
                body,
                lambda error: _complain(verb, _explained(error, handles)),
            )
        from . import wait_for_child

        return wait_for_child.run(handles, body)
    except KernelError as error:
        raise _explained(error, handles) from error


def _explained(error: Exception, handles: Handles) -> Exception:
    is_full = isinstance(error, KernelError) and error.errno == errno.ENOMEM
    if not is_full or "pid" not in handles.kinds:
        return error
    # Not loaded by who can enter.
    from ..namespace import pid_holder

    return pid_holder.death(handles.id_of("pid")) or error


def _target(given: Given) -> tuple[Target, list[str]]:
    """What is entered, and the words of the program. Raises WrongUsage."""
    pid, path = given.last("pid"), given.last("path")
    if pid is None and path is None:
        name, *argv = given.operands or [""]
        if not name:
            raise WrongUsage("name a namespace")
        return Target(namespace=name), argv
    if pid is not None and not _is_number(pid):
        raise WrongUsage(f"--pid takes the number of a process, not {pid!r}")
    return Target(None, None if pid is None else int(pid), path), given.operands


def _check_elsewhere(target: Target, handles: Handles) -> None:
    """Refuse a process or a file that leads nowhere: the program would run on the host."""
    own = proc.ids_of_process("self") if target.namespace is None else {}
    if own and all(handles.id_of(kind) == own.get(kind) for kind in handles.kinds):
        raise Refused(
            f"{target} lives in the namespaces of the host"
            if target.pid is not None
            else f"{target} is a namespace of the host",
            "Name another one.",
        )


def _check_no_terminal(terminals: t.Collection[int]) -> None:
    if terminals:
        raise Refused(
            "who hands over to the program cannot keep the terminal from it",
            "Let the unit have no terminal: leave StandardInput=, StandardOutput= and "
            "StandardError=tty out.",
        )


def _new_kinds(given: Given) -> tuple[str, ...]:
    """The kinds that the program gets new ones of. Raises WrongUsage."""
    new = _list_of(given, "new") or ()
    wrong = [kind for kind in new if kind not in kinds.IN_PLACE]
    if wrong:
        raise WrongUsage(f"--new takes {', '.join(kinds.IN_PLACE)}, not {wrong[0]!r}")
    return new


def _creation(new: t.Collection[str]) -> t.Callable[[], None] | None:
    """What gives the calling process new namespaces of these kinds; what it needs is imported."""
    if not new:
        return None
    from ..namespace import network
    from ..syscalls import mounts

    def create() -> None:
        namespaces.unshare(kinds.flags_of(new))
        if "mnt" in new:
            mounts.mount("none", "/", flags=mounts.MS_REC | mounts.MS_PRIVATE)
        if "net" in new:
            network.set_loopback(up=True)

    return lambda: actions.run(f"create {', '.join(sorted(new))}", create)


def _with_names(
    etc: str, create: t.Callable[[], None] | None, *, has_mounts: bool
) -> t.Callable[[], None]:
    """What creates that, and then lays the files for programs in the network over those of the host."""
    from ..namespace import netns_files

    def done() -> None:
        if create is not None:
            create()
        netns_files.lay(etc, anew=not has_mounts)

    return done


def _become(
    verb: str,
    program: Program,
    passed: int,
    handles: Handles | None,
    create: t.Callable[[], None] | None,
    inside: t.Callable[[Program, int], Program] | None,
    host_proc: int,
) -> int:
    """Join the namespaces, unless that is done, and become the program; the exit code if not."""
    try:
        if handles is not None:
            # No process inside may trace us or open our /proc/PID/exe (CVE-2019-5736).
            processes.prctl(processes.PR_SET_DUMPABLE, 0)
            actions.run("leave the terminal", streams.leave_terminal)
            import_guard.end()
            actions.run(f"join {', '.join(sorted(handles.kinds))}", handles.join)
        if create is not None:
            create()
        if inside is not None:
            program = inside(program, host_proc)
        if passed:
            own = {_LISTEN_PID: str(os.getpid())}
            program = program.replace(environment={**program.environment, **own})
        become(program, host_proc=host_proc, close_from=3 + passed, reset_signals=False)
    except (Refused, StepFailed, OSError) as error:
        return _complain(verb, error)


def _complain(verb: str, error: Exception) -> int:
    """Say why the program was not started; the exit code."""
    cause = error.cause if isinstance(error, StepFailed) else None
    code = NOT_STARTED
    if isinstance(cause, KernelError) and cause.call == "execve":
        code = _NOT_FOUND if cause.errno == errno.ENOENT else _NOT_EXECUTABLE
    return complain(verb, in_words(error), code)


def program_of(given: Given, argv: t.Sequence[str], passed: int) -> Program:
    """The program ``argv`` with the options given; it gets ``passed`` sockets. Raises WrongUsage."""
    environment = {} if "clear-env" in given.switches else dict(os.environ)
    environment.setdefault("PATH", DEFAULT_PATH)
    if given.last("user") is not None:
        # The caller's, and not that user's: see _as_inside().
        for key in ("HOME", "USER", "LOGNAME"):
            environment.pop(key, None)
    for key in LISTEN:
        environment.pop(key, None)
        if passed and key in os.environ:
            environment[key] = os.environ[key]
    for assignment in given.values.get("env", ()):
        key, equals, value = assignment.partition("=")
        if not equals:
            raise WrongUsage(f"--env takes NAME=VALUE, not {assignment!r}")
        environment[key] = value
    fields: dict[str, t.Any] = {}
    for option in OPTIONS:
        word = given.last(option.word)
        if word is not None:
            fields[option.name] = option.form.split(word)
        elif option.word in given.switches:
            fields[option.name] = True
    program = Program(argv, environment=environment, **fields)
    return program.replace(chdir=program.chdir or "/")


def _list_of(given: Given, option: str) -> tuple[str, ...] | None:
    text = given.last(option)
    return None if text is None else LIST.split(text)


def sockets_passed() -> int:
    """How many descriptors from 3 on are meant for the program."""
    if os.environ.get(_LISTEN_PID) != str(os.getpid()):
        return 0
    number = os.environ.get(_LISTEN_FDS, "")
    return int(number) if _is_number(number) else 0


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 9  # of 31 bits, as a pid has


def _default_shell() -> str:
    return os.environ.get("SHELL") or "/bin/sh"


def _as_inside(program: Program, host_proc: int, *, has_argv: bool) -> Program:
    """The program, but for what only the root that it runs in can tell."""
    if not has_argv:
        program = program.replace(argv=(_shell(program.argv[0]),))
    return program if program.user is None else with_variables(program, host_proc)


def _shell(preferred: str) -> str:
    """A shell that there is in this root: the caller's own one, or one that most roots have."""
    for path in (preferred, "/bin/bash"):
        if path.startswith("/") and os.access(path, os.X_OK):
            return path
    return "/bin/sh"
