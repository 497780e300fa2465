# SPDX-License-Identifier: GPL-3.0-or-later
"""A new root takes no room for what is equal in the one before it, and nothing else changes."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import typing as t

import pytest
from disks import attached, new_image
from opens import Opens
from trees import facts_of, make_tree

from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.share_equal import (
    HARD_LINK,
    REFLINK,
    Shared,
    share_equal,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.storage import root_mark
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

HOW = {"ext4": HARD_LINK, "xfs": REFLINK, "btrfs": REFLINK}
SIZE = 1 << 18


class Roots(t.NamedTuple):
    """Two roots beside each other, equal until one of them is changed."""

    old: pathlib.Path
    new: pathlib.Path

    def share(self, *, may_link: bool = True) -> Shared:
        return share_equal(str(self.new), str(self.old), may_link=may_link)

    def are_one(self, name: str) -> bool:
        return os.path.samefile(self.old / name, self.new / name)


def copied(old: pathlib.Path) -> Roots:
    new = old.parent / "generations/2/rootfs"
    new.parent.mkdir(parents=True)
    subprocess.run(["cp", "-a", "--reflink=never", old, new], check=True)
    return Roots(old, new)


@pytest.fixture
def roots(tmp_path: pathlib.Path) -> Roots:
    """Roots on a file system without blocks in common, each with a few programs."""
    (tmp_path / "rootfs/usr/bin").mkdir(parents=True)
    for name in ("a", "b", "c"):
        (tmp_path / "rootfs/usr/bin" / name).write_text(name * 5000)
    roots = copied(tmp_path / "rootfs")
    if share_equal(str(roots.new), str(roots.old), may_link=False).by == REFLINK:
        pytest.skip("the file system of the tests has blocks in common")
    return roots


@contextlib.contextmanager
def mounted(fstype: str, where: pathlib.Path) -> t.Iterator[pathlib.Path]:
    if shutil.which(f"mkfs.{fstype}") is None:
        pytest.skip(f"mkfs.{fstype} is not there")
    place = where / "disk"
    place.mkdir()
    with attached(new_image(fstype, where / "image")) as device:
        mounts.mount(device, str(place), fstype=fstype)
        try:
            yield place
        finally:
            mounts.umount(str(place))


def without_names_of_one_file(facts: dict[str, t.Any]) -> dict[str, t.Any]:
    return {path: (*each[:7], *each[8:]) for path, each in facts.items()}


@pytest.mark.parametrize("fstype", HOW)
def test_what_is_equal_takes_the_room_of_one(fstype: str, tmp_path: pathlib.Path) -> None:
    with mounted(fstype, tmp_path) as place:
        make_tree(place / "rootfs")
        libraries = place / "rootfs/usr/lib"
        libraries.mkdir()
        for number in range(8):
            (libraries / str(number)).write_bytes(os.urandom(SIZE))
        (libraries / "little").write_text("little")
        roots = copied(place / "rootfs")
        (roots.new / "usr/lib/7").write_bytes(os.urandom(SIZE))
        os.utime(roots.new / "usr/lib", ns=(3, 5))
        before = [without_names_of_one_file(facts_of(each)) for each in roots]
        free = free_on(place)
        shared = roots.share()
        assert shared.by == HOW[fstype]
        assert shared.files >= 7
        assert shared.bytes >= 7 * SIZE
        # Some room goes to what is noted of it.
        assert free_on(place) - free >= 0.8 * shared.bytes
        assert [without_names_of_one_file(facts_of(each)) for each in roots] == before
        assert sorted(os.listdir(roots.new.parent)) == ["rootfs"]
        if shared.by == REFLINK:
            assert not roots.are_one("usr/lib/0")
            with (roots.new / "usr/lib/0").open("r+b") as file:
                file.write(b"changed")
            assert without_names_of_one_file(facts_of(roots.old)) == before[0]
            return
        # Two names of one file in a root stay so, and are nothing else's.
        assert roots.are_one("usr/lib/0")
        assert roots.are_one("usr/lib/little")
        assert not roots.are_one("bin/ping")
        assert os.path.samefile(roots.new / "bin/ping", roots.new / "usr/bin/ping")
        assert roots.share() == (0, 0, "")


def free_on(place: pathlib.Path) -> int:
    subprocess.run(["sync", "--file-system", place], check=True)
    room = os.statvfs(place)
    return room.f_bfree * room.f_frsize


def chmod(file: pathlib.Path) -> None:
    file.chmod(0o755)


def chown(file: pathlib.Path) -> None:
    os.chown(file, 1, 0)


def chgrp(file: pathlib.Path) -> None:
    os.chown(file, 0, 1)


def touch(file: pathlib.Path) -> None:
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def setxattr(file: pathlib.Path) -> None:
    os.setxattr(file, "user.note", b"")


def write(file: pathlib.Path) -> None:
    status = file.stat()
    with file.open("r+b") as content:
        content.seek(-1, os.SEEK_END)
        content.write(b"x")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def append(file: pathlib.Path) -> None:
    status = file.stat()
    with file.open("ab") as content:
        content.write(b"x")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace(file: pathlib.Path) -> None:
    file.unlink()
    file.symlink_to("b")


@pytest.mark.parametrize(
    "differ", [chmod, chown, chgrp, touch, setxattr, write, append, replace, pathlib.Path.unlink]
)
def test_what_differs_in_anything_stays_two(
    differ: t.Callable[[pathlib.Path], None], roots: Roots
) -> None:
    differ(roots.old / "usr/bin/a")
    before = facts_of(roots.old), facts_of(roots.new)
    assert roots.share().files == 2
    assert roots.are_one("usr/bin/b")
    after = facts_of(roots.old), facts_of(roots.new)
    for old, new in zip(before, after):
        assert without_names_of_one_file(old) == without_names_of_one_file(new)
    inode = (roots.new / "usr/bin/a").stat().st_ino
    assert inode not in [each.stat().st_ino for each in roots.old.rglob("*") if each.exists()]


def test_without_leave_nothing_is_linked(roots: Roots) -> None:
    assert roots.share(may_link=False) == (0, 0, "")
    assert not roots.are_one("usr/bin/a")


def test_two_files_do_not_become_one(roots: Roots) -> None:
    """Also where the old root has two names of one file, in whichever order a killed run had them."""
    for name in ("a", "b"):
        (roots.new / "usr/bin" / name).write_text("the same")
        os.utime(roots.new / "usr/bin" / name, ns=(5, 5))
    (roots.old / "usr/bin/a").write_text("the same")
    os.utime(roots.old / "usr/bin/a", ns=(5, 5))
    (roots.old / "usr/bin/b").unlink()
    os.link(roots.old / "usr/bin/a", roots.old / "usr/bin/b")
    for _run in range(2):
        roots.share()
        assert roots.are_one("usr/bin/a")
        assert not os.path.samefile(roots.new / "usr/bin/a", roots.new / "usr/bin/b")


def test_where_link_counts_are_looked_at_nothing_is_linked(roots: Roots) -> None:
    """Where a crontab has two names, cron does not take it."""
    for each in roots:
        (each / "etc").mkdir()
        for name in ("etc/crontab", root_mark.FILE):
            (each / name).write_text("one")
            os.utime(each / name, ns=(5, 5))
    assert roots.share().files == 3
    assert not roots.are_one("etc/crontab")
    assert not roots.are_one(root_mark.FILE)


def test_what_cannot_be_linked_stays_as_it_is(roots: Roots) -> None:
    done = subprocess.run(
        ["chattr", "+i", roots.old / "usr/bin/b"], check=False, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"nothing can be made immutable here: {done.stderr.strip()}")
    try:
        assert roots.share().files == 2
    finally:
        subprocess.run(["chattr", "-i", roots.old / "usr/bin/b"], check=True)
    assert [roots.are_one(f"usr/bin/{name}") for name in "abc"] == [True, False, True]
    assert os.listdir(roots.new.parent) == ["rootfs"]


def test_on_two_file_systems_nothing_is_shared(roots: Roots, tmp_path: pathlib.Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    mounts.mount("tests", str(other), fstype="tmpfs")
    try:
        subprocess.run(["cp", "-a", roots.old, other / "rootfs"], check=True)
        before = facts_of(roots.new)
        assert Roots(other / "rootfs", roots.new).share() == (0, 0, "")
        assert facts_of(roots.new) == before
    finally:
        mounts.umount(str(other))


def test_a_run_that_is_killed_leaves_a_whole_root(roots: Roots) -> None:
    """Killed between the two steps of a link, which are the only ones."""
    before = facts_of(roots.new)
    child = os.fork()
    if child == 0:
        os.rename = lambda *_arguments, **_names: os.kill(os.getpid(), signal.SIGKILL)
        roots.share()
        os._exit(0)
    _pid, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert sorted(os.listdir(roots.new.parent)) == ["rootfs", "rootfs.link"]
    assert facts_of(roots.new) == before
    assert roots.share().files == 3
    assert os.listdir(roots.new.parent) == ["rootfs"]


def test_a_hostile_old_root(roots: Roots, tmp_path: pathlib.Path) -> None:
    """Nothing but its own regular files is opened; no link, no mount leads out of it."""
    outside = tmp_path / "outside"
    shutil.copytree(roots.old / "usr", outside, copy_function=shutil.copy2)
    shutil.rmtree(roots.old / "usr")
    (roots.old / "usr").symlink_to(outside)
    assert roots.share() == (0, 0, "")

    (roots.old / "usr").unlink()
    (roots.old / "usr/bin").mkdir(parents=True)
    os.mkfifo(roots.old / "usr/bin/a")
    (roots.old / "usr/bin/b").symlink_to(outside / "bin/b")
    shutil.copy2(outside / "bin/c", roots.old / "usr/bin/c")
    # Of which it does not follow that nothing can be shared.
    for name in ("usr/bin/d", "usr/a/e"):
        for each in roots:
            (each / name).parent.mkdir(exist_ok=True)
            (each / name).write_text("equal")
            os.utime(each / name, ns=(5, 5))
    binaries = roots.old / "usr/bin"
    with mounted_on(binaries / "c", outside / "bin/c"), Opens(binaries / "a") as opens:
        assert roots.share().files == 2
        assert opens.count == 0
    assert [roots.are_one(name) for name in ("usr/bin/c", "usr/bin/d")] == [False, True]
    (roots.new / "usr/a/e").unlink()
    shutil.copy2(roots.old / "usr/a/e", roots.new / "usr/a/e")
    with mounted_on(roots.old / "usr/bin", outside / "bin"):
        assert roots.share().files == 1
    # What the mount covered is the root's own.
    assert roots.share().files == 1
    assert roots.are_one("usr/bin/c")


@contextlib.contextmanager
def mounted_on(path: pathlib.Path, source: pathlib.Path) -> t.Iterator[None]:
    mounts.mount(str(source), str(path), flags=mounts.MS_BIND)
    try:
        yield
    finally:
        mounts.umount(str(path))


def test_what_is_written_inside_changes_no_other_root(roots: Roots) -> None:
    (roots.new / "etc").mkdir()
    assert roots.share().files == 3
    top = roots.new.parent
    for name in ("upper", "work", "merged"):
        (top / name).mkdir()
    layers = f"lowerdir={roots.new},upperdir={top}/upper,workdir={top}/work"
    mount = f"mount -t overlay -o {layers} tests {top}/merged; cd {top}/merged/usr/bin"
    before = facts_of(roots.old), facts_of(roots.new)
    script = f"{mount}; echo own >> a; chmod 700 b; rm c; stat -c %h a b"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-euc", script],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.stdout.split() == ["1", "1"]
    assert (facts_of(roots.old), facts_of(roots.new)) == before
