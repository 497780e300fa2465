# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What systemd says of a unit, by busctl(1).

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import typing as t

from .. import host_paths
from ..errors import Refused
from ..printable import in_sentence

_PLACE = "org.freedesktop.systemd1"
_MANAGER = "/org/freedesktop/systemd1"
_HINT = "`systemctl list-units --type=service` names those that there are."

Properties = dict[str, t.Any]


def unit(name: str) -> tuple[str, Properties, Properties]:
    """The full name of a service, its properties, and those of the manager. Raises Refused."""
    if shutil.which("busctl") is None or not os.path.isdir(host_paths.SYSTEMD):
        raise Refused("systemd does not run this host", "Name a process with --pid.")
    name = name if "." in name else f"{name}.service"
    if not name.endswith(".service"):
        raise Refused(f"{name} is no service", _HINT)
    path = _called(_MANAGER, f"{_PLACE}.Manager", "LoadUnit", "s", name)
    said = _properties(path, "Unit")
    if said.get("LoadState") != "loaded":
        raise Refused(f"unit {name} is {said.get('LoadState')} on this host", _HINT)
    return name, {**said, **_properties(path, "Service")}, _properties(_MANAGER, "Manager")


def _properties(path: str, interface: str) -> Properties:
    words = "org.freedesktop.DBus.Properties", "GetAll", "s", f"{_PLACE}.{interface}"
    return {key: value["data"] for key, value in _called(path, *words).items()}


def _called(*words: str) -> t.Any:
    """The first of what the method answers."""
    done = subprocess.run(
        ["busctl", "--json=short", "--no-pager", "call", "--", _PLACE, *words],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
    )
    try:
        if not done.returncode:
            return json.loads(done.stdout)["data"][0]
    except (ValueError, LookupError, TypeError) as error:
        raise Refused(f"busctl answers what is no answer: {error}") from error
    why = in_sentence(done.stderr.strip()) or f"busctl ends with {done.returncode}"
    raise Refused(f"systemd does not say what the unit is: {why}", _HINT)
