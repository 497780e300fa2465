# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_rootfs where there is a root: in use, replaced, removed, killed, several runs at once."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time
import typing as t

import pytest
from at_once import at_once, succeeded
from results import Result, RunModule
from trees import (
    COMPRESSIONS,
    Roots,
    archives,
    digest_of,
    facts_of,
    failed,
    make_tree,
    module_process,
    pack,
    roots,
)
from unshared_process import UnsharedProcess
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.host_paths import LOCKS
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs import workspace
from ansible_collections.linux.namespaces.plugins.module_utils._core.storage import lock
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

__all__ = ["archives", "roots"]


class Use(t.NamedTuple):
    """Something that uses a root: how messages call it, and how to end it."""

    words: str
    end: t.Callable[[], t.Any]
    version: t.Callable[[], str]


def _bind(roots: Roots, inside: t.Any) -> Use:
    inside.run("mount", "--bind", str(roots.path), "/mnt")
    return Use(
        f"/mnt in the mount namespace of process {inside.pid}",
        lambda: inside.run("umount", "/mnt"),
        lambda: inside.run("cat", "/mnt/version"),
    )


def _overlay(roots: Roots, inside: t.Any) -> Use:
    inside.run("mount", "-t", "tmpfs", "tmpfs", "/media")
    inside.run("mkdir", "/media/upper", "/media/work")
    layers = f"lowerdir={roots.path},upperdir=/media/upper,workdir=/media/work"
    inside.run("mount", "-t", "overlay", "overlay", "-o", layers, "/mnt")
    return Use(
        "an overlay on /mnt",
        lambda: inside.run("umount", "/mnt"),
        lambda: inside.run("cat", "/mnt/version"),
    )


def _process(roots: Roots, inside: t.Any) -> Use:  # noqa: ARG001
    process = subprocess.Popen(["sleep", "infinity"], cwd=roots.path / "var")

    def end() -> None:
        process.kill()
        process.wait()

    version = pathlib.Path(f"/proc/{process.pid}/cwd/../version")
    return Use(f"process {process.pid}", end, version.read_text)


USES = {"bind": _bind, "overlay": _overlay, "process": _process}


@pytest.fixture(params=list(USES))
def use(
    request: pytest.FixtureRequest, unshared_process: UnsharedProcess
) -> t.Callable[[Roots], Use]:
    return lambda roots: USES[request.param](roots, unshared_process())


def test_a_root_in_use_stays_and_goes_later(
    roots: Roots, use: t.Callable[[Roots], Use], run_module: RunModule
) -> None:
    assert run_module("ns_rootfs", {"path": str(roots.path), "archive": roots.first})["changed"]
    user = use(roots)
    args = {"path": str(roots.path), "archive": roots.second}
    try:
        predicted = run_module("ns_rootfs", args, check=True)
        done = run_module("ns_rootfs", args)
        assert predicted["actions"] == done["actions"] == [f"unpack {roots.second} to {roots.path}"]
        assert user.words in str(done["warnings"])
        assert roots.content() == "second"
        assert user.version() == "first"
        assert roots.beside() == [".root.old-1", "root"]
        again = run_module("ns_rootfs", args)
        assert again["changed"] is False
        assert user.version() == "first"
    finally:
        user.end()
    assert run_module("ns_rootfs", args, check=True)["changed"]
    done = run_module("ns_rootfs", args)
    assert done["actions"] == [f"remove the old root of {roots.path}"]
    assert roots.beside() == ["root"]
    assert run_module("ns_rootfs", args)["changed"] is False


def test_an_overlay_on_the_new_root_does_not_keep_the_old_one(
    roots: Roots, run_module: RunModule, unshared_process: UnsharedProcess
) -> None:
    """It names the same path as one on the old root does."""
    run_module("ns_rootfs", {"path": str(roots.path), "archive": roots.first})
    old = _overlay(roots, unshared_process())
    args = {"path": str(roots.path), "archive": roots.second}
    assert run_module("ns_rootfs", args)["changed"]
    new = _overlay(roots, unshared_process())
    assert (old.version(), new.version()) == ("first", "second")
    assert run_module("ns_rootfs", args)["changed"] is False
    old.end()
    assert run_module("ns_rootfs", args)["actions"] == [f"remove the old root of {roots.path}"]
    assert new.version() == "second"
    new.end()


def test_absent_refuses_a_root_in_use_unless_forced(
    roots: Roots, use: t.Callable[[Roots], Use], run_module: RunModule
) -> None:
    assert run_module("ns_rootfs", {"path": str(roots.path), "archive": roots.first})["changed"]
    user = use(roots)
    args = {"path": str(roots.path), "state": "absent"}
    try:
        for check in (True, False):
            result = failed(run_module("ns_rootfs", args, check=check), "in use", user.words)
            assert any(user.words in each for each in result["used_by"])
        assert run_module("ns_rootfs", {**args, "force": True})["changed"]
        assert not roots.path.exists()
        assert user.version() == "first"
    finally:
        user.end()
    assert run_module("ns_rootfs", args)["changed"]
    assert roots.beside() == []


def test_nothing_is_removed_through_a_mount(roots: Roots, run_module: RunModule) -> None:
    precious = roots.top / "precious"
    precious.mkdir()
    (precious / "data").write_text("")
    assert run_module("ns_rootfs", {"path": str(roots.path), "archive": roots.first})["changed"]
    target = str(roots.path / "tmp")
    mounts.mount(str(precious), target, flags=mounts.MS_BIND)
    try:
        for args in (
            {"state": "absent"},
            {"state": "absent", "force": True},
            {"archive": roots.second, "force": True},
        ):
            result = run_module("ns_rootfs", {"path": str(roots.path), **args})
            failed(result, f"{target} is mounted below it", "Unmount it first")
    finally:
        mounts.umount(target)
    assert (precious / "data").exists()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[: len(data) // 2], ["damaged", "end"]),
        (lambda data: data[:-4], ["damaged"]),
        (
            lambda data: data[: len(data) // 2] + b"garbage" + data[len(data) // 2 + 7 :],
            ["damaged"],
        ),
        (lambda data: data[:12], ["damaged"]),
    ],
    ids=["half", "without its sum", "garbage", "only its start"],
)
@pytest.mark.parametrize("compression", [".gz", ".xz", ".bz2", ".zst"])
def test_a_damaged_archive_leaves_the_old_root(
    compression: str,
    damage: t.Callable[[bytes], bytes],
    words: list[str],
    roots: Roots,
    tmp_path: pathlib.Path,
    run_module: RunModule,
) -> None:
    assert run_module("ns_rootfs", {"path": str(roots.path), "archive": roots.first})["changed"]
    archive = tmp_path / "damaged"
    packed = subprocess.run(
        [*COMPRESSIONS[compression], "-c", roots.second], check=True, capture_output=True
    ).stdout
    archive.write_bytes(damage(packed))
    result = run_module("ns_rootfs", {"path": str(roots.path), "archive": str(archive)})
    failed(result, str(archive), *words[:1])
    assert roots.content() == "first"
    assert roots.beside() == ["root"]


def test_a_full_disk_leaves_the_old_root(
    roots: Roots, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounts.mount("tmpfs", str(small), fstype="tmpfs", data="size=2m")
    try:
        args = {"path": str(small / "root"), "archive": roots.first}
        assert run_module("ns_rootfs", args)["changed"]
        room = os.statvfs(small)
        (small / "ballast").write_bytes(bytes((room.f_bavail - 20) * room.f_bsize))
        result = run_module("ns_rootfs", {**args, "archive": roots.second})
        failed(result, "No space left on device")
        assert result["errno"] == "ENOSPC"
        assert result["step"] == f"unpack {roots.second} to {small / 'root'}"
        assert (small / "root/version").read_text() == "first"
        assert sorted(os.listdir(small)) == ["ballast", "root"]
    finally:
        mounts.umount(str(small))


@pytest.mark.parametrize("step", range(1, 5))
def test_killed_before_a_step_the_next_run_converges(
    step: int, roots: Roots, run_module: RunModule
) -> None:
    assert run_module("ns_rootfs", {"path": str(roots.path), "archive": roots.first})["changed"]
    args = {"path": str(roots.path), "archive": roots.second}
    with contextlib.suppress(AssertionError):
        run_module("ns_rootfs", args, env={"LINUX_NAMESPACES_KILL_BEFORE": str(step)})
    assert roots.content() in ("first", "second")
    result = run_module("ns_rootfs", args)
    assert not result.get("failed"), result
    assert roots.content() == "second"
    assert roots.beside() == ["root"]
    assert run_module("ns_rootfs", args)["changed"] is False


def test_killed_at_any_instant_the_next_run_converges(
    roots: Roots, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    tree = make_tree(tmp_path / "tree")
    for number in range(3_000):
        (tree / f"usr/{number}").write_bytes(b"x" * 2_000)
    (tree / "version").write_text("large")
    large = pack(tree, tmp_path / "large.tar")
    args = {"path": str(roots.path), "archive": roots.first}
    assert run_module("ns_rootfs", args)["changed"]
    chosen = random.Random(7)
    for _round in range(12):
        process = module_process({"path": str(roots.path), "archive": large})
        began = wait_until(lambda: ".root.new" in roots.beside())
        assert began
        time.sleep(chosen.random() * 0.4)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        version = roots.content()
        assert version in ("first", "large")
        if version == "large":
            assert facts_of(roots.path) == facts_of(tree)
            run_module("ns_rootfs", args)
    done = run_module("ns_rootfs", {"path": str(roots.path), "archive": large})
    assert not done.get("failed"), done
    assert facts_of(roots.path) == facts_of(tree)
    assert roots.beside() == ["root"]
    assert run_module("ns_rootfs", {"path": str(roots.path), "state": "absent"})["changed"]
    assert roots.beside() == []


def unpacked_at_once(
    run_module: RunModule, roots: Roots, archives: t.Iterable[str]
) -> list[Result]:
    """The results of unpacking the archives to the same path."""
    path = str(roots.path)
    tasks = [("ns_rootfs", {"path": path, "archive": archive}) for archive in archives]
    return succeeded(at_once(run_module, tasks))


def test_the_same_at_once_is_unpacked_once(roots: Roots, run_module: RunModule) -> None:
    results = unpacked_at_once(run_module, roots, [roots.first] * 4)
    assert sorted(result["changed"] for result in results) == [False, False, False, True]
    assert {result["digest"] for result in results} == {digest_of(roots.first)}
    assert roots.content() == "first"
    assert roots.beside() == ["root"]


@pytest.mark.parametrize("is_mount", [False, True])
def test_others_at_once(
    is_mount: bool, roots: Roots, run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    deep = tmp_path / "tree" / "/".join(["d"] * 500)  # slow to remove, for who comes meanwhile
    deep.mkdir(parents=True)
    (tmp_path / "tree/version").write_text("deep")
    archives = [roots.first, roots.second, pack(tmp_path / "tree", tmp_path / "deep.tar")]
    with contextlib.ExitStack() as stack:
        if is_mount:
            roots.path.mkdir()
            mounts.mount("tests", str(roots.path), fstype="tmpfs")
            stack.callback(mounts.umount, str(roots.path))
        for _round in range(3):
            unpacked_at_once(run_module, roots, archives * 3)
            assert roots.content() in ("first", "second", "deep")
            assert roots.beside() == ["root"]
            assert ".linux-namespaces.new" not in os.listdir(roots.path)


def test_another_run_that_ends_is_no_use_of_a_mount_point(
    roots: Roots, run_module: RunModule
) -> None:
    """Its process stands in the workspace for a moment after it has given back the lock."""
    roots.path.mkdir()
    mounts.mount("tests", str(roots.path), fstype="tmpfs")
    try:
        args = {"path": str(roots.path), "archive": roots.first}
        assert run_module("ns_rootfs", args)["changed"]
        work = roots.path / ".linux-namespaces.new"
        work.mkdir()
        with subprocess.Popen(["sleep", "infinity"], cwd=work) as process:
            try:
                done = run_module("ns_rootfs", {**args, "archive": roots.second})
                assert done["changed"], done
                assert roots.content() == "second"
            finally:
                process.kill()
    finally:
        mounts.umount(str(roots.path), flags=mounts.MNT_DETACH)


@pytest.mark.parametrize("is_mount", [False, True])
def test_what_no_run_has_left_stays(is_mount: bool, roots: Roots, run_module: RunModule) -> None:
    """It has the name of what one would leave."""
    args = {"path": str(roots.path), "archive": roots.first}
    with contextlib.ExitStack() as stack:
        if is_mount:
            roots.path.mkdir()
            mounts.mount("tests", str(roots.path), fstype="tmpfs")
            stack.callback(mounts.umount, str(roots.path), flags=mounts.MNT_DETACH)
        assert run_module("ns_rootfs", args)["changed"]
        work = roots.path / ".linux-namespaces.new" if is_mount else roots.top / ".root.new"
        (work / "precious").mkdir(parents=True)
        # What needs no place to build in does what it is to do.
        for check in (True, False):
            assert run_module("ns_rootfs", args, check=check)["actions"] == []
        for changed in ({"archive": roots.second}, {"archive": None, "state": "absent"}):
            failed(run_module("ns_rootfs", {**args, **changed}), work.name, "Move it")
        assert roots.content() == "first"
        (work / "precious").rmdir()
        assert run_module("ns_rootfs", {**args, "archive": roots.second})["changed"]
        assert roots.content() == "second"
        assert not work.exists()


@contextlib.contextmanager
def held_by_another(work: pathlib.Path) -> t.Iterator[None]:
    """As another run holds the directory in which it builds a root."""
    above = os.open(work.parent, os.O_RDONLY)
    try:
        name = workspace.lock_name(above, work.name)
        with lock.file(f"{LOCKS}/{name}", deadline=time.monotonic()):
            yield
    finally:
        os.close(above)


def test_another_run_at_work_is_not_taken_for_a_killed_one(
    roots: Roots, run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    args = {"path": str(roots.path), "archive": roots.first}
    assert run_module("ns_rootfs", args)["changed"]
    work = roots.top / ".root.new"
    work.mkdir()
    shutil.copy2(roots.first, tmp_path / "copy.tar")  # the marker is to be set anew for it
    for archive in (roots.first, str(tmp_path / "copy.tar")):
        with held_by_another(work):
            result = run_module("ns_rootfs", {**args, "archive": archive})
        assert (result.get("failed"), result["changed"]) == (None, False), result
        assert roots.beside() == [".root.new", "root"]
    result = run_module("ns_rootfs", args)
    assert result["actions"] == [f"remove what a killed run left at {roots.path}"]
    assert roots.beside() == ["root"]
