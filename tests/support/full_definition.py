# SPDX-License-Identifier: GPL-3.0-or-later
"""A definition in which all is said that one can say."""

from __future__ import annotations

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.layout import (
    PivotNote,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.model import (
    Definition,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.properties import (
    Properties,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.steps import (
    MountStep,
    PivotStep,
    RootStep,
)

_RANGE = {"inside": 0, "outside": 100_000, "count": 65_536}


def full(name: str) -> Definition:
    """It for the namespace of this name."""
    return Definition(
        name,
        Properties(
            kinds=("mnt", "net", "time", "user", "uts"),
            hostname="web",
            id_map={"uid": [_RANGE], "gid": [_RANGE]},
            sysctl={"net.ipv4.ip_forward": "1"},
            time_offsets={"monotonic": 5},
        ),
        steps=(
            MountStep("/srv/web", "web", "tmpfs", ("nosuid", "size=10m"), "private"),
            RootStep(
                "/srv/web", archive="/srv/a.tar", digest="sha256:" + "a" * 64, device_nodes="skip"
            ),
            RootStep("/srv/web/b", directory="/srv/b"),
            PivotStep("/srv/web", "/srv/web/old"),
        ),
        volatile=(MountStep("/data", "/srv/data", "", ("bind",), "", "namespace"),),
        pivoted=(PivotNote("/srv/web", 1 << 40, 77),),
    )
