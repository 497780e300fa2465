# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A mount as an option of a module: by itself, or in a list of mounts.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ._core.mount import options
from ._core.mount.wanted import WantedMount

MOUNT_OPTIONS: dict[str, t.Any] = {
    "path": {"type": "str"},
    "src": {"type": "str", "default": ""},
    "fstype": {"type": "str", "default": ""},
    "opts": {"type": "list", "elements": "str", "default": []},
    "propagation": {
        "type": "str",
        "choices": [
            "private",
            "slave",
            "shared",
            "unbindable",
            "rprivate",
            "rslave",
            "rshared",
            "runbindable",
        ],
    },
    "src_in": {"type": "str", "choices": ["host", "namespace"], "default": "host"},
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
