# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A root file system as the options of ns_rootfs describe it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.text.formatters import human_to_bytes

from . import _module
from ._core import redact
from ._core.errors import Refused
from ._core.operations import rootfs
from ._core.rootfs.request import RootRequest
from ._core.rootfs.rules import Rules
from ._core.rootfs.sources import reference, table

if t.TYPE_CHECKING:
    from ._core.namespace.id_map import IdMaps

# One of them says what a root comes from.
SOURCES = list(table.SOURCES)


def _mask_bootstrap(given: t.Any) -> t.Any:
    if not isinstance(given, dict):
        return redact.MASK
    mirror = given.get("mirror")
    return {**given, "mirror": mirror and redact.address(str(mirror))}


# How they are logged: those that hold a password are refused.
MASKS: dict[str, _module.Mask] = {
    "image": lambda given: reference.shown(str(given)),
    "bootstrap": _mask_bootstrap,
}


def request_of(params: t.Mapping[str, t.Any]) -> RootRequest:
    """The checked request that the options make. Raises Refused."""
    size_limit = _bytes_of(params["size_limit"])
    source = None
    if params["state"] != "absent":
        source = table.of_options({**params, "size_limit": size_limit})
    return rootfs.checked(
        RootRequest(
            target=_module.target_of(params),
            path=params["path"],
            source=source,
            digest=params["digest"] or "",
            force=params["force"],
            reachable=params["reachable"],
            rules=Rules(size_limit, params["device_nodes"], _id_maps_of(params["id_map"])),
            persistent=params["persistent"],
            lock_timeout=_module.LOCK_TIMEOUT,
        )
    )


def _bytes_of(size: str | None) -> int:
    if size is None:
        return 0
    try:
        number = int(human_to_bytes(size))
    except (ValueError, OverflowError) as error:
        raise Refused(f"size_limit: {error}", "Write a number of bytes, or as in 2G.") from error
    if number <= 0:
        raise Refused(f"size_limit must be more than nothing, not {size}")
    return number


def _id_maps_of(wanted: t.Any) -> IdMaps | None:
    if wanted is None:
        return None
    # 3 ms to compile, for what most roots do not have.
    from ._core.namespace import id_map

    return id_map.parse(wanted, id_map.Caller.of_this_process())
