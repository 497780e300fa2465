# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The options of a root file system, and what becomes of them.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import re
import typing as t

from ..definition.steps import DEVICE_NODES
from ..errors import Refused
from ..mount import resolve
from ..namespace.target import Target
from ..rootfs.sources import table
from .table import shown

if t.TYPE_CHECKING:
    from ..namespace.id_map import IdMaps
    from ..rootfs.request import RootRequest

# One of them says what a root comes from.
SOURCES = list(table.SOURCES)
# As Ansible has sizes: units are powers of 1024.
_SIZE = re.compile(r"\s*(\d{1,20}(?:\.\d{1,20})?)\s*([kmgtpe]?)(?:B|iB|bytes?)?\s*", re.IGNORECASE)
OPTIONS: dict[str, t.Any] = {
    "path": {"type": "str", "required": True},
    "archive": {"type": "path"},
    "image": {"type": "str"},
    "platform": {"type": "str"},
    "authfile": {"type": "path"},
    "tls_verify": {"type": "bool", "default": True},
    "directory": {"type": "path"},
    "bootstrap": {
        "type": "dict",
        "options": {
            "suite": {"type": "str", "required": True},
            "packages": {"type": "list", "elements": "str", "default": []},
            "mirror": {"type": "str"},
            "variant": {"type": "str", "default": "minbase"},
            "components": {"type": "list", "elements": "str", "default": []},
        },
    },
    "digest": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "force": {"type": "bool", "default": False},
    "reachable": {"type": "bool", "default": False},
    "size_limit": {"type": "str"},
    "id_map": {"type": "raw"},
    "device_nodes": {"type": "str", "choices": list(DEVICE_NODES), "default": "keep"},
    "persistent": {"type": "bool"},
}


def request_of(
    params: t.Mapping[str, t.Any], target: Target, *, lock_timeout: float
) -> RootRequest:
    """The checked request that the options make. Raises Refused."""
    # 12 ms to compile, for a namespace without a root of its own.
    from ..operations import rootfs
    from ..rootfs.request import RootRequest
    from ..rootfs.rules import Rules

    size_limit = _bytes_of(params["size_limit"])
    if params["authfile"]:
        resolve.checked_absolute(params["authfile"], option="authfile")
    source = None
    if params["state"] != "absent":
        source = table.of_options({**params, "size_limit": size_limit})
    return rootfs.checked(
        RootRequest(
            target=target,
            path=params["path"],
            source=source,
            digest=params["digest"] or "",
            force=params["force"],
            reachable=params["reachable"],
            rules=Rules(size_limit, params["device_nodes"], _id_maps_of(params["id_map"])),
            persistent=params["persistent"],
            lock_timeout=lock_timeout,
        )
    )


def _bytes_of(size: str | None) -> int:
    if size is None:
        return 0
    found = _SIZE.fullmatch(size)
    if found is None:
        raise Refused(
            f"size_limit {shown(size)} is no size",
            "Write a number of bytes, or as in 2G or 1.5 GB.",
        )
    power = " kmgtpe".index((found[2] or " ").lower())
    number = int(float(found[1]) * (1 << 10 * power))
    if number <= 0:
        raise Refused(f"size_limit must be more than nothing, not {size}")
    return number


def _id_maps_of(wanted: t.Any) -> IdMaps | None:
    if wanted is None:
        return None
    # 3 ms to compile, for what most roots do not have.
    from ..namespace import id_map

    return id_map.parse(wanted, id_map.Caller.of_this_process())
