# SPDX-License-Identifier: GPL-3.0-or-later
"""Forms of damage to a file that we keep: of its content, and of what it is."""

from __future__ import annotations

import copy
import functools
import json
import os
import pathlib
import shutil
import socket
import stat
import typing as t

from fuzzing import TEXTS, places_in

Put = t.Callable[[pathlib.Path], t.Any]

# In the place of a value of another type.
VALUES: tuple[t.Any, ...] = (
    None, True, 7, -1, 1e300, 10**19, "", "x", "/\0x", "\x1b[2J\n\u202e", "\ud800", [], ["x"], [[]], {}, {"x": {}},
)  # fmt: skip
_HUGE = 16 << 20


class Form(t.NamedTuple):
    """A form of damage. ``put`` makes it at a path where nothing is."""

    title: str
    put: Put


def clear(path: pathlib.Path) -> None:
    """Remove whatever is at the path."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path)


def holding(title: str, content: bytes) -> Form:
    """A file that has this content."""
    return Form(title, lambda path: path.write_bytes(content))


def cut(good: bytes) -> list[Form]:
    """Cut short at each byte."""
    return [holding(f"cut at {length}", good[:length]) for length in range(len(good) - 1)]


def contents(good: bytes) -> list[Form]:
    """Contents that are no document of ours, whatever that says."""
    text = good.decode()
    first = next(iter(json.loads(good)))
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    other = {
        "empty": b"", "blanks": b" \n" * 50, "null characters": bytes(4096),
        "not UTF-8": good.replace(b'"', b'\xff"', 3),
        "UTF-16": text.encode("utf-16"), "with a mark of order": b"\xef\xbb\xbf" + good,
        "binary": bytes(range(256)) * 20,
        "nested lists": b"[" * 1_000_000, "nested objects": deep, "a list": b"[]", "a text": b'"web"', "null": b"null",
        "a key twice": text.replace("{", f'{{"{first}": 1, ', 1).encode(), "twice": good + good,
        "NaN": b'{"version": NaN}',
        "an endless number": b'{"version": 1e999}', "a long number": b'{"version": ' + b"9" * 100_000 + b"}",
        "steers a terminal": b"\x1b]0;x\x07\x1b[2J", "comments": b"# mine\n" + good, "too large": b" " * (_HUGE + 1),
    }  # fmt: skip
    return [holding(title, content) for title, content in other.items()]


def documents(good: bytes) -> list[Form]:
    """Documents with another value, none, or an unknown one at each place; and other versions."""
    document = json.loads(good)
    found = []
    for place in places_in(document):
        where = "/".join(map(str, place))
        found += [(f"{value!r:.20} at {where}", _with(document, place, value)) for value in VALUES]
        at = functools.reduce(lambda inner, key: inner[key], place, document)
        if place:
            found.append((f"no {where}", _without(document, place)))
        if isinstance(at, dict):
            found.append(
                (f"unknown at {where}", _with(document, (*place, "\x1b[2Jnew" * 20_000), 1))
            )
            found.append((f"odd key at {where}", _with(document, (*place, "a\0\ud800"), "1")))
        if isinstance(at, str):
            found += [
                (f"text {number} at {where}", _with(document, place, text))
                for number, text in enumerate(TEXTS)
            ]
    versions = (0, 2, 3, 99, -1, 1.0, "1", "2", [1], 10**18)
    found += [(f"version {each!r}", {**document, "version": each}) for each in versions]
    return [
        holding(title, json.dumps(changed).encode())
        for title, changed in found
        if changed != document or type(changed) is not type(document)
    ]


def _with(document: t.Any, place: tuple[t.Any, ...], value: t.Any) -> t.Any:
    if not place:
        return value
    changed = copy.deepcopy(document)
    functools.reduce(lambda inner, key: inner[key], place[:-1], changed)[place[-1]] = value
    return changed


def _without(document: t.Any, place: tuple[t.Any, ...]) -> t.Any:
    changed = copy.deepcopy(document)
    del functools.reduce(lambda inner, key: inner[key], place[:-1], changed)[place[-1]]
    return changed


def _full(path: pathlib.Path) -> None:
    path.mkdir()
    (path / "more").mkdir()
    (path / "more/file").write_text("x")


def _listening(path: pathlib.Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        above = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        made.bind(f"/proc/self/fd/{above}/{path.name}")  # the path itself may be too long
        os.close(above)


def _device(kind: int, major: int, minor: int) -> Put:
    return lambda path: os.mknod(path, kind | 0o600, os.makedev(major, minor))


def kinds(other: pathlib.Path) -> list[Form]:
    """Something else than a file; ``other`` is the same file of another name, which is to stay."""
    return [
        Form("a directory", os.mkdir),
        Form("a full directory", _full),
        Form("a fifo", os.mkfifo),
        Form("a socket", _listening),
        Form("an endless device", _device(stat.S_IFCHR, 1, 5)),
        Form("a terminal", _device(stat.S_IFCHR, 5, 0)),
        Form("a block device", _device(stat.S_IFBLK, 7, 9)),
        Form("a link to nothing", lambda path: path.symlink_to("missing")),
        Form("a link to itself", lambda path: path.symlink_to(path.name)),
        Form("a link to an endless device", lambda path: path.symlink_to("/dev/zero")),
        Form("a link to the kernel's", lambda path: path.symlink_to("/proc/self/mem")),
        Form("a link to a directory", lambda path: path.symlink_to("/etc")),
        Form("a link to another's", lambda path: path.symlink_to(other)),
        Form("another's by a second name", lambda path: os.link(other, path)),
        Form("more than 4 GB", lambda path: (path.touch(), os.truncate(path, 1 << 32))),
    ]


# Beside the files, in their directory: what is no name of ours is left alone.
ODD_NAMES = (
    b"a b.json", b".json", b"-x.json", b"..json", b"x" * 250 + b".json", b"\xff\xfe.json", b"a:b.json",
    b"A\x1b[2J.json",
    b"x\n.json", b"x.json.new", b"x.JSON", b"x.json~", "\N{SNOWMAN}.json".encode(), b"x" * 255,
)  # fmt: skip
