# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The text of a systemd unit that keeps a program running in a named namespace.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import resource
import typing as t

from ..definition.service import DEFAULT_SIGNAL_TO_STOP, ServiceSpec, signal_name
from ..host_paths import COMMAND
from ..install import boot_unit

_Value = t.TypeVar("_Value")


def file_name(namespace: str, name: str) -> str:
    """The name of the unit. No name of a namespace or service holds the colon that parts them."""
    return f"linux-namespaces:{namespace}:{name}.service"


def quoted(word: str) -> str:
    """A word as systemd reads it back, in command lines and assignments (systemd.syntax(7))."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    text = "".join(each if each.isprintable() else _escaped(each) for each in text)
    return f'"{text}"' if text == "" or set(text) & set(" \t'\"\\;#") else text


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def command_line(argv: t.Iterable[str]) -> str:
    """A command line: a dollar sign, which systemd would expand, is doubled."""
    words = [quoted(word.replace("$", "$$")) for word in argv]
    return " ".join(words)


def text(spec: ServiceSpec, pinned: t.Collection[str]) -> str:
    """The file. What systemd does well is left to it: restarting, limits, logs, order.

    ``pinned`` are the kinds of the named namespace.
    """
    program = spec.program
    lines = [
        "# Written by linux.namespaces.ns_service; what is changed here is lost.",
        "[Unit]",
        f"Description={spec.name} in namespace {spec.namespace}",
        f"After={boot_unit.NAME} network.target",
        "",
        "[Service]",
        *_type(spec, pinned),
        f"ExecStart={command_line(_enter(spec, pinned, program.argv, stays=True))}",
        *_reload(spec, pinned),
        *[f"Environment={quoted(f'{key}={value}')}" for key, value in _sorted(program.environment)],
        *[f"{_limit_name(name)}={_limit(limits)}" for name, limits in _sorted(program.limits)],
        *([f"UMask={program.umask:04o}"] if program.umask is not None else []),
        f"SyslogIdentifier={spec.name}",
        "Restart=on-failure",
        f"KillSignal={signal_name(spec.stop_signal or DEFAULT_SIGNAL_TO_STOP)}",
        f"TimeoutStopSec={spec.stop_timeout:g}",
        # The main process gets the signal, and what is left of the others is killed after it.
        "KillMode=mixed",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def _sorted(values: t.Mapping[str, _Value]) -> list[tuple[str, _Value]]:
    return sorted(values.items(), key=lambda pair: pair[0])


def _type(spec: ServiceSpec, pinned: t.Container[str]) -> list[str]:
    lines = ["Type=exec"]
    if spec.ready.notify:
        lines = ["Type=notify", f"TimeoutStartSec={spec.ready.timeout:g}"]
    if "pid" in pinned:
        lines.append("NotifyAccess=main")  # nsctl tells which process is the program
    return lines


def _reload(spec: ServiceSpec, pinned: t.Collection[str]) -> list[str]:
    if spec.reload is None:
        return []
    if spec.reload.argv:
        return [f"ExecReload={command_line(_enter(spec, pinned, spec.reload.argv))}"]
    # kill is a part of every shell, while kill(1) is missing on small hosts.
    name = signal_name(spec.reload.signal)[3:]
    return [f'ExecReload=/bin/sh -c "kill -{name} $MAINPID"']


def _enter(
    spec: ServiceSpec, pinned: t.Collection[str], argv: t.Sequence[str], *, stays: bool = False
) -> list[str]:
    """The command line that becomes the program; ``stays`` is for the one that is the service."""
    words = [COMMAND, "exec", spec.namespace]
    if stays:
        words.append("--keep-fds")
    if stays and "pid" in pinned:
        # Only a child is born into a pid namespace (pid_namespaces(7)): that is the service.
        words.append("--hand-over")
    if spec.kinds:
        joined = [kind for kind in pinned if kind not in spec.kinds]
        words += ["--kinds", ",".join(joined)] if joined else []
        words += ["--new", ",".join(spec.kinds)]
    return [*words, *spec.program.words(), "--", *argv]


def _limit_name(name: str) -> str:
    word = name.upper()
    return f"Limit{word[7:] if word.startswith('RLIMIT_') else word}"


def _limit(limits: tuple[int, int]) -> str:
    words = ["infinity" if each == resource.RLIM_INFINITY else str(each) for each in limits]
    return words[0] if words[0] == words[1] else ":".join(words)
