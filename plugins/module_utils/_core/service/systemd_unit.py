# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The text of a systemd unit that keeps a program running in a named namespace, and of that of its sockets.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import resource
import typing as t

from ..definition import service_file, service_socket
from ..definition.service import (
    DEFAULT_SIGNAL_TO_STOP,
    UNAVAILABLE,
    RestartPolicy,
    ServiceSpec,
)
from ..host_paths import BASE, COMMAND, boot_unit_name, checked_name, unit_name
from ..process import signals

_Value = t.TypeVar("_Value")
_CONDITIONS = {"on-failure": "on-failure", "always": "always", "never": "no"}
# What systemd takes for a clean end (systemd.service(5), SuccessExitStatus=): whoever means to end
# a service stops its unit.
_CLEAN_SIGNALS = "SIGHUP SIGINT SIGTERM SIGPIPE"
# In how many restarts the delay grows from the shortest to the longest: the ninth, of a program
# that is killed each second, has to come within the second, and two minutes of failures are long
# enough to know better.
_STEPS = 40
# How the files begin that are ours.
MARK = "# Written by linux.namespaces.ns_service; what is changed here is lost."
# So that nsctl can tell which process is the program.
_OF_CHILD = "NotifyAccess=main"


def text(
    spec: ServiceSpec, *, is_child: bool, persistent: bool = False, can_grow: bool = False
) -> str:
    """The file. What systemd does well is left to it: restarting, limits, logs, order.

    Nothing in it can be more than a name, a number or a known word: all else of the program is in
    the file of the service, where nobody but root can read it, and nothing on the host runs with
    it. ``is_child`` says that the program is a child of nsctl, as in a pid namespace; ``persistent``
    that the namespace is there again after a reboot, brought up by a unit of its own; ``can_grow``
    that this systemd knows delays that grow (254 and later).
    """
    program, policy = spec.program, spec.restart_policy or RestartPolicy()
    lines = [
        MARK,
        f"# What it runs is in {service_file.path_of(spec.namespace, spec.name)}.",
        "[Unit]",
        f"Description={spec.name} in namespace {spec.namespace}",
        *_order(spec.namespace, persistent=persistent),
        *_on_sockets(spec),
        *_start_limit(policy),
        "",
        "[Service]",
        *_type(spec),
        *([_OF_CHILD] if is_child else []),
        f"ExecStart={_command(spec)}",
        *([f"ExecReload={_command(spec, '--reload')}"] if spec.reload is not None else []),
        # Also where it was killed: a failure is none of the service.
        f"ExecStopPost=-{_command(spec, '--clear')}",
        *[f"{_limit_name(name)}={_limit(limits)}" for name, limits in _sorted(program.limits)],
        *([f"UMask={program.umask:04o}"] if program.umask is not None else []),
        f"SyslogIdentifier={spec.name}",
        *_restart(policy, can_grow=can_grow),
        # Its namespace is not there: the unit of that starts it again.
        f"RestartPreventExitStatus={UNAVAILABLE}",
        f"KillSignal={_signal(spec.stop_signal or DEFAULT_SIGNAL_TO_STOP)}",
        f"TimeoutStopSec={_seconds(spec.stop_timeout)}",
        # The main process gets the signal, and what is left of the others is killed after it.
        "KillMode=mixed",
        "",
        "[Install]",
        f"WantedBy={wanted_by(spec.namespace, persistent=persistent)}",
    ]
    return "\n".join(lines) + "\n"


def socket_text(spec: ServiceSpec, *, net: str = "", persistent: bool = False) -> str:
    """The file of the unit that opens the sockets of a service; empty where it has none.

    ``net`` is the name of the pin of the net namespace that they are opened in; empty for the host's. They
    stay open while the service is started again, and end with the namespace.
    """
    if not spec.sockets:
        return ""
    unit = boot_unit_name(spec.namespace)
    listening = {"stream": "ListenStream", "datagram": "ListenDatagram"}
    lines = [
        MARK,
        "[Unit]",
        f"Description=Sockets of {spec.name} in namespace {spec.namespace}",
        # With them it would come before basic.target, which its namespace comes after.
        "DefaultDependencies=no",
        "Conflicts=shutdown.target",
        "Before=shutdown.target",
        *([f"Requires={unit}", f"After={unit}"] if persistent else []),
        # Nobody but a task starts it again.
        "StartLimitIntervalSec=0",
        "",
        "[Socket]",
        # Not by pins.path(): it is what is there under this name, now and after the next boot.
        *([f"NetworkNamespacePath={BASE}/{checked_name(spec.namespace)}/{net}"] if net else []),
        *[
            f"{listening[each.type]}="
            + (
                service_socket.place_of(spec.namespace, spec.name, each)
                if each.is_file
                else each.listen
            )
            for each in spec.sockets
        ],
        "BindIPv6Only=ipv6-only",
        # An address may come to the namespace later than the program does.
        "FreeBind=yes",
        f"Backlog={service_socket.BACKLOG}",
        # What each is to have it gets from nsctl: see socket_files.py.
        "SocketMode=0600",
        f"DirectoryMode={service_socket.MODE:04o}",
        "RemoveOnStop=yes",
        # A program that ends at once, again and again, is no reason to close them for ever.
        "TriggerLimitIntervalSec=0",
    ]
    return "\n".join(lines) + "\n"


def wanted_by(namespace: str, *, persistent: bool) -> str:
    """The unit with which an enabled service starts: that of its namespace, however late that is up."""
    return boot_unit_name(namespace) if persistent else "multi-user.target"


def _order(namespace: str, *, persistent: bool) -> list[str]:
    if not persistent:
        return ["After=network.target"]
    unit = boot_unit_name(namespace)
    return [f"Requires={unit}", f"After={unit} network.target"]


def _on_sockets(spec: ServiceSpec) -> list[str]:
    if not spec.sockets:
        return []
    # Stopped and started they are by the task: a restart of the service leaves them open.
    unit = socket_unit_name(spec.namespace, spec.name)
    return [f"Requires={unit}", f"After={unit}"]


def socket_unit_name(namespace: str, name: str) -> str:
    """The unit of the sockets of a service: systemd pairs it with that by its name."""
    return f"{unit_name(namespace, name)[: -len('.service')]}.socket"


def is_child(unit: str) -> bool:
    """What text() was told for this unit."""
    return _OF_CHILD in unit.split("\n")


def without_values(unit: str) -> str:
    """The text of a unit for a diff: one of version 0.1.0 holds the environment of the program."""
    lines = []
    for line in unit.split("\n"):
        key, equals, value = line.partition("=")
        if key.strip() == "Environment":
            line = f"{key}{equals}{value.partition('=')[0]}=(not shown)"
        lines.append(line)
    return "\n".join(lines)


def _sorted(values: t.Mapping[str, _Value]) -> list[tuple[str, _Value]]:
    return sorted(values.items(), key=lambda pair: pair[0])


def _signal(word: str) -> str:
    return signals.name_of(signals.number_of(word))


def _type(spec: ServiceSpec) -> list[str]:
    if spec.ready.notify:
        return ["Type=notify", f"TimeoutStartSec={_seconds(spec.ready.timeout)}"]
    return ["Type=exec"]


def _start_limit(policy: RestartPolicy) -> list[str]:
    lines = [f"StartLimitIntervalSec={_seconds(policy.interval if policy.limit else 0)}"]
    return [*lines, f"StartLimitBurst={policy.limit}"] if policy.limit else lines


def _restart(policy: RestartPolicy, *, can_grow: bool) -> list[str]:
    lines = [f"Restart={_CONDITIONS[policy.condition]}"]
    if policy.condition == "never":
        return lines
    if policy.condition == "on-failure":
        lines.append(f"RestartForceExitStatus={_CLEAN_SIGNALS}")
    lines.append(f"RestartSec={_seconds(policy.delay)}")
    if can_grow and policy.max_delay > policy.delay:
        longest = f"RestartMaxDelaySec={_seconds(policy.max_delay)}"
        lines += [f"RestartSteps={_STEPS}", longest]
    return lines


def _command(spec: ServiceSpec, *options: str) -> str:
    return " ".join([COMMAND, "service", *options, spec.namespace, spec.name])


def _seconds(number: float) -> str:
    """As systemd reads it: without an exponent."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def _limit_name(name: str) -> str:
    word = name.upper()
    return f"Limit{word[7:] if word.startswith('RLIMIT_') else word}"


def _limit(limits: tuple[int, int]) -> str:
    words = ["infinity" if each == resource.RLIM_INFINITY else str(each) for each in limits]
    return words[0] if words[0] == words[1] else ":".join(words)
