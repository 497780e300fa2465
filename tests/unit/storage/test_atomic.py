# SPDX-License-Identifier: GPL-3.0-or-later
"""Files are written whole or not at all, with their mode, and not again where nothing changes."""

from __future__ import annotations

import os
import pathlib
import resource
import signal
import socket
import stat
import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.storage import atomic


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "file"


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> t.Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode_of(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_content_and_mode_whatever_the_umask(mode: int, path: pathlib.Path) -> None:
    atomic.write(str(path), "text\n", mode=mode)
    assert path.read_text() == "text\n"
    assert mode_of(path) == mode
    assert os.listdir(path.parent) == ["file"]


def test_what_is_no_text_is_written_as_it_was_read(path: pathlib.Path) -> None:
    atomic.write(str(path), b"\xff\n".decode("utf-8", "surrogateescape"), mode=0o600)
    assert path.read_bytes() == b"\xff\n"
    atomic.write(str(path), b"\xfe", mode=0o600)
    assert path.read_bytes() == b"\xfe"


@pytest.mark.parametrize("content", ["", "same", "x" * 100_000])
def test_an_unchanged_file_is_left_alone(content: str, path: pathlib.Path) -> None:
    atomic.write(str(path), content, mode=0o640)
    before = path.stat()
    above = path.parent.stat().st_mtime_ns
    atomic.write(str(path), content, mode=0o640)
    assert (path.stat().st_ino, path.stat().st_ctime_ns) == (before.st_ino, before.st_ctime_ns)
    assert path.parent.stat().st_mtime_ns == above


@pytest.mark.parametrize(
    ("content", "mode"), [("other", 0o640), ("sam", 0o640), ("same1", 0o640), ("same", 0o600)]
)
def test_a_changed_one_is_another_file(content: str, mode: int, path: pathlib.Path) -> None:
    atomic.write(str(path), "same", mode=0o640)
    with path.open() as reader:
        atomic.write(str(path), content, mode=mode)
        assert reader.read() == "same"  # whoever reads it has the whole old one
    assert path.read_text() == content
    assert mode_of(path) == mode


def make_fifo(path: pathlib.Path) -> None:
    os.mkfifo(path)


def make_socket(path: pathlib.Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


def make_link(path: pathlib.Path) -> None:
    path.symlink_to(path.parent / "victim")


KINDS = [make_fifo, make_socket, make_link]


@pytest.mark.parametrize("suffix", ["", ".new"])
def test_an_empty_directory_goes_with_the_file(suffix: str, path: pathlib.Path) -> None:
    os.mkdir(f"{path}{suffix}")
    atomic.remove(str(path))
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("suffix", ["", ".new"])
def test_what_is_no_file_is_replaced_and_not_opened(
    make: t.Callable[[pathlib.Path], None], suffix: str, path: pathlib.Path
) -> None:
    victim = path.parent / "victim"
    victim.write_text("text")
    make(pathlib.Path(f"{path}{suffix}"))
    atomic.write(str(path), "text", mode=victim.stat().st_mode & 0o777)
    assert stat.S_ISREG(path.lstat().st_mode)
    assert path.read_text() == "text"
    assert victim.read_text() == "text"
    assert sorted(os.listdir(path.parent)) == ["file", "victim"]


def test_a_name_that_the_leftover_of_a_killed_run_has_too(path: pathlib.Path) -> None:
    """A hard link: to write through it would change the other file."""
    victim = path.parent / "victim"
    victim.write_text("precious")
    os.link(victim, f"{path}.new")
    atomic.write(str(path), "text", mode=0o600)
    assert victim.read_text() == "precious"


def test_a_killed_write_leaves_the_old_file(path: pathlib.Path) -> None:
    atomic.write(str(path), "old", mode=0o600)
    child = os.fork()
    if child == 0:
        # The kernel kills a process that writes more than it may.
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))
        atomic.write(str(path), "new" * 10_000, mode=0o600)
        os._exit(0)
    _pid, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGXFSZ
    assert path.read_text() == "old"
    assert sorted(os.listdir(path.parent)) == ["file", "file.new"]
    assert atomic.is_there(str(path))
    atomic.write(str(path), "new", mode=0o600)
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["file"]


def test_what_lies_in_the_place_of_the_file_makes_room(path: pathlib.Path) -> None:
    for place in (path, pathlib.Path(f"{path}.new")):
        os.makedirs(f"{place}/full")
        atomic.write(str(path), "new", mode=0o600)
        assert path.read_text() == "new"
        path.unlink()
    os.makedirs(f"{path}/full")
    atomic.remove(str(path))
    assert os.listdir(path.parent) == []


def test_a_failed_write_leaves_the_old_file(path: pathlib.Path) -> None:
    """In a directory of others, where nothing that is full is removed."""
    atomic.write(str(path), "old", mode=0o600)
    os.makedirs(f"{path}.new/full")
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(OSError, match="not empty"):
            atomic.write(path.name, "new", mode=0o600, dir_fd=fd)
    finally:
        os.close(fd)
    assert path.read_text() == "old"


def test_in_an_open_directory(path: pathlib.Path) -> None:
    """Also when it has another name meanwhile."""
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        moved = path.parent.rename(path.parent.with_name("moved"))
        atomic.write("file", "text", mode=0o600, dir_fd=fd)
        assert (moved / "file").read_text() == "text"
        (moved / "file.new").write_text("")
        atomic.remove("file", dir_fd=fd)
        assert os.listdir(moved) == []
        atomic.remove("file", dir_fd=fd)
    finally:
        os.close(fd)


def test_a_finished_file_is_put_into_place(path: pathlib.Path) -> None:
    made = path.parent / "made"
    made.write_text("whole")
    inode = made.stat().st_ino
    path.write_text("old")
    atomic.put(str(made), str(path))
    assert (path.read_text(), path.stat().st_ino) == ("whole", inode)
    assert os.listdir(path.parent) == ["file"]
    with pytest.raises(FileNotFoundError):
        atomic.put(str(made), str(path))


@pytest.mark.parametrize("there", ["", "empty", "full"])
def test_a_finished_directory_is_put_into_place(there: str, path: pathlib.Path) -> None:
    made = path.parent / "made"
    made.mkdir()
    (made / "new").write_text("whole")
    if there:
        path.mkdir()
    if there == "full":
        (path / "old").write_text("")
    atomic.put_directory(str(made), str(path))
    assert os.listdir(path) == ["new"]
    assert (os.listdir(made) if made.exists() else []) == (["old"] if there == "full" else [])


def test_a_link(path: pathlib.Path) -> None:
    os.mkfifo(f"{path}.new")
    for target in ("/first", "/second"):
        atomic.link(target, str(path))
        assert os.readlink(path) == target
        assert os.listdir(path.parent) == ["file"]


@pytest.mark.parametrize("there", [(), ("file",), ("file.new",), ("file", "file.new")])
def test_removing(there: tuple[str, ...], path: pathlib.Path) -> None:
    for name in there:
        (path.parent / name).write_text("")
    assert atomic.is_there(str(path)) == bool(there)
    atomic.remove(str(path))
    assert os.listdir(path.parent) == []
    assert not atomic.is_there(str(path))


def test_removing_below_what_is_not_there(tmp_path: pathlib.Path) -> None:
    atomic.remove(str(tmp_path / "missing/file"))
    (tmp_path / "plain").write_text("")
    atomic.remove(str(tmp_path / "plain/file"))


@pytest.mark.usefixtures("umask")
def test_directories(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "above/below"
    atomic.make_directory(str(path), mode=0o700)
    assert mode_of(path) == 0o700
    assert mode_of(path.parent) == 0o755
    path.chmod(0o750)
    atomic.make_directory(str(path), mode=0o700)
    assert mode_of(path) == 0o750
    (path / "file").write_text("")
    assert atomic.remove_directory(str(path)) is False
    (path / "file").unlink()
    assert atomic.remove_directory(str(path)) is True
    assert atomic.remove_directory(str(path)) is True
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("mode", [0o600, 0o711])
def test_what_is_too_open_is_closed(mode: int, path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path.write_text("text")
    for has, becomes in ((0o777, mode), (mode | 0o044, mode), (0o400, 0o400), (mode, mode)):
        path.chmod(has)
        atomic.close(str(path), mode=mode)
        assert mode_of(path) == becomes
    # What a link leads to is somebody else's, and what is not there is no failure.
    path.chmod(0o644)
    link = tmp_path / "link"
    link.symlink_to(path)
    for each in (link, tmp_path / "none"):
        atomic.close(str(each), mode=mode)
    assert mode_of(path) == 0o644
