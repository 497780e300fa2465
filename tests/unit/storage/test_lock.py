# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time: the second waits, and says who has the lock when it has waited long enough."""

from __future__ import annotations

import os
import pathlib
import threading
import time

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.storage import lock


def opened(path: pathlib.Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def test_a_free_one_is_taken_at_once(tmp_path: pathlib.Path) -> None:
    fd = opened(tmp_path)
    try:
        assert lock.take(fd, deadline=time.monotonic() - 1)
    finally:
        os.close(fd)


def test_a_second_run_waits_until_it_is_given_back(tmp_path: pathlib.Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    try:
        assert lock.take(first, deadline=time.monotonic())
        giving_back = threading.Timer(0.2, os.close, [first])
        began = time.monotonic()
        giving_back.start()
        assert lock.take(second, deadline=began + 60)
        assert 0.2 <= time.monotonic() - began < 30
        giving_back.join()
    finally:
        os.close(second)


def test_it_gives_up_at_the_deadline(tmp_path: pathlib.Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    try:
        assert lock.take(first, deadline=time.monotonic())
        began = time.monotonic()
        assert not lock.take(second, deadline=began + 0.1)
        assert time.monotonic() - began >= 0.1
    finally:
        os.close(first)
        os.close(second)


def test_it_ends_with_the_process_that_has_it(tmp_path: pathlib.Path) -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        lock.take(opened(tmp_path), deadline=time.monotonic())
        os.write(write, b".")
        time.sleep(60)
        os._exit(1)
    assert os.read(read, 1) == b"."
    fd = opened(tmp_path)
    try:
        assert not lock.take(fd, deadline=time.monotonic())
        os.kill(child, 9)
        os.waitpid(child, 0)
        assert lock.take(fd, deadline=time.monotonic())
    finally:
        for each in (fd, read, write):
            os.close(each)


def test_the_lock_of_a_file(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "lock")
    with lock.file(path, deadline=time.monotonic()):
        assert os.stat(path).st_mode & 0o777 == 0o600
        with pytest.raises(Refused) as refused, lock.file(path, deadline=time.monotonic()):
            pass
        assert refused.value.reason.startswith(f"another run holds the lock {path}: it is held by")
        with pytest.raises(Refused) as refused, lock.file(path, deadline=0, or_raise=Refused):
            pass
        assert refused.value.reason.startswith("it is held by")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["/root/tmp/AnsiballZ_ns_mount.py", "secret"], "ns_mount"),
        (["/usr/local/sbin/nsctl", "up", "secret"], "nsctl up"),
        ([""], "python"),
    ],
)
def test_who_waits_learns_who_has_it_and_since_when(
    argv: list[str], shown: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", argv)
    path = str(tmp_path / "lock")
    with lock.file(path, deadline=time.monotonic()):
        fd = lock.opened(path)
        assert not lock.take(fd, deadline=0)
        said = lock.held_by(fd)
        os.close(fd)
    year = time.strftime("%Y-")
    assert said.startswith(f"it is held by {shown}, pid {os.getpid()} since {year}"), said
    assert said.endswith(", for 0 s now")


def test_where_nothing_is_written_the_kernel_knows_the_process(tmp_path: pathlib.Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    assert lock.held_by(second) == "another run has it"
    assert lock.take(first, deadline=0)
    comm = pathlib.Path("/proc/self/comm").read_text().strip()
    assert lock.held_by(second) == f"it is held by {comm}, pid {os.getpid()}"
    for fd in (first, second):
        os.close(fd)


@pytest.mark.parametrize("content", [b"", b"\xff", b"1 2", b"x y z", b"7 " + b"9" * 300])
def test_what_is_no_note_is_none(content: bytes, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "lock"
    path.write_bytes(content)
    fd = os.open(path, os.O_RDWR)
    assert lock.held_by(fd) == "another run has it"
    os.close(fd)


def test_that_the_holder_has_ended(tmp_path: pathlib.Path) -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    (tmp_path / "lock").write_text(f"{pid} {time.monotonic() - 90} ns_mount\n")
    fd = os.open(tmp_path / "lock", os.O_RDWR)
    said = lock.held_by(fd)
    os.close(fd)
    assert f"pid {pid}, which has ended, but not what it started, since" in said
    assert "for 90 s now" in said


def test_who_waits_longer_says_so_once(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(lock, "announce", said.append)
    monkeypatch.setattr(lock, "_SOON", 0.05)
    first, second = opened(tmp_path), opened(tmp_path)
    assert lock.take(first, deadline=0)
    assert not lock.take(second, deadline=time.monotonic() + 0.3, name="the lock of all")
    assert len(said) == 1
    assert said[0].startswith("waiting for the lock of all: it is held by ")
    for fd in (first, second):
        os.close(fd)


def test_who_waited_does_not_take_the_lock_of_a_file_that_is_gone(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "lock")
    inside = []
    most = []

    def hold() -> None:
        with lock.file(path, deadline=time.monotonic() + 60):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.001)
            inside.pop()

    threads = [threading.Thread(target=hold) for _each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8
    assert os.listdir(tmp_path) == []


def test_what_others_can_open_is_no_lock(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "lock"
    for mode in (0o644, 0o606, 0o660, 0o666):
        path.touch()
        path.chmod(mode)
        with pytest.raises(Refused, match="is no lock"):
            lock.opened(str(path))
        path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(Refused, match="is no lock"):
        lock.opened(str(path))
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        lock.opened(str(path))
    assert os.listdir(tmp_path) == ["lock"]


@pytest.mark.parametrize("umask", [0, 0o077, 0o777])
def test_its_mode_does_not_depend_on_the_umask(umask: int, tmp_path: pathlib.Path) -> None:
    before = os.umask(umask)
    try:
        os.close(lock.opened(str(tmp_path / "lock")))
    finally:
        os.umask(before)
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
