# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import pathlib
import threading

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.service import log_writer


def parts(path: pathlib.Path) -> dict[str, str]:
    return {each.name: each.read_text() for each in sorted(path.parent.iterdir())}


def test_parts_within_limits(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "web.log"
    for number in range(10):
        log_writer.append(str(path), b"%d\n" % number * 3, limit=6, kept=2)
    assert parts(path) == {
        "web.log": "9\n9\n9\n",
        "web.log.1": "8\n8\n8\n",
        "web.log.2": "7\n7\n7\n",
    }


def test_what_is_longer_than_a_part_is_one(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "web.log"
    for text in (b"first\n", b"much longer\n", b"last\n"):
        log_writer.append(str(path), text, limit=8, kept=1)
    assert parts(path) == {"web.log": "last\n", "web.log.1": "much longer\n"}


def test_several_at_once_lose_nothing(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "web.log")

    def write(name: str) -> None:
        for number in range(200):
            log_writer.append(path, f"{name}{number}\n".encode(), limit=100, kept=1000)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    found = "".join(parts(pathlib.Path(path)).values()).splitlines()
    assert sorted(found) == sorted(f"{name}{number}" for name in "abcd" for number in range(200))
    assert all(each.stat().st_size <= 100 for each in tmp_path.iterdir())


@pytest.mark.parametrize("how", ["a link", "a FIFO", "a directory"])
def test_nothing_else_is_written_to(tmp_path: pathlib.Path, how: str) -> None:
    path, other = tmp_path / "web.log", tmp_path / "other"
    other.touch()
    if how == "a link":
        path.symlink_to(other)
    elif how == "a FIFO":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(OSError):
        log_writer.append(str(path), b"text\n", limit=100, kept=1)
    assert other.read_text() == ""
