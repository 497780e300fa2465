# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The text of a systemd unit that keeps a program running in a named namespace.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import dataclasses
import resource
import typing as t

from ..host_paths import COMMAND
from ..process.program import Program

_Value = t.TypeVar("_Value")


@dataclasses.dataclass(frozen=True)
class Unit:
    """What the unit says. ``joins`` are the kinds of the named namespace that are joined, all
    of them when it is empty; ``creates`` those that the program has of its own. ``is_child``
    says that it joins a pid namespace, which only a child can be born into.

    ``reload_signal`` and ``stop_signal`` are names such as HUP, ``stop_timeout`` is in seconds.
    ``notify_timeout`` is how long, in seconds, the program may take to tell by sd_notify(3)
    that it is up; None where it does not tell.
    """

    namespace: str
    name: str
    program: Program
    joins: tuple[str, ...] = ()
    creates: tuple[str, ...] = ()
    is_child: bool = False
    reload_signal: str = ""
    reload_argv: tuple[str, ...] = ()
    stop_signal: str = ""
    stop_timeout: float = 10.0
    notify_timeout: float | None = None


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


def text(unit: Unit) -> str:
    """The file. What systemd does well is left to it: restarting, limits, logs, order."""
    program = unit.program
    lines = [
        "# Written by linux.namespaces.ns_service; what is changed here is lost.",
        "[Unit]",
        f"Description={unit.name} in namespace {unit.namespace}",
        "After=linux-namespaces.service network.target",
        "",
        "[Service]",
        *_type(unit),
        f"ExecStart={command_line(_enter(unit, program.argv, stays=True))}",
        *_reload(unit),
        *[f"Environment={quoted(f'{key}={value}')}" for key, value in _sorted(program.environment)],
        *[f"{_limit_name(name)}={_limit(limits)}" for name, limits in _sorted(program.limits)],
        *([f"UMask={program.umask:04o}"] if program.umask is not None else []),
        f"SyslogIdentifier={unit.name}",
        "Restart=on-failure",
        f"KillSignal={_signal(unit.stop_signal or 'TERM')}",
        f"TimeoutStopSec={unit.stop_timeout:g}",
        # The main process gets the signal, and what is left of the others is killed after it.
        "KillMode=mixed",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def _sorted(values: t.Mapping[str, _Value]) -> list[tuple[str, _Value]]:
    return sorted(values.items(), key=lambda pair: pair[0])


def _type(unit: Unit) -> list[str]:
    lines = ["Type=exec"]
    if unit.notify_timeout is not None:
        lines = ["Type=notify", f"TimeoutStartSec={unit.notify_timeout:g}"]
    if unit.is_child:
        lines.append("NotifyAccess=main")  # nsctl tells which process is the program
    return lines


def _signal(name: str) -> str:
    word = name.upper()
    return word if word.startswith("SIG") else f"SIG{word}"


def _reload(unit: Unit) -> list[str]:
    if unit.reload_argv:
        return [f"ExecReload={command_line(_enter(unit, unit.reload_argv))}"]
    if unit.reload_signal:
        # kill is a part of every shell, while kill(1) is missing on small hosts.
        name = _signal(unit.reload_signal)[3:]
        return [f'ExecReload=/bin/sh -c "kill -{name} $MAINPID"']
    return []


def _enter(unit: Unit, argv: t.Sequence[str], *, stays: bool = False) -> list[str]:
    """The command line that becomes the program; ``stays`` is for the one that is the service."""
    words = [COMMAND, "exec", unit.namespace]
    if stays:
        words.append("--keep-fds")
    if stays and unit.is_child:
        words.append("--hand-over")
    if unit.joins:
        words += ["--kinds", ",".join(unit.joins)]
    if unit.creates:
        words += ["--new", ",".join(unit.creates)]
    return [*words, *unit.program.words(), "--", *argv]


def _limit_name(name: str) -> str:
    word = name.upper()
    return f"Limit{word[7:] if word.startswith('RLIMIT_') else word}"


def _limit(limits: tuple[int, int]) -> str:
    words = ["infinity" if each == resource.RLIM_INFINITY else str(each) for each in limits]
    return words[0] if words[0] == words[1] else ":".join(words)
