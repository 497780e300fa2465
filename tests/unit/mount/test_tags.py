# SPDX-License-Identifier: GPL-3.0-or-later
"""Of several devices with the same content, those that others are made of do not count."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.tags import (
    without_parts,
)

# Two paths to a disk, a multipath device of both with a partition of it, and a disk by itself.
TREE = ("sda/sda1/partition", "sdb/sdb1/partition", "sdc/slaves/none", "dm-0/slaves/sda",
        "dm-0/slaves/sdb", "dm-1/slaves/dm-0")  # fmt: skip


@pytest.mark.parametrize(
    ("found", "left"),
    [
        (["sda", "sdb"], ["sda", "sdb"]),
        (["sda", "sdb", "dm-0"], ["dm-0"]),
        (["sda1", "sdb1", "dm-1"], ["dm-1"]),
        (["dm-0", "dm-1"], ["dm-1"]),
        (["sda1", "sdc", "dm-1"], ["sdc", "dm-1"]),
        (["sda1", "sdb1"], ["sda1", "sdb1"]),
        (["sdc", "gone"], ["sdc", "gone"]),
    ],
)
def test_without_parts(found: list[str], left: list[str], tmp_path: pathlib.Path) -> None:
    for each in TREE:
        (tmp_path / "devices" / each).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "devices" / each).touch()
    block = tmp_path / "block"
    block.mkdir()
    for name, place in (
        ("sda", "sda"), ("sda1", "sda/sda1"), ("sdb", "sdb"), ("sdb1", "sdb/sdb1"),
        ("sdc", "sdc"), ("dm-0", "dm-0"), ("dm-1", "dm-1"),
    ):  # fmt: skip
        (block / name).symlink_to(tmp_path / "devices" / place)
    assert without_parts(found, str(block)) == set(left)
