# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new mount is made with beside what is asked for."""

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import build

ROW = "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw"


@pytest.mark.parametrize(
    ("table", "flags"),
    [
        (f"{ROW},nsdelegate,memory_recursiveprot\n", ["nsdelegate", "memory_recursiveprot"]),
        (f"{ROW}\n", []),
        ("40 31 0:37 / /mnt rw - tmpfs x rw,size=1k\n", []),
    ],
)
def test_cgroup2_keeps_its_flags(table: str, flags: list[str], tmp_path: pathlib.Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1/mountinfo").write_text(table, encoding="utf-8")
    proc = os.open(tmp_path, os.O_PATH)
    try:
        assert build.flags_of_cgroup2(proc) == [(flag, None) for flag in flags]
    finally:
        os.close(proc)
