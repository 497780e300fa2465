# SPDX-License-Identifier: GPL-3.0-or-later
"""Two trees beside each other."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs import two_trees
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.two_trees import Tree

# More than anybody could read.
HUGE = 1 << 43


def holes(*data: tuple[int, bytes], size: int) -> t.Callable[[pathlib.Path], None]:
    def write(path: pathlib.Path) -> None:
        with path.open("wb") as file:
            for offset, each in data:
                file.seek(offset)
                file.write(each)
            file.truncate(size)

    return write


CONTENTS = {
    "nothing": (holes(size=0), holes(size=0), True),
    "equal": (holes((0, b"ab"), size=2), holes((0, b"ab"), size=2), True),
    "other": (holes((0, b"ab"), size=2), holes((0, b"ac"), size=2), False),
    "longer": (holes((0, b"ab"), size=2), holes((0, b"ab"), size=3), False),
    "the last byte of many": (
        holes((0, b"a" * 3_000_001), size=3_000_001),
        holes((0, b"a" * 3_000_000 + b"b"), size=3_000_001),
        False,
    ),
    "holes": (holes(size=HUGE), holes(size=HUGE), True),
    "a hole of zeros": (
        holes(size=1 << 20),
        holes((0, bytes(1 << 20)), size=1 << 20),
        True,
    ),
    "the same beyond a hole": (
        holes((HUGE // 2, b"x"), size=HUGE),
        holes((HUGE // 2, b"x"), size=HUGE),
        True,
    ),
    "other beyond a hole": (
        holes((HUGE // 2, b"x"), size=HUGE),
        holes((HUGE // 2 + 5, b"x"), size=HUGE),
        False,
    ),
    "beyond it in one alone": (holes(size=HUGE), holes((HUGE - 1, b"x"), size=HUGE), False),
}


@pytest.mark.parametrize("case", CONTENTS)
def test_content(case: str, tmp_path: pathlib.Path) -> None:
    one, other, is_equal = CONTENTS[case]
    one(tmp_path / "one")
    other(tmp_path / "other")
    with (tmp_path / "one").open("rb") as first, (tmp_path / "other").open("rb") as second:
        for fds in ((first.fileno(), second.fileno()), (second.fileno(), first.fileno())):
            assert two_trees.has_equal_content(*fds) == is_equal


def test_a_tree_is_found_beneath_its_top_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "top/a/b").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "top/link").symlink_to("a")
    (tmp_path / "top/out").symlink_to(tmp_path / "outside")
    (tmp_path / "top/file").touch()
    with Tree(str(tmp_path / "top")) as tree:
        found = {}
        paths = (
            "",
            "a",
            "a/b",
            "link",
            "link/b",
            "out",
            "../outside",
            "file",
            "missing",
            "a/" * 5000,
        )
        for path in paths:
            with tree.directory(path) as fd:
                found[path] = fd >= 0 and os.listdir(fd)
    there = {"": ["a", "file", "link", "out"], "a": ["b"], "a/b": []}
    assert {path: sorted(names) for path, names in found.items() if names is not False} == there


def test_no_fifo_is_opened(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with (
        Tree(str(tmp_path)) as tree,
        tree.directory("") as fd,
        pytest.raises(OSError, match="not a regular file"),
        two_trees.opened(fd, "fifo"),
    ):
        pass
