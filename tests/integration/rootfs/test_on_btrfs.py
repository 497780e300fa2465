# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_rootfs on a btrfs, whose open directories do not list what was made since."""

from __future__ import annotations

import os
import pathlib
import subprocess
import typing as t

import pytest
from results import Converge
from trees import pack


@pytest.fixture
def btrfs(tmp_path: pathlib.Path) -> t.Iterator[pathlib.Path]:
    image, place = tmp_path / "image", tmp_path / "btrfs"
    place.mkdir()
    for argv in (
        ["truncate", "-s", "120m", str(image)],
        ["mkfs.btrfs", "-q", str(image)],
        ["mount", "-o", "loop", str(image), str(place)],
    ):
        subprocess.run(argv, check=True)
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_deep_tree_is_replaced_and_removed(
    converge: Converge, btrfs: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    tree = tmp_path / "tree"
    for number in range(30):
        (tree / f"{number}/a/b/c/d").mkdir(parents=True)
        (tree / f"{number}/a/b/c/file").touch()
    first = pack(tree, tmp_path / "first.tar")
    (tree / "new").touch()
    second = pack(tree, tmp_path / "second.tar")
    path = btrfs / "root"
    converge("ns_rootfs", {"path": str(path), "archive": str(first)})
    converge("ns_rootfs", {"path": str(path), "archive": str(second)})
    assert (path / "29/a/b/c/file").exists()
    converge("ns_rootfs", {"path": str(path), "state": "absent"})
    assert os.listdir(btrfs) == []
