# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing but a regular file is ever opened, whatever takes its place meanwhile."""

from __future__ import annotations

import errno
import os
import pathlib
import socket
import subprocess
import sys
import typing as t

import pytest
from opens import Opens

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
    files,
    regular_files,
)


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "file"


@pytest.fixture
def host_proc() -> t.Iterator[int]:
    fd = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def text_of(path: str, **options: t.Any) -> str:
    with open(regular_files.open_regular(path, **options), encoding="utf-8") as file:
        assert not os.get_inheritable(file.fileno())
        return file.read()


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_a_regular_file_is_opened(path: pathlib.Path, host_proc: int) -> None:
    path.write_text("text")
    assert text_of(str(path)) == "text"
    assert text_of(str(path), host_proc=host_proc) == "text"
    assert text_of(str(path), flags=os.O_RDONLY | os.O_NOFOLLOW) == "text"
    assert text_of(str(path), resolve=files.RESOLVE_NO_MAGICLINKS) == "text"
    above = os.open(path.parent, os.O_PATH)
    try:
        assert text_of("file", dir_fd=above, host_proc=host_proc) == "text"
        assert text_of("/file", dir_fd=above, resolve=files.RESOLVE_IN_ROOT) == "text"
    finally:
        os.close(above)
    fd = regular_files.open_regular(str(path), os.O_RDWR)
    os.write(fd, b"TE")
    os.close(fd)
    assert path.read_text() == "TExt"


def socket_at(path: pathlib.Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def fifo_behind_link(path: pathlib.Path) -> None:
    os.mkfifo(path.with_name("other"))
    path.symlink_to("other")


MADE: dict[str, t.Callable[[pathlib.Path], t.Any]] = {
    "fifo": os.mkfifo,
    "directory": os.mkdir,
    "socket": socket_at,
    "link to a fifo": fifo_behind_link,
}


@pytest.mark.parametrize("what", MADE)
def test_anything_else_is_not(what: str, path: pathlib.Path) -> None:
    MADE[what](path)
    before = descriptors()
    with Opens(path) as opens:
        for flags in (os.O_RDONLY, os.O_RDWR, os.O_WRONLY):
            with pytest.raises(regular_files.NotRegular, match="not a regular file") as caught:
                regular_files.open_regular(str(path), flags)
            assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, str(path))
        assert opens.count == 0
    assert descriptors() == before


def test_opens_are_seen(path: pathlib.Path) -> None:
    """What the tests of this kind rely on."""
    os.mkfifo(path)
    with Opens(path) as opens:
        os.close(os.open(path, os.O_PATH))
        assert opens.count == 0
        os.close(os.open(path, os.O_RDWR))
        assert opens.count == 1


def test_a_link_that_is_not_to_be_followed(path: pathlib.Path) -> None:
    (path.parent / "other").write_text("text")
    path.symlink_to("other")
    assert text_of(str(path)) == "text"
    with pytest.raises(regular_files.NotRegular):
        regular_files.open_regular(str(path), os.O_RDONLY | os.O_NOFOLLOW)
    path.unlink()
    path.symlink_to("/proc/self/exe")
    with pytest.raises(OSError, match="ELOOP"):
        regular_files.open_regular(str(path), resolve=files.RESOLVE_NO_MAGICLINKS)


def test_nothing_is_there(path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError):
        regular_files.open_regular(str(path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_file_that_may_not_be_read_is_named(path: pathlib.Path) -> None:
    path.touch(mode=0o000)
    with pytest.raises(PermissionError) as caught:
        regular_files.open_regular(str(path))
    assert caught.value.filename == str(path)


RACER = """
import ctypes, os, select, sys
path, other = map(os.fsencode, sys.argv[1:])
rename = ctypes.CDLL(None).renameat2
swaps = 0
while not select.select([0], [], [], 0)[0]:
    for _each in range(50):
        rename(-100, path, -100, other, 2)
        swaps += 1
print(swaps)
"""


def test_a_race(path: pathlib.Path) -> None:
    """What was looked at is what is opened: a fifo that takes the place is not."""
    other = path.with_name("other")
    path.write_text("text")
    os.mkfifo(other)
    argv = [sys.executable, "-c", RACER, str(path), str(other)]
    found = {"regular": 0, "refused": 0}
    with (
        Opens(other) as opens,
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as racer,
    ):
        while min(found.values()) < 2000:
            try:
                os.close(regular_files.open_regular(str(path), os.O_RDONLY | os.O_NONBLOCK))
                found["regular"] += 1
            except regular_files.NotRegular:
                found["refused"] += 1
        swaps = int(racer.communicate(b"")[0])
        assert opens.count == 0
    assert swaps > 1000


def test_a_device_behind_a_link(path: pathlib.Path) -> None:
    path.symlink_to("/dev/full")
    with pytest.raises(regular_files.NotRegular):
        regular_files.open_regular(str(path), os.O_RDWR)


@pytest.mark.parametrize("path", ["/proc/kmsg", "/proc/self/status", "/sys/kernel/uevent_seqnum"])
def test_what_the_kernel_answers(path: str) -> None:
    """Its files say that they are regular, and to read one may be to wait for ever."""
    with Opens(path) as opens:
        with pytest.raises(regular_files.NotRegular):
            regular_files.open_regular(path)
        assert opens.count == 0


def test_a_namespace_is_a_file() -> None:
    os.close(regular_files.open_regular("/proc/self/ns/mnt"))
