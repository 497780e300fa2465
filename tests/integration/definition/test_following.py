# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts of the host that show a part of a namespace: they show its new root when it gets one."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import shutil

import pytest
from followed import BENEATH, NEW_ROOT, MakePair, bind, make, mount, mount_of, opened, rows_at
from named_namespaces import NewName
from processes_inside import inside, mounts_inside
from readers import reading
from results import RunModule
from trees import pack
from unshared_process import UnsharedProcess
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core import actions
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import (
    KernelError,
    StepFailed,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import swap, table
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
    call,
    detached,
    mounts,
)

__all__ = ["make"]

MANNERS = ("overlay", "bind", "tmpfs")


def allowed(*texts: str) -> set[str]:
    """What a reader may see: before Linux 6.5 also what is beneath the mount."""
    return {*texts, *([BENEATH] if "move_mount_beneath" in call.absent_calls else [])}


@pytest.mark.newer_kernel  # renameat2(2)
@pytest.mark.parametrize("manner", MANNERS)
def test_with_the_root_of_a_definition(
    new_name: NewName, run_module: RunModule, tmp_path: pathlib.Path, manner: str
) -> None:
    """Also where that comes from ns_definition, and goes back."""
    tree, place, name = tmp_path / "tree", tmp_path / "place", new_name()
    for directory in (tree / "etc", place):
        directory.mkdir(parents=True)
    (place / "release").write_text(BENEATH)

    def have(state: str, release: str) -> list[str]:
        archive = tmp_path / f"{release}.tar"
        if not archive.exists():
            (tree / "etc/release").write_text(release)
            pack(tree, archive)
        # Of a directory the one in memory is made again as that is by then.
        source = {"archive": str(archive)} if manner == "tmpfs" else {"directory": str(tree)}
        root = {**source, "root": manner, "home": f"/run/tests/{name}"}
        listed = [{"name": name, "rootfs": root}]
        args = {"namespaces": listed, "state": state, "force": state == "absent"}
        done = run_module("ns_definition", args)
        (found,) = done["namespaces"]
        assert not done.get("failed"), found["msg"]
        assert not done.get("warnings"), done
        return [each for each in found["actions"] if "show the new root" in each]

    with contextlib.ExitStack() as stack:
        assert have("present", "one") == []
        bind(name, "/etc", place)
        stack.callback(mounts.detach, str(place))
        assert have("present", "one") == []
        shows = [f"have {place} show the new root of {name}"]
        with reading(os.getpid(), f"{place}/release") as readings:
            assert wait_until(lambda: readings.number() > 10)
            assert have("present", "two") == shows
            assert (place / "release").read_text() == "two"
            assert have("rolled_back", "two") == shows
            assert (place / "release").read_text() == "one"
        assert {"one", "two"} <= set(readings.seen) <= allowed("one", "two")
    have("absent", "two")


@pytest.mark.parametrize("manner", MANNERS)
def test_a_reader_sees_the_old_or_the_new(make: MakePair, manner: str) -> None:
    pair = make(manner=manner)
    place = pair.place("www")
    bind(pair.old, "/srv/www", place)
    with reading(os.getpid(), f"{place}/page") as readings:
        for back in (False, True) * 5:
            before = readings.number()
            assert len(pair.follow(back=back)) == 1
            assert wait_until(lambda before=before: readings.number() > before + 20)
    assert {"old", "new"} <= set(readings.seen) <= allowed("old", "new")
    assert len(rows_at(place)) == 1
    assert pair.follow(back=True) == []
    assert pair.follow() == [pair.shows(place)]
    assert (place / "page").read_text() == "new"


@pytest.mark.parametrize("absent", ["", "move_mount_beneath", "mount_setattr move_mount_beneath"])
@pytest.mark.parametrize("propagation", ["private", "shared", "unbindable"])
def test_flags_and_propagation_are_kept(
    make: MakePair, monkeypatch: pytest.MonkeyPatch, absent: str, propagation: str
) -> None:
    pair = make()
    places = [pair.place(name) for name in ("www", "all")]
    flags = [["ro", "nosuid", "noexec", "noatime"], ["nodev", "nodiratime", "relatime"]]
    for place, path, words in zip(places, ("/srv/www", "/"), flags):
        bind(pair.old, path, place)
        mount("-o", ",".join(["remount", "bind", *words]), place)
        mount(f"--make-{propagation}", place)
    before = [rows_at(place)[0] for place in places]
    monkeypatch.setattr(call, "absent_calls", call.absent_calls | frozenset(absent.split()))
    assert pair.follow() == [pair.shows(place) for place in places]
    assert (places[0] / "page").read_text() == (places[1] / "srv/www/page").read_text() == "new"
    for old, place in zip(before, places):
        (row,) = rows_at(place)
        assert row.device != old.device
        assert (set(row.flags), row.propagation) == (set(old.flags), old.propagation)
        assert set(row.flags) >= set(old.flags)


def test_what_the_inside_forbids_now_is_forbidden(make: MakePair) -> None:
    pair = make()
    place = pair.place("www")
    bind(pair.old, "/srv/www", place)
    flags = mounts.MS_REMOUNT | mounts.MS_BIND | mounts.MS_NOSUID
    inside(pair.new, lambda: mounts.mount("none", "/", flags=flags), ["mnt"])
    pair.follow()
    assert "nosuid" in rows_at(place)[0].flags


RUN = {"path": f"{NEW_ROOT}/run", "src": "run", "fstype": "tmpfs", "opts": "X-mount.mkdir"}


def test_with_what_is_mounted_below(make: MakePair) -> None:
    """What came along (rbind) goes with it; what the host has mounted on it stays on it."""
    pair = make(RUN)
    for name in (pair.old, pair.new):
        inside(name, lambda name=name: pathlib.Path("/run/mark").write_text(name), ["mnt"])
    place, alone, run = pair.place("all"), pair.place("alone"), pair.place("run")
    bind(pair.old, "/", place, recursive=True)
    mount("-o", "remount,bind,ro,nosuid", place)
    mount("-o", "remount,bind,ro,nodev", place / "run")
    bind(pair.old, "/", alone)
    bind(pair.old, "/run", run)
    mount("-t", "tmpfs", "extra", place / "data")
    (place / "data/mark").write_text("the host's")
    # Of another part of the old root: it is followed first, and stays on the other one.
    bind(pair.old, "/etc", place / "srv/www/logs")
    assert pair.follow() == [
        pair.shows(each) for each in (place / "srv/www/logs", place, alone, run)
    ]
    assert (place / "run/mark").read_text() == pair.new
    assert (run / "mark").read_text() == pair.new
    assert [*(alone / "run").iterdir()] == []
    assert (place / "data/mark").read_text() == "the host's"
    assert (place / "srv/www/logs/release").read_text() == "new"
    assert (place / "srv/www/page").read_text() == "new"
    assert {"ro", "nosuid"} <= set(rows_at(place)[0].flags)
    assert "ro" in rows_at(place / "run")[0].flags
    assert len(rows_at(place / "run")) == len(rows_at(place / "data")) == 1
    assert pair.follow() == []


def test_what_cannot_follow_stays_and_is_told(make: MakePair) -> None:
    pair = make()
    gone = {"logs": "/srv/www/logs", "file": "/etc/release", "below": "/data"}
    (pair.tree(pair.old) / "data/sub").mkdir()
    moved = pair.tree(pair.old) / "srv/moved"
    places = {name: pair.place(name) for name in (*gone, "moved")}
    places["file"] = places["file"] / "page"
    for name, path in gone.items():
        bind(pair.old, path, places[name])
    inside(pair.old, lambda: pathlib.Path("/srv/moved").mkdir(), ["mnt"])
    bind(pair.old, "/srv/moved", places["moved"])
    inside(pair.old, lambda: pathlib.Path("/srv/moved").rmdir(), ["mnt"])
    assert not moved.exists()
    mount("-t", "tmpfs", "extra", places["below"] / "sub")

    def change() -> None:
        pathlib.Path("/srv/www/logs").rmdir()
        pathlib.Path("/etc/release").unlink()
        pathlib.Path("/etc/release").mkdir()

    inside(pair.new, change, ["mnt"])
    before = table.read()
    with pair.planned() as found:
        assert found.actions == []
    told = sorted(found.warnings)
    reasons = {
        "below": f"the new one has no place for what is mounted on {places['below']}/sub",
        "file": "in the new one it is a directory",
        "logs": "the new one has no such path",
        "moved": "that was removed, renamed or covered in it",
    }
    for text, (name, why) in zip(told, reasons.items()):
        path = gone.get(name, "/srv/moved//deleted")
        shown = (
            f"{places[name]} on the host still shows {path} of the root that {pair.old} had before"
        )
        assert text.startswith(f"{shown}: {why}. Unmount it"), text
    assert len(told) == len(reasons)
    assert table.read() == before


def test_links_of_the_new_root_lead_nowhere_else(make: MakePair) -> None:
    pair = make()
    places = [pair.place(name) for name in ("www", "data")]
    for place, path in zip(places, ("/srv/www", "/data")):
        bind(pair.old, path, place)

    def change() -> None:
        os.symlink("/../../srv/there", "/srv/new")
        os.mkdir("/srv/there")
        pathlib.Path("/srv/there/page").write_text("new")
        shutil.rmtree("/srv/www")
        os.rename("/srv/new", "/srv/www")
        os.rmdir("/data")
        os.symlink("../" * 9 + "etc", "/data")

    inside(pair.new, change, ["mnt"])
    assert len(pair.follow()) == 2
    assert (places[0] / "page").read_text() == "new"
    assert (places[1] / "release").read_text() == "new"


def test_what_is_the_hosts_stays(make: MakePair, tmp_path: pathlib.Path) -> None:
    """What a namespace shows of the host is not its own, be it a file system of its own kind."""
    volume = pathlib.Path(f"/run/tests/{tmp_path.name}/host/volume")
    volume.mkdir(parents=True)
    mount("-t", "tmpfs", "volume", volume)
    pair = make({"path": f"{NEW_ROOT}/data", "src": str(volume), "opts": "bind"})
    inside(pair.new, lambda: mounts.mount("other", "/data", fstype="tmpfs"), ["mnt"])
    bind(pair.old, "/data", pair.place("data"))
    # In the home itself nobody else mounts anything.
    ours = pair.home / pair.old / "root"
    ours.mkdir()
    bind(pair.old, "/srv/www", ours)
    mount("--bind", pair.tree(pair.old), pair.place("lower"))
    mount("--bind", pair.home / pair.old, pair.place("home"))
    before = table.read()
    assert pair.follow() == []
    assert table.read() == before
    mounts.umount(str(ours))


def test_what_both_roots_have_stays(make: MakePair) -> None:
    pair = make(RUN)
    with mount_of(pair.old, "/run") as tree:

        def share() -> None:
            with opened(pathlib.Path("/data")) as place:
                detached.move_mount(tree, place)

        inside(pair.new, share, ["mnt"])
    inside(pair.new, lambda: mounts.umount("/run"), ["mnt"])
    inside(pair.new, lambda: mounts.mount("/data", "/run", flags=mounts.MS_BIND), ["mnt"])
    place = pair.place("run")
    bind(pair.old, "/run", place)
    before = table.read()
    assert pair.follow() == []
    assert table.read() == before


def test_the_home_of_a_root_that_is_a_bind_stays(make: MakePair) -> None:
    pair = make(manner="bind")
    mount("--bind", pair.home / pair.old, pair.place("home"))
    mount("--bind", pair.home, pair.place("above"))
    mount("--bind", pair.tree(pair.old) / "srv", pair.place("srv"))
    # It has a mirror in the one above it, which it shares what is mounted with.
    srv = pair.place("srv")
    mirror = pair.place("above") / srv.relative_to(pair.home)
    assert pair.follow() == [pair.shows(each) for each in (mirror, srv)]
    for each in (mirror, srv):
        assert (each / "www/page").read_text() == "new"
        assert len(rows_at(each)) == 1
    assert pair.follow() == []


@pytest.mark.parametrize("absent", ["", "mount_setattr move_mount_beneath"])
def test_peers_of_the_inside(make: MakePair, monkeypatch: pytest.MonkeyPatch, absent: str) -> None:
    """What is mounted inside appears on the host, and the other way round: nothing inside goes with it."""
    pair = make(RUN)
    for name in (pair.old, pair.new):
        inside(name, lambda: mounts.set_propagation_of_all("shared"), ["mnt"])
    place, slave, other = pair.place("all"), pair.place("slave"), pair.place("other")
    for each in (place, slave):
        bind(pair.old, "/", each, recursive=True)
    mount("--make-rslave", slave)
    # A peer of what comes, with a mount on it that no other one has.
    bind(pair.new, "/", other)
    mount("--make-private", other)
    with opened(other) as peer, mount_of(pair.new, "/") as root:
        mount("-t", "tmpfs", "extra", other)
        detached.set_group(root, peer)
    before = mounts_inside(pair.old), mounts_inside(pair.new)
    monkeypatch.setattr(call, "absent_calls", call.absent_calls | frozenset(absent.split()))
    assert len(pair.follow()) == 2
    assert (mounts_inside(pair.old), mounts_inside(pair.new)) == before
    assert rows_at(slave)[0].propagation == "slave"
    assert [each.src for each in rows_at(other)] == ["root", "extra"]
    mount("-t", "tmpfs", "late", place / "data")
    assert [each.src for each in mounts_inside(pair.new) if each.path == "/data"] == ["late"]
    assert [each.src for each in rows_at(slave / "data")] == ["late"]
    mounts.umount(f"{place}/data")
    assert len(pair.follow(back=True)) == 2
    assert (mounts_inside(pair.old), mounts_inside(pair.new)) == before


@pytest.mark.parametrize("absent", ["", "mount_setattr move_mount_beneath"])
def test_who_was_no_peer_of_the_inside_becomes_none(
    make: MakePair, monkeypatch: pytest.MonkeyPatch, absent: str
) -> None:
    pair = make(RUN)
    inside(pair.new, lambda: mounts.set_propagation_of_all("shared"), ["mnt"])
    place = pair.place("all")
    bind(pair.old, "/", place, recursive=True)
    before = mounts_inside(pair.old), mounts_inside(pair.new)
    monkeypatch.setattr(call, "absent_calls", call.absent_calls | frozenset(absent.split()))
    assert pair.follow() == [pair.shows(place)]
    mount("-t", "tmpfs", "late", place / "data")
    mount("-t", "tmpfs", "late", place / "run")
    assert (mounts_inside(pair.old), mounts_inside(pair.new)) == before


def test_who_gets_the_mounts_of_the_host_gets_this(
    make: MakePair, unshared_process: UnsharedProcess
) -> None:
    """A unit with PrivateTmp=: its mount namespace is a slave of the host's."""
    pair = make()
    place = pair.place("www")
    bind(pair.old, "/srv/www", place)
    unit = unshared_process(options=["--propagation=slave"])
    pair.follow()
    assert unit.run("cat", f"{place}/page") == "new"
    assert len(unit.mounted_on(str(place))) == 1


def test_files_that_are_open_stay_so(make: MakePair) -> None:
    pair = make()
    place = pair.place("www")
    bind(pair.old, "/srv/www", place)
    with opened(place) as here, open(place / "page") as page:
        assert len(pair.follow()) == 1
        assert page.read() == "old"
        assert sorted(os.listdir(f"/proc/self/fd/{here}")) == ["logs", "page"]


def test_what_changed_since_is_left_alone(make: MakePair) -> None:
    pair = make()
    place = pair.place("www")
    bind(pair.old, "/srv/www", place)
    with pair.planned() as found:
        mounts.umount(str(place))
        bind(pair.old, "/etc", place)
        (action,) = found.actions
        with pytest.raises(StepFailed) as failed:
            actions.run_all([action], check=False)
    assert failed.value.reason == f"another mount is on {place} by now"
    assert (place / "release").read_text() == "old"
    (row,) = rows_at(place)
    assert row.root == "/etc"


@pytest.mark.parametrize("absent", ["", "move_mount_beneath"])
def test_what_failed_has_changed_nothing(
    make: MakePair, monkeypatch: pytest.MonkeyPatch, absent: str
) -> None:
    pair = make()
    place = pair.place("www")
    bind(pair.old, "/srv/www", place)
    mount("-t", "tmpfs", "extra", place / "logs")
    mount("--make-unbindable", place)

    def fail(_carried: object) -> None:
        raise KernelError("move_mount", errno.ENOSPC, {})

    monkeypatch.setattr(call, "absent_calls", call.absent_calls | frozenset(absent.split()))
    with monkeypatch.context() as failing, pair.planned() as found:
        failing.setattr(swap, "_carry", fail)
        with pytest.raises(StepFailed) as failed:
            actions.run_all(found.actions, check=False)
    assert failed.value.step == pair.shows(place)
    assert failed.value.reason.endswith(f"cannot be mounted on {place}: move_mount: ENOSPC")
    assert (place / "page").read_text() == "old"
    (seen,) = [each for each in table.reachable(table.read()) if each.path == str(place)]
    assert (seen.root, seen.propagation) == ("/srv/www", "unbindable")
    assert [each.src for each in rows_at(place / "logs")] == ["extra"]
    assert pair.follow() == [pair.shows(place)]
    assert (place / "page").read_text() == "new"
    assert [each.src for each in rows_at(place / "logs")] == ["extra"]
