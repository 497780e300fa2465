# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the kernel's log, and of /proc/cgroups, is about a mount that failed."""

from __future__ import annotations

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.explain import (
    cgroups,
    kernel_words,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import kernel_log
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls.kernel_log import Line

LINES = [
    Line(6, "loop3: detected capacity change from 0 to 20480"),
    Line(3, "EXT4-fs (loop4): VFS: Can't find ext4 filesystem"),
    Line(3, "EXT4-fs: journaled quota format not specified"),
    Line(3, "BTRFS error (device loop3 state S): open_ctree failed: -22"),
    Line(4, "XFS (loop3): Filesystem has duplicate UUID"),
    Line(6, "BTRFS info (device loop3): first mount"),
    Line(3, "overlayfs: missing 'lowerdir'"),
    Line(3, "overlayfs: missing 'lowerdir'"),
    Line(3, "I/O error, dev loop3, sector 0"),
    Line(3, "I/O error, dev loop31, sector 0"),
]


@pytest.mark.parametrize(
    ("fstype", "device", "found"),
    [
        ("ext4", "loop4", ["EXT4-fs (loop4): VFS: Can't find ext4 filesystem",
                           "EXT4-fs: journaled quota format not specified"]),
        ("ext2", "loop9", ["EXT4-fs: journaled quota format not specified"]),
        ("btrfs", "loop3", ["BTRFS error (device loop3 state S): open_ctree failed: -22",
                            "I/O error, dev loop3, sector 0"]),
        ("overlay", "", ["overlayfs: missing 'lowerdir'"]),
        ("tmpfs", "", []),
    ],
)  # fmt: skip
def test_which_lines_are_about_it(fstype: str, device: str, found: list[str]) -> None:
    assert kernel_words.about(LINES, fstype=fstype, device=device) == found


def test_warnings_count_where_there_is_no_error() -> None:
    lines = [line for line in LINES if line.text.startswith("XFS")]
    found = kernel_words.about(lines, fstype="xfs", device="loop3")
    assert found == ["XFS (loop3): Filesystem has duplicate UUID"]


def test_lines_are_printable_and_short() -> None:
    found = kernel_words.about([Line(3, "erofs: \x1b[31m" + "x" * 1000)], fstype="erofs", device="")
    assert found[0].startswith("erofs: \\x1b[31mxxx")
    assert found[0].endswith("x...")
    assert len(found[0]) == 303


@pytest.mark.parametrize(
    ("record", "line"),
    [
        ("3,1186,7423,-;overlayfs: x\n SUBSYSTEM=y\n", Line(3, "overlayfs: x")),
        ("6,1,2,c,caller=T1;a;b\n", Line(6, "a;b")),
        ("12,1,2,-;written by a program\n", None),
        ("nonsense", None),
        ("x,1,2,-;text", None),
        ("", None),
    ],
)
def test_records(record: str, line: Line | None) -> None:
    assert kernel_log.parse(record) == line


def test_hierarchies() -> None:
    text = (
        "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"
        "cpu\t1\t1\t1\ncpuacct\t1\t1\t1\nmemory\t0\t9\t1\nhugetlb\t0\t1\t0\n"
    )
    assert cgroups.of_controllers(text) == {"cpu": 1, "cpuacct": 1, "memory": 0}
