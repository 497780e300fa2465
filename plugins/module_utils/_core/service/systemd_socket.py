# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The unit that holds the sockets of a service of systemd, beside the unit of that.

systemd opens them, in the net namespace of the service, and keeps them open whatever becomes of the program.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from .. import host_paths
from ..definition.service import ServiceSpec
from ..install import systemctl
from ..namespace import pins
from ..storage import atomic, removal
from . import systemd_unit
from .model import Coming

_ACTIVE = ("active", "reloading", "activating")
_NET = "net"


class SocketUnit(t.NamedTuple):
    """The unit as it is."""

    # Of the file; empty where there is none.
    text: str
    # The sockets are open.
    is_open: bool
    # systemd has not read the file since it was written.
    is_stale: bool


NONE = SocketUnit("", False, False)


def name_of(namespace: str, name: str) -> str:
    """The unit of the sockets of a service."""
    return systemd_unit.socket_unit_name(namespace, name)


def look(namespace: str, name: str) -> SocketUnit:
    """What there is of it; one that somebody else has written is none. Raises SystemctlFailed, OSError."""
    unit = name_of(namespace, name)
    text = _text_of(unit)
    if not text:
        return NONE
    shown = ""
    if systemctl.runs_here():
        shown = systemctl.run("show", "--property", "ActiveState,NeedDaemonReload", unit)
    facts = dict(line.partition("=")[::2] for line in shown.splitlines())
    is_open = facts.get("ActiveState") in _ACTIVE
    return SocketUnit(text, is_open, facts.get("NeedDaemonReload") == "yes")


def wanted_text(spec: ServiceSpec, coming: Coming | None, *, persistent: bool, seen: str) -> str:
    """Its file as it is to be; ``seen`` is what it is, of which a namespace that is down keeps the net."""
    return systemd_unit.socket_text(
        spec, net=_net_of(spec.namespace, coming, seen), persistent=persistent
    )


def _net_of(namespace: str, coming: Coming | None, seen: str) -> str:
    """The name of its pin of the net namespace; empty where it has that of the host."""
    shared = pins.shared(namespace)
    owner = shared[_NET][0] if _NET in shared else ""
    known: t.Collection[str] = {*pins.files(namespace), *shared}
    if coming is not None:
        owner, known = coming.net_of or owner, coming.kinds
    if not known:
        mark = f"NetworkNamespacePath={host_paths.BASE}/{namespace}/"
        return "".join(line[len(mark) :] for line in seen.splitlines() if line.startswith(mark))
    if _NET not in known:
        return ""
    return os.path.basename(pins.shared_path(namespace, _NET, owner)) if owner else _NET


def write(namespace: str, name: str, text: str) -> None:
    """Have it as it is to be, once systemd has read that. Raises OSError."""
    unit = name_of(namespace, name)
    if text:
        atomic.write(_path(unit), text, mode=0o644)
    elif _text_of(unit):
        atomic.remove(_path(unit))


def is_there(namespace: str, name: str) -> bool:
    """Whether remove() has something to do."""
    unit = name_of(namespace, name)
    return bool(_text_of(unit)) or os.path.lexists(atomic.beside_of(_path(unit)))


def remove(namespace: str, name: str) -> None:
    """Remove its file, and the drop-ins of others; one that somebody else has written stays. Raises OSError."""
    unit = name_of(namespace, name)
    if is_there(namespace, name):
        removal.remove_path(host_paths.drop_ins(unit))
        atomic.remove(_path(unit))


def _text_of(unit: str) -> str:
    """That of its file, where it is one of ours; else empty."""
    try:
        with open(_path(unit), encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except FileNotFoundError:
        return ""
    return text if text.startswith(systemd_unit.MARK) else ""


def _path(unit: str) -> str:
    return f"{host_paths.UNITS}/{unit}"
