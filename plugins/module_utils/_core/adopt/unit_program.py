# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The program of a service of systemd, as a service of a named namespace.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import re
import typing as t

from ..process import capabilities, signals
from .adopted import Adopted

_LIMITS = (
    "NOFILE", "NPROC", "CORE", "MEMLOCK", "STACK", "FSIZE", "AS", "CPU", "DATA", "RSS", "MSGQUEUE",
    "NICE", "RTPRIO", "RTTIME", "SIGPENDING",
)  # fmt: skip
_RESTARTS = {"no": "never", "on-failure": "on-failure", "always": "always"}
_INFINITY = (1 << 64) - 1
_SECOND = 1_000_000
_MOST_NAME = 64
_ROOT = ("", "root", "0")

Properties = t.Mapping[str, t.Any]


def add(found: Adopted, unit: str, said: Properties, defaults: Properties) -> None:
    """Take over the program of the unit, with what it runs as."""
    what = f"the service of {unit}"
    commands: t.Sequence[t.Any] = said.get("ExecStart") or []
    if len(commands) != 1:
        found.leave(
            f"ExecStart= of {unit}", f"it has {len(commands)} programs, and a service has one"
        )
        return
    kind = said.get("Type", "simple")
    if kind in ("forking", "oneshot", "dbus"):
        found.leave(f"Type={kind} of {unit}", "a service is up while its program runs")
    program, words = commands[0][:2]
    if not words or words[0] != program:
        found.leave(f"ExecStart= of {unit}", f"that {program} is to be called by another name")
    notifies = kind.startswith("notify")
    if notifies and said.get("NotifyAccess") in ("all", "exec"):
        found.leave(f"NotifyAccess= of {unit}", "only its main process can say that it is ready")
        notifies = False
    flags = _flags_of(said)
    argv = [program, *_expanded(found, unit, words[1:], flags)]
    if {"privileged", "no-setuid"} & {*flags}:
        found.leave(f"ExecStart= of {unit}", "that it starts with more rights than its user has")
    service: dict[str, t.Any] = {"name": _name_of(unit), "argv": argv}
    service.update(_identity(found, unit, said))
    environment = dict(each.partition("=")[::2] for each in said.get("Environment") or ())
    limits = {name.lower(): _limit(said, defaults, name) for name in _LIMITS}
    service.update(
        {
            "environment": environment,
            "no_new_privs": bool(said.get("NoNewPrivileges")),
            "limits": {name: text for name, text in limits.items() if text},
            "ready": {"notify": True} if notifies else None,
            "reload": _reload(found, unit, said),
            **_end(said),
            **_restart(found, unit, said),
        }
    )
    found.add_service({key: value for key, value in service.items() if value}, what)


def _name_of(unit: str) -> str:
    """The unit's name as one that a service can have."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", unit.removesuffix(".service")).lstrip("-._")
    return name.rstrip("-")[:_MOST_NAME] or "service"


def _flags_of(said: Properties) -> t.Sequence[str]:
    extended = said.get("ExecStartEx") or []
    flags: t.Sequence[str] = extended[0][2] if extended else []
    return flags


def _expanded(
    found: Adopted, unit: str, words: t.Sequence[str], flags: t.Sequence[str]
) -> list[str]:
    if "no-env-expand" in flags:
        return [*words]
    if any("$" in word.replace("$$", "") for word in words):
        found.leave(
            f"variables in ExecStart= of {unit}", "argv is taken as it is: name their values"
        )
    return [word.replace("$$", "$") for word in words]


def _identity(found: Adopted, unit: str, said: Properties) -> dict[str, t.Any]:
    identity: dict[str, t.Any] = {}
    for word, option in (("User", "user"), ("Group", "group")):
        identity[option] = said.get(word)
    identity["groups"] = said.get("SupplementaryGroups")
    directory = (said.get("WorkingDirectory") or "").lstrip("!-")
    if directory == "~":
        found.leave(f"WorkingDirectory=~ of {unit}", "name the directory")
    else:
        identity["chdir"] = directory
    bounding = said.get("CapabilityBoundingSet", _INFINITY)
    ambient = said.get("AmbientCapabilities", 0)
    if said.get("User", "") in _ROOT:
        if not _is_every(bounding):
            identity["capabilities"] = capabilities.names_of(bounding & _EVERY)
    elif ambient:
        identity["capabilities"] = capabilities.names_of(ambient & _EVERY)
    return identity


_EVERY = (1 << len(capabilities.NAMES)) - 1


def _is_every(mask: int) -> bool:
    return mask & _EVERY == _EVERY


def _limit(said: Properties, defaults: Properties, name: str) -> str:
    """The limit, where it is another than systemd gives to all."""
    pair = [said.get(f"Limit{name}Soft"), said.get(f"Limit{name}")]
    default = [defaults.get(f"DefaultLimit{name}Soft"), defaults.get(f"DefaultLimit{name}")]
    if None in pair or pair == default or default == [None, None]:
        return ""
    soft, hard = ("unlimited" if number == _INFINITY else str(number) for number in pair)
    return soft if soft == hard else f"{soft}:{hard}"


def _reload(found: Adopted, unit: str, said: Properties) -> dict[str, t.Any] | None:
    if said.get("Type") == "notify-reload":
        return {"signal": signals.word_of(str(said.get("ReloadSignal", 1)))}
    commands: t.Sequence[t.Any] = said.get("ExecReload") or []
    if not commands:
        return None
    words = list(commands[0][1])
    if len(commands) == 1 and words[0].endswith("/kill") and words[-1] == "$MAINPID":
        flag = [word.lstrip("-") for word in words[1:-1] if word not in ("-s", "--signal")]
        return {"signal": flag[0] if flag else "TERM"}
    if len(commands) == 1 and not any("$" in word for word in words):
        return {"argv": words}
    found.leave(f"ExecReload= of {unit}", "one program without variables, or a signal: see reload")
    return None


def _end(said: Properties) -> dict[str, t.Any]:
    number, timeout = said.get("KillSignal", 15), said.get("TimeoutStopUSec", 0)
    return {
        "stop_signal": signals.word_of(str(number)) if number != 15 else None,
        "stop_timeout": timeout / _SECOND if 0 < timeout < _INFINITY else None,
    }


def _restart(found: Adopted, unit: str, said: Properties) -> dict[str, t.Any]:
    word = said.get("Restart", "no")
    condition = _RESTARTS.get(word)
    if condition is None:
        found.leave(f"Restart={word} of {unit}", "one of on-failure, always, never")
        return {}
    return {"restart_policy": {"condition": condition}}
