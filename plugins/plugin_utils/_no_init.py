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

import posixpath
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
    "busctl dbus-send deb-systemd-invoke firewall-cmd gdbus halt homectl hostnamectl init initctl"
    " invoke-rc.d kexec localectl loginctl machinectl networkctl nmcli openrc portablectl poweroff"
    " rc-service reboot resolvectl run0 service shutdown sv svc systemctl systemd-mount systemd-run"
    " systemd-umount telinit timedatectl"
)
# Where they lie. A program of the same name elsewhere is another one.
_PLACES = _words("/bin /sbin /usr/bin /usr/sbin /usr/local/bin /usr/local/sbin")
_SCRIPTS = ("/etc/init.d/", "/etc/rc.d/")
# What is written there may restart the machine.
_SYSRQ = re.compile(r"(?:>|\btee\b[^\n;&|]*?)\s*/proc/(sysrq-trigger)\b")
# They only ask the command itself.
_HARMLESS = (["--version"], ["--help"])

# Modules whose arguments are a command, and which arguments.
_RUN = _words("command expect raw shell")
_OF_COMMAND = ("_raw_params", "cmd", "command", "argv")

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
            if isinstance(text, str) and isinstance(arguments.get("stdin"), str):
                text = f"{text} <<<{shlex.quote(arguments['stdin'])}"
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
    # Most commands name none of them, however they write it.
    plain = re.sub(r"\\\n|['\"\\]", "", text)
    written = _SYSRQ.search(plain)
    if written:
        return written[1]
    named = [name for name in (*_COMMANDS, *_SCRIPTS) if name in plain]
    if not named:
        return None
    # Little of what is run inside comes here, and Ansible would compile it for each task.
    from ansible_collections.linux.namespaces.plugins.plugin_utils import _commands_run

    try:
        return next(filter(None, map(_asked, _commands_run.by(text))), None)
    except RecursionError:
        return named[0]  # nobody can say what it runs


def without_manager(result: bytes) -> bytes:
    """The result of a module that does not say that the host's init manages services inside."""
    if b"ansible_service_mgr" not in result:
        return result
    # Ansible has taken it from /run/systemd and /proc/1/comm. It says this where it finds none.
    none = b'"ansible_service_mgr": "service"'
    return re.sub(rb'"ansible_service_mgr": "[^"\\]*"', none, result)


def _asked(words: t.Sequence[str]) -> str | None:
    """What a command itself asks for, by the words that it is called with."""
    path = posixpath.normpath(words[0])
    above, _slash, name = path.rpartition("/")
    if path.startswith(_SCRIPTS):
        return name
    is_ours = "/" not in words[0] or above.replace("//", "/") in _PLACES
    return name if name in _COMMANDS and is_ours and words[1:] not in _HARMLESS else None
