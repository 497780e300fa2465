# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The options of a file that a namespace or a service has on the host, and what becomes of them.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import re
import typing as t

from ..definition.host_files import PLACEHOLDER, HostFile
from ..definition.layout import is_below
from ..errors import Refused
from ..mount import resolve
from ..operations.definition_request import WantedFile
from .table import shown

STATES = ("file", "directory")
OPTIONS: dict[str, t.Any] = {
    "dest": {"type": "str", "required": True},
    "content": {"type": "str"},
    "state": {"type": "str", "choices": list(STATES), "default": "file"},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "raw"},
    "validate": {"type": "list", "elements": "str"},
}
LIST: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "options": OPTIONS,
    "default": [],
}
_MODE = re.compile("0?[0-7]{3}|0?[0-7]{4}")
MODES = {"file": "0644", "directory": "0755"}
# What becomes a part of the home of a namespace by itself: see definition/root.py.
_TAKEN = ("rootfs", "upper", "work", "dev", "root", ".linux-namespaces.home")


def wanted(params: t.Mapping[str, t.Any], home: str, service: str = "") -> WantedFile:
    """The file that the options describe; ``service`` reads it. Raises Refused."""
    dest = resolve.checked_absolute(params["dest"], option="dest")
    if not is_below(dest, home) or dest == home:
        raise Refused(
            f"dest is {dest}, which is not below {home}",
            "Files of a namespace lie in its home, and go with it.",
        )
    if is_of_root(dest, home):
        raise Refused(f"dest is {dest}, where its root is", "Name another directory of the home.")
    is_directory = params["state"] == "directory"
    if is_directory and (params["content"] is not None or params["validate"]):
        raise Refused(f"{dest} is a directory, which has no content", "Leave out what a file has.")
    if not is_directory and params["content"] is None:
        raise Refused(f"{dest} has no content", "Give content, or state: directory.")
    validate = tuple(params["validate"] or ())
    if validate and not any(PLACEHOLDER in word for word in validate):
        raise Refused(
            f"validate of {dest} does not say where the file goes",
            f"Write {PLACEHOLDER} for the path of what is to be looked at.",
        )
    for option in ("owner", "group"):
        if not params[option] or "\0" in params[option]:
            raise Refused(f"{option} is {shown(params[option])}, which is no name")
        if params[option].isdecimal() and not _is_id(params[option]):
            raise Refused(f"{option} is {shown(params[option])}, which is no id")
    file = HostFile(
        dest,
        _mode_of(params["mode"], params["state"]),
        params["owner"],
        params["group"],
        is_directory,
        service,
        validate,
    )
    return WantedFile(file, (params["content"] or "").encode("utf-8", "surrogateescape"))


def is_of_root(path: str, home: str) -> bool:
    """Whether the path is one of those below a home that its root is made of. Pure."""
    return is_below(path, home) and path[len(home) + 1 :].partition("/")[0] in _TAKEN


def _is_id(digits: str) -> bool:
    # (uid_t)-1 is none.
    return digits.isascii() and len(digits) <= 10 and int(digits) < (1 << 32) - 1


def _mode_of(given: t.Any, state: str) -> int:
    if given is None:
        given = MODES[state]
    if not isinstance(given, str) or not _MODE.fullmatch(given):
        raise Refused(
            f"mode is {shown(given)}, which is no mode", "Write it as a text, such as '0644'."
        )
    return int(given, 8)
