# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl service: what the units of services run. The host knows the program from here on only.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os

from ..definition import service_end, service_file, service_socket
from ..definition.service import (
    DEFAULT_SIGNAL_TO_RELOAD,
    UNAVAILABLE,
    ServiceSpec,
    credentials_directory,
)
from ..errors import Refused, in_words
from ..host_paths import unit_name
from ..launch import credential_files
from ..namespace import host_mounts, pins
from ..namespace.target import Target
from ..process import accounts, signals, watch
from ..process.execute import identity_of, with_variables
from ..process.program import Program
from . import complain, exec_enter, streams
from .arguments import Given, Option, Verb, WrongUsage

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

VERB = Verb(
    "service",
    "become the program of a service",
    operands="NAME SERVICE",
    usage=("[--reload | --clear] NAME SERVICE",),
    text="""\
What the units of services run, that linux.namespaces.ns_service writes.
What the program of SERVICE in the namespace NAME is, and its environment,
is read from the file of the service, and exists on the host nowhere else.
The process joins the namespaces, puts the credentials of the service into
place, and becomes the program. In a pid namespace it has it as a child,
and tells systemd that this is the main process of the unit.

The program has the environment of the service alone, HOME, USER and
LOGNAME of its user where that does not set them, and of what systemd
tells: INVOCATION_ID, JOURNAL_STREAM, the sockets that it passes
(LISTEN_FDS), WATCHDOG_USEC, and where the service tells that it is ready
NOTIFY_SOCKET. Environment= of a unit or a drop-in is that of nsctl itself.
Limits and the umask are what systemd has set.
""",
    options=(
        Option(
            "reload",
            "",
            (
                "Run the program of the service that reloads it, in the\n"
                "namespaces of its main process ($MAINPID), or send that the\n"
                "signal."
            ),
        ),
        Option(
            "clear",
            "",
            (
                "Take the credentials of the service away, and note why its\n"
                "program ended ($SERVICE_RESULT), for ns_service to tell."
            ),
        ),
    ),
    exits="The program's own; 125, 126, 127 and 250 as said in `nsctl --help`.",
)

# What systemd tells a program of the unit (systemd.exec(5), ENVIRONMENT VARIABLES IN SPAWNED
# PROCESSES), but for the paths of the host's, and what it tells those that control it.
_TOLD = ("INVOCATION_ID", "JOURNAL_STREAM")
_NOTIFY = "NOTIFY_SOCKET"
_WATCHDOG = "WATCHDOG_USEC"
_LISTEN_NAMES = "LISTEN_FDNAMES"
# SD_LISTEN_FDS_START of sd_listen_fds(3).
_FIRST_PASSED = 3
# Either of the two names the process that it is meant for.
_WATCHDOG_PID = "WATCHDOG_PID"
_MAIN = "MAINPID"


def run(verb: str, given: Given) -> int:
    """The verb; returns only where the program was not started, or was a child.

    Raises WrongUsage, Refused, KernelError.
    """
    streams.secure()
    if len(given.operands) != 2 or len(given.switches) > 1:
        raise WrongUsage("name a namespace and a service of it")
    namespace, name = given.operands
    path = service_file.path_of(namespace, name)
    if "clear" in given.switches:
        _end(namespace, name)
        return 0
    spec = service_file.read(namespace, name)
    if spec is None:
        raise Refused(
            f"{path} is missing, which says what service {name} is",
            "Have it started by linux.namespaces.ns_service, with argv.",
        )
    return _reload(verb, spec) if "reload" in given.switches else _start(verb, spec)


def _end(namespace: str, name: str) -> None:
    """Clear away after the program, and note what systemd says of its end."""
    end = service_end.told(os.environ)
    if end is not None:
        with contextlib.suppress(OSError):  # the namespace is down
            service_end.write(namespace, name, end)
    credential_files.clear(namespace, credentials_directory(namespace, name))


def _start(verb: str, spec: ServiceSpec) -> int:
    passed = exec_enter.sockets_passed()
    if passed < len(spec.sockets):
        raise Refused(
            f"service {spec.name} has {len(spec.sockets)} sockets, and systemd passed {passed}",
            f"Start it by its unit, with that of its sockets: systemctl start {unit_name(spec.namespace, spec.name)}",
        )
    for number, each in enumerate(spec.sockets):
        # systemd hands over all of them the same way (systemd.service(5), NonBlocking=).
        os.set_blocking(_FIRST_PASSED + number, each.blocking)
    program = _for_systemd(spec, _told(spec, passed))
    has_watchdog = _WATCHDOG in program.environment

    def inside(program: Program, host_proc: int) -> Program:
        if spec.credentials:
            who = identity_of(program, lambda: accounts.files_of_this_root(host_proc))
            credential_files.attach(spec, who, host_proc)
        if has_watchdog:
            own = {_WATCHDOG_PID: str(os.getpid())}
            program = program.replace(environment={**program.environment, **own})
        return with_variables(program, host_proc)

    # With all of them, also those of which it gets new ones: they are made from there.
    try:
        with host_mounts.Joined():  # a drop-in of the unit may give it mounts of its own
            handles = Target(namespace=spec.namespace).open()
    except Refused as error:
        # It is not there, or closed. Who brings it up starts what is enabled in it.
        return complain(verb, in_words(error), UNAVAILABLE)
    spec.check_places(handles.kinds)
    if passed and any(each.is_file for each in spec.sockets):
        from ..service import socket_files  # for who has such sockets

        socket_files.settle(spec)
    return exec_enter.start(
        verb,
        program,
        handles,
        passed=passed,
        new=spec.kinds,
        inside=inside,
        hands_over=True,
    )


def _told(spec: ServiceSpec, passed: int) -> dict[str, str]:
    """What of our own environment is meant for the program.

    All else is ours: what a unit or the manager sets for its programs is not known to be meant for
    one inside, and may name what is on the host.
    """
    names = [*_TOLD, *([_NOTIFY] if spec.ready.notify else [])]
    names += exec_enter.LISTEN if passed else []
    if os.environ.get(_WATCHDOG_PID, "") in ("", str(os.getpid())):
        names.append(_WATCHDOG)
    told = {name: os.environ[name] for name in names if name in os.environ}
    if passed and passed == len(spec.sockets):
        # systemd has one name for all that a unit listens on. Others may have added theirs (Sockets=).
        told[_LISTEN_NAMES] = service_socket.names_of(spec.name, spec.sockets)
    return told


def _for_systemd(spec: ServiceSpec, told: t.Mapping[str, str]) -> Program:
    """The program, but for what systemd has set for us already: drop-ins may have changed it."""
    program = spec.program_with_secrets()
    environment = {_native(key): _native(text) for key, text in program.environment.items()}
    return program.replace(
        argv=[_native(word) for word in program.argv],
        environment={**environment, **told},
        chdir=_native(program.chdir),
        limits={},
        umask=None,
    ).checked()


def _native(text: str) -> str:
    """A text of the file as Python has to have it to pass on its bytes, in any locale."""
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def _reload(verb: str, spec: ServiceSpec) -> int:
    """Tell the program to read its configuration again."""
    pid = os.environ.get(_MAIN, "")
    if not (pid.isascii() and pid.isdigit()):
        raise Refused(
            "systemd did not say which process is the program",
            "--reload is for units, in ExecReload.",
        )
    if spec.reload is None or not spec.reload.argv:
        name = spec.reload.signal if spec.reload is not None else DEFAULT_SIGNAL_TO_RELOAD
        if not watch.send(watch.identify(int(pid)), signals.number_of(name)):
            raise Refused(f"service {spec.name} has ended")
        return 0
    handles = Target(pid=int(pid)).open()
    own = {*pins.pinned(spec.namespace), *pins.shared(spec.namespace), *spec.kinds}
    missing = own - set(handles.kinds)
    if missing:
        # It would run on the host: the main process is no program of ours, or not yet.
        raise Refused(
            f"process {pid} lives in no {', '.join(sorted(missing))} namespace of its own",
            f"Restart service {spec.name}.",
        )
    program = _for_systemd(spec, {}).replace(argv=[_native(word) for word in spec.reload.argv])
    return exec_enter.start(verb, program, handles, inside=with_variables)
