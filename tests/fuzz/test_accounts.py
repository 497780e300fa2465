# SPDX-License-Identifier: GPL-3.0-or-later
"""passwd and group of a root that somebody else has made."""

from __future__ import annotations

import os
import pathlib
import shutil
import socket
import stat
import tempfile
import typing as t

import pytest
from fuzzing import TEXTS, bounded, damaged, fuzz
from hypothesis import strategies as st

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import enter
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import accounts

PASSWD = b"""root:x:0:0:root:/root:/bin/sh
daemon:x:1:1::/:/usr/sbin/nologin
web:x:33:34:Web:/srv:/bin/false
toor:x:0:5::/:/bin/sh
huge:x:4294967295:0::/:/bin/sh
# comment:x:9:9:::
+nis::::::
"""
GROUP = b"root:x:0:\ndaemon:x:1:\nweb:x:34:\nadm:x:4:daemon,web\nlogs:x:40:web\n"
WORDS = st.sampled_from(["root", "web", "0", "33", "web:adm", "1:1", *TEXTS]) | st.text(max_size=5)


def fields_of(line: bytes) -> st.SearchStrategy[bytes]:
    """The line with odd texts in some of its fields."""
    fields = line.decode().split(":")
    odd = st.sampled_from(TEXTS)
    each = [st.just(field) | odd for field in fields]
    return st.tuples(*each).map(lambda words: ":".join(words).encode("utf-8", "replace"))


def files(good: bytes) -> st.SearchStrategy[bytes]:
    lines = st.one_of([fields_of(line) for line in good.splitlines()])
    return damaged(good) | st.lists(lines, max_size=5).map(b"\n".join)


def check(identity: accounts.Identity) -> None:
    """The ids are those that the kernel takes, and none that leaves what was there."""
    for number in (identity.uid, identity.gid, *(identity.groups or ())):
        assert number is None or 0 <= number < (1 << 32) - 1


@fuzz(400, passwd=files(PASSWD), group=files(GROUP), user=WORDS, other=WORDS)
def test_texts(passwd: bytes, group: bytes, user: str, other: str) -> None:
    texts = [text.decode("utf-8", "surrogateescape") for text in (passwd, group)]
    for asked in (
        (user, None, None),
        (None, other, None),
        (user, None, [other]),
        (user, other, None),
    ):
        with bounded(Refused):
            accounts.checked(*asked)
            check(accounts.resolve(*asked, accounts.Files(*texts)))


def resolved_in(root: str) -> None:
    """Look a user up in the root, as what starts a program there does."""

    host_proc = os.open("/proc", os.O_PATH)

    def look() -> None:
        os.chroot(root)
        os.chdir("/")
        for user in ("root", "web", "0", "web:adm"):
            with bounded(Refused):
                check(accounts.resolve(user, None, None, accounts.files_of_this_root(host_proc)))

    try:
        enter.run_inside(look)
    finally:
        os.close(host_proc)


@pytest.fixture
def root() -> t.Iterator[pathlib.Path]:
    top = pathlib.Path(tempfile.mkdtemp(dir="/run"))
    (top / "etc").mkdir()
    yield top
    shutil.rmtree(top)


@fuzz(40, passwd=files(PASSWD), group=files(GROUP))
def test_files_of_a_root(passwd: bytes, group: bytes, root: pathlib.Path) -> None:
    (root / "etc/passwd").write_bytes(passwd)
    (root / "etc/group").write_bytes(group)
    with bounded():
        resolved_in(str(root))


def listening(path: pathlib.Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def sparse(path: pathlib.Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


NO_FILES: dict[str, t.Callable[[pathlib.Path], t.Any]] = {
    "fifo": os.mkfifo,
    "directory": os.mkdir,
    "socket": listening,
    "endless device": lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5)),
    "device without a driver": lambda path: os.mknod(path, stat.S_IFCHR, os.makedev(4_095, 1)),
    "disk": lambda path: os.mknod(path, stat.S_IFBLK, os.makedev(4_095, 1)),
    "link to nothing": lambda path: path.symlink_to("nothing"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to the host": lambda path: path.symlink_to("/proc/1/root/etc/passwd"),
    "terabyte of nothing": sparse,
    "empty": lambda path: path.write_bytes(b""),
    "null characters": lambda path: path.write_bytes(bytes(1 << 20)),
    "a line without end": lambda path: path.write_bytes(b"web:x:33:" * (1 << 17)),
    "many users": lambda path: path.write_bytes(b"a:x:1:1:::\n" * (1 << 14)),
}


@pytest.mark.parametrize("name", ["passwd", "group"])
@pytest.mark.parametrize("what", NO_FILES)
def test_something_else_in_the_place_of_a_file(what: str, name: str, root: pathlib.Path) -> None:
    (root / "etc/passwd").write_bytes(PASSWD)
    (root / "etc/group").write_bytes(GROUP)
    (root / "etc" / name).unlink()
    NO_FILES[what](root / "etc" / name)
    with bounded():
        resolved_in(str(root))
