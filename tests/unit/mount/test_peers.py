# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether taking mounts away would reach mounts elsewhere."""

from __future__ import annotations

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import peers, table

BELOW = "3 2 0:9 / /v/sub rw - tmpfs x rw"
TREE = f"2 1 8:1 /d /v rw shared:7 - ext4 /dev/a rw\n{BELOW}"


@pytest.mark.parametrize(
    ("here", "elsewhere", "reached"),
    [
        # Nothing is mounted below it, or on nothing that is shared.
        ("1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:1 /d /v rw shared:7 - ext4 /dev/a rw",
         "9 8 8:1 / / rw shared:7 - ext4 /dev/a rw", False),
        (f"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:1 /d /v rw - ext4 /dev/a rw\n{BELOW}",
         "9 8 8:1 / / rw shared:7 - ext4 /dev/a rw", False),
        # Its source is a peer, here or elsewhere.
        (f"1 0 8:1 / / rw shared:7 - ext4 /dev/a rw\n{TREE}", "", True),
        (f"1 0 8:1 / / rw - ext4 /dev/a rw\n{TREE}", "9 8 8:1 / / rw shared:7 - ext4 /dev/a rw", True),
        (f"1 0 8:1 / / rw - ext4 /dev/a rw\n{TREE}", "9 8 8:1 /d /v rw shared:7 - ext4 /dev/a rw", True),
        # A mirror of it, as of what it is mounted on.
        (f"1 0 8:1 / / rw shared:1 - ext4 /dev/a rw\n{TREE}",
         "9 8 8:1 /d /v rw shared:7 - ext4 /dev/a rw", False),
        # Who only receives from it is meant to.
        (f"1 0 8:1 / / rw - ext4 /dev/a rw\n{TREE}",
         "9 8 8:1 / / rw master:7 - ext4 /dev/a rw", False),
    ],
)  # fmt: skip
def test_reach_elsewhere(here: str, elsewhere: str, reached: bool) -> None:
    there = table.Table(table.parse(here))
    found = peers.reach_elsewhere(there.by_id[2], there, table.parse(elsewhere))
    assert found == reached
