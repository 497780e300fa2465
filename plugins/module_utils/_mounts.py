# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A mount as an option of a module: by itself, or in a list of mounts.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from . import _module
from ._core import redact
from ._core.definition import steps
from ._core.errors import Refused
from ._core.mount import options
from ._core.mount.wanted import WantedMount

MOUNT_OPTIONS: dict[str, t.Any] = {
    "path": {"type": "str"},
    "src": {"type": "str", "default": ""},
    "fstype": {"type": "str", "default": ""},
    "opts": {"type": "list", "elements": "str", "default": []},
    "propagation": {"type": "str", "choices": list(steps.PROPAGATIONS)},
    "src_in": {"type": "str", "choices": list(steps.PLACES_OF_SOURCES), "default": "host"},
    "state": {
        "type": "str",
        "choices": ["mounted", "remounted", "unmounted"],
        "default": "mounted",
    },
}
LIST_OPTION: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "options": {**MOUNT_OPTIONS, "path": {"type": "str", "required": True}},
}


def _mask_opts(given: t.Any) -> t.Any:
    try:
        return redact.words(options.split_words(given))
    except (AttributeError, Refused, TypeError):
        return redact.MASK


def _mask_mounts(given: t.Any) -> t.Any:
    if not isinstance(given, list):
        return redact.MASK
    return [
        _module.masked(each, MOUNT_OPTIONS, MASKS) if isinstance(each, dict) else redact.MASK
        for each in given
    ]


# How these are logged, with what nobody has checked yet.
MASKS: dict[str, _module.Mask] = {
    "src": lambda given: redact.address(str(given)),
    "opts": _mask_opts,
    "mounts": _mask_mounts,
}


def wanted_mount(params: t.Mapping[str, t.Any]) -> WantedMount:
    """The mount that MOUNT_OPTIONS describe. Raises Refused."""
    return WantedMount(
        path=params["path"],
        src=params["src"],
        fstype=params["fstype"],
        words=tuple(options.split_words(params["opts"])),
        propagation=params["propagation"] or "",
        src_in=params["src_in"],
        state=params["state"],
    ).checked()
