# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The options of a mount: of ns_mount, and of each in a list of mounts.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..definition.steps import PLACES_OF_SOURCES, PROPAGATIONS
from ..mount import options
from ..mount.wanted import WantedMount

OPTIONS: dict[str, t.Any] = {
    "path": {"type": "str"},
    "src": {"type": "str", "default": ""},
    "fstype": {"type": "str", "default": ""},
    "opts": {"type": "list", "elements": "str", "default": []},
    "propagation": {"type": "str", "choices": list(PROPAGATIONS)},
    "src_in": {"type": "str", "choices": list(PLACES_OF_SOURCES), "default": "host"},
    "state": {
        "type": "str",
        "choices": ["mounted", "remounted", "unmounted"],
        "default": "mounted",
    },
}
LIST: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "options": {**OPTIONS, "path": {"type": "str", "required": True}},
}


def wanted(params: t.Mapping[str, t.Any]) -> WantedMount:
    """The mount that the options describe. Raises Refused."""
    return WantedMount(
        path=params["path"],
        src=params["src"],
        fstype=params["fstype"],
        words=tuple(options.split_words(params["opts"])),
        propagation=params["propagation"] or "",
        src_in=params["src_in"],
        state=params.get("state", "mounted"),
    ).checked()
