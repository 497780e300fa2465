# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What speaks to an init, or to a daemon of the host: a namespace has none of its own.

Inside it reaches the host's, over a socket below /run or by reboot(2). Known by the names of
modules and commands, so it is a guard against mistakes. Pure; Ansible compiles it for each task
inside a namespace.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import re
import shlex
import typing as t


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The last part of their names: ansible.builtin, ansible.legacy and collections have them.
MODULES = _words(
    "firewalld homectl hostname nmcli nosh ns_service openrc reboot runit service shutdown"
    " simpleinit_msb svc systemd systemd_service sysvinit timezone"
)
_COMMANDS = _words(
    "busctl firewall-cmd halt homectl hostnamectl init initctl invoke-rc.d kexec localectl loginctl"
    " machinectl nmcli poweroff rc-service reboot service shutdown sv svc systemctl systemd-run"
    " telinit timedatectl"
)
_SCRIPTS = ("/etc/init.d/", "/etc/rc.d/")

# Modules whose arguments are a command, and which arguments.
_RUN = _words("command expect raw shell")
_OF_COMMAND = ("_raw_params", "cmd", "command", "argv")

_SHELLS = _words("ash bash busybox csh dash ksh runuser sh su tcsh zsh")
# They run the command that their words end with; so do words of the shell.
_BEFORE = _words("doas env exec ionice nice nohup setsid stdbuf sudo time timeout xargs")
_OF_SHELL = _words("! do elif else if then until while {")
_PUNCTUATION = frozenset("();<>|&")

# How each supported Ansible names the module in what it sends to Python, and in a file.
_PAYLOAD = b"module_fqn='"
_FILE = "AnsiballZ_"

# For the systemctl(1) that packages and scripts run: it changes files, and asks no daemon.
OFFLINE = "export SYSTEMD_OFFLINE=1; "


def of_task(action: str, arguments: t.Mapping[str, t.Any]) -> str | None:
    """What a task asks an init for, by its name; None if for nothing."""
    found = _module(action)
    if found is None and action.rpartition(".")[2] in _RUN:
        for key in _OF_COMMAND:
            given = arguments.get(key)
            text = shlex.join(map(str, given)) if isinstance(given, list) else given
            found = of_command(text) if isinstance(text, str) else None
            if found:
                break
    return found


def of_payload(data: bytes) -> str | None:
    """The same of a module that is sent to Python."""
    begin = data.find(_PAYLOAD) + len(_PAYLOAD)
    found = begin >= len(_PAYLOAD)
    return (
        _module(data[begin : data.find(b"'", begin)].decode("ascii", "replace")) if found else None
    )


def of_file(path: str) -> str | None:
    """The same of a module that is copied to ``path``."""
    name = path.rpartition("/")[2]
    return _module(name[len(_FILE) :].partition(".")[0]) if name.startswith(_FILE) else None


def _module(name: str) -> str | None:
    last = name.rpartition(".")[2]
    return last if last in MODULES else None


def of_command(text: str) -> str | None:
    """The same of a command of the shell. What a script or a variable hides is not seen."""
    if not any(name in text for name in (*_COMMANDS, *_SCRIPTS)):
        return None
    try:
        lexer = shlex.shlex(re.sub(r"[\n`]", ";", text), posix=True, punctuation_chars=True)
        lexer.whitespace_split, lexer.commenters = True, ""
        words = list(lexer)
    except ValueError:
        words = text.split()
    for command in _commands(words):
        found = _of_words(command)
        if found:
            return found
    return None


def without_manager(result: bytes) -> bytes:
    """The result of a module that does not say that the host's init manages services inside."""
    if b"ansible_service_mgr" not in result:
        return result
    # Ansible has taken it from /run/systemd and /proc/1/comm. It says this where it finds none.
    none = b'"ansible_service_mgr": "service"'
    return re.sub(rb'"ansible_service_mgr": "[^"\\]*"', none, result)


def _commands(words: t.Iterable[str]) -> t.Iterator[list[str]]:
    """The simple commands of a list, without redirections."""
    command: list[str] = []
    skip = False
    for word in words:
        if word and _PUNCTUATION.issuperset(word):
            skip = bool({"<", ">"} & set(word))
            if not skip:
                yield command
                command = []
        elif not skip:
            command.append(word)
        else:
            skip = False
    yield command


def _of_words(words: list[str]) -> str | None:
    """What a simple command asks for, through whatever stands before it."""
    may_be_value = False
    for index, word in enumerate(words):
        name = word.rpartition("/")[2]
        if name in _COMMANDS or word.startswith(_SCRIPTS):
            return name
        if name in _SHELLS:
            inner = (each for each in words[index + 1 :] if each[:1] != "-")
            return next(filter(None, map(of_command, inner)), None)
        if name in _BEFORE or word in _OF_SHELL or _is_assignment(word):
            continue
        # An option of what stands before, its value, or a duration.
        is_option = word.startswith("-")
        if not (index and (is_option or may_be_value or word[:1].isdigit())):
            return None
        may_be_value = is_option
    return None


def _is_assignment(word: str) -> bool:
    name, equals, _value = word.partition("=")
    return bool(equals) and name.isidentifier()
