# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what people may have damaged: it never hangs, and raises nothing but ValueError."""

from __future__ import annotations

import os
import pathlib
import socket
import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.storage import json_file


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "web.json"


def test_what_is_written_is_read_again(path: pathlib.Path) -> None:
    content = {"name": "web", "text": "\udcff \N{SNOWMAN}", "list": [1, None, True, {}]}
    json_file.write(str(path), content)
    assert json_file.read(str(path)) == content
    assert path.read_text().isascii()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_to_a_file_is_read(path: pathlib.Path) -> None:
    json_file.write(str(path.parent / "other"), {"name": "web"})
    path.symlink_to("other")
    assert json_file.read(str(path)) == {"name": "web"}


def test_nothing_is_there(path: pathlib.Path) -> None:
    assert json_file.read(str(path)) is None
    path.write_text("")
    assert json_file.read(str(path / "below")) is None


def listening(path: pathlib.Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def huge(path: pathlib.Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 32)


DAMAGED: dict[str, t.Callable[[pathlib.Path], t.Any]] = {
    "fifo": os.mkfifo,
    "directory": os.mkdir,
    "link to nothing": lambda path: path.symlink_to("missing"),
    "link to itself": lambda path: path.symlink_to(path),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "socket": listening,
    "huge": huge,
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(b'{"name": '),
    "not UTF-8": lambda path: path.write_bytes(b'{"name": "\xff"}'),
    "null characters": lambda path: path.write_bytes(bytes(4096)),
    "nested": lambda path: path.write_bytes(b"[" * 1_000_000),
    "list": lambda path: path.write_bytes(b"[]"),
    "key that stands twice": lambda path: path.write_bytes(b'{"a": {"b": 1, "b": 2}}'),
    "no number": lambda path: path.write_bytes(b'{"a": NaN}'),
    "endless number": lambda path: path.write_bytes(b'{"a": 1e999}'),
    "long number": lambda path: path.write_bytes(b'{"a": ' + b"9" * 1_000_000 + b"}"),
    "text": lambda path: path.write_bytes(b'"web"'),
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_damage(damage: t.Callable[[pathlib.Path], t.Any], path: pathlib.Path) -> None:
    damage(path)
    open_before = os.listdir("/proc/self/fd")
    with pytest.raises(ValueError) as raised:
        json_file.read(str(path))
    assert str(raised.value)
    assert os.listdir("/proc/self/fd") == open_before
