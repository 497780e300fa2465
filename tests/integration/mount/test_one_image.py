# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_mount: one image has one loop device, whoever mounts it, and however often."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import pathlib
import subprocess
import typing as t

import pytest
from disks import SIZES, attached, new_image, run
from host_state import host_state
from mounted import words_on
from reach import let_everyone_reach
from results import Converge, Result, RunModule, is_failure
from unshared_process import Unshared, UnsharedProcess
from waiting import wait_until

Args = dict[str, t.Any]


def users_of(image: pathlib.Path) -> list[str]:
    return run("losetup", "-n", "-O", "NAME", "-j", str(image)).split()


def is_clean(fstype: str, image: pathlib.Path) -> bool:
    words = {"ext4": ["-f", "-n"], "xfs": ["-n"], "btrfs": ["check", "--readonly"]}[fstype]
    program = {"ext4": "fsck.ext4", "xfs": "xfs_repair", "btrfs": "btrfs"}[fstype]
    done = subprocess.run([program, *words, str(image)], check=False, capture_output=True)
    return not done.returncode


@pytest.fixture
def places(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    return tmp_path


@contextlib.contextmanager
def mounted_on_host(words: list[str], place: pathlib.Path) -> t.Iterator[None]:
    run("mount", *words, str(place))
    try:
        yield
    finally:
        run("umount", str(place))


@pytest.mark.parametrize("fstype", SIZES)
def test_two_namespaces_write_to_one(
    fstype: str, converge: Converge, unshared_process: UnsharedProcess, places: pathlib.Path
) -> None:
    image = new_image(fstype, places / "image")
    wanted = {"src": str(image), "fstype": fstype, "opts": "loop", "path": f"{places}/one"}
    targets = [unshared_process(), unshared_process()]
    shown = [converge("ns_mount", {**wanted, "pid": target.pid}) for target in targets]
    assert len(users_of(image)) == 1
    assert len({result["mounts"][0]["src"] for result in shown}) == 1
    for number, target in enumerate(targets):
        target.run("sh", "-c", f"seq 1000 > '{places}/one/{number}'")
    assert all({"0", "1"} <= set(each.run("ls", f"{places}/one").split()) for each in targets)
    for target in targets:
        assert len(users_of(image)) == 1
        converge("ns_mount", {"pid": target.pid, "path": f"{places}/one", "state": "unmounted"})
    assert wait_until(lambda: users_of(image) == [])
    assert is_clean(fstype, image)


@pytest.mark.parametrize("fstype", SIZES)
def test_what_the_host_has_mounted(
    fstype: str, converge: Converge, unshared_process: UnsharedProcess, places: pathlib.Path
) -> None:
    image = new_image(fstype, places / "image")
    target = unshared_process()
    args = {"src": str(image), "fstype": fstype, "pid": target.pid}
    with mounted_on_host(["-o", "loop", str(image)], places / "one"):
        converge("ns_mount", {**args, "opts": "loop", "path": f"{places}/two"})
        (places / "one/here").touch()
        assert "here" in target.run("ls", f"{places}/two")
        # What is written to elsewhere can be shown read-only.
        converge("ns_mount", {**args, "opts": "loop,ro", "path": f"{places}/two"})
        assert "ro" in words_on(target, places / "two")
        (places / "one/still").touch()
        converge("ns_mount", {**args, "state": "unmounted", "path": f"{places}/two"})
        converge("ns_mount", {**args, "opts": "loop,ro", "path": f"{places}/two"})
        assert "still" in target.run("ls", f"{places}/two")
        (places / "one/and-still").touch()
        assert len(users_of(image)) == 1
        converge("ns_mount", {**args, "state": "unmounted", "path": f"{places}/two"})
    assert wait_until(lambda: users_of(image) == [])
    assert is_clean(fstype, image)


def test_many_paths_of_one_task(
    converge: Converge, unshared_process: UnsharedProcess, places: pathlib.Path
) -> None:
    image = new_image("ext4", places / "image")
    mount = {"src": str(image), "fstype": "ext4"}
    listed = [
        {**mount, "path": f"{places}/one", "opts": "loop"},
        {**mount, "path": f"{places}/two", "opts": "loop,ro"},
    ]
    target = unshared_process()
    converge("ns_mount", {"pid": target.pid, "mounts": listed})
    assert len(users_of(image)) == 1
    target.run("touch", f"{places}/one/new")
    assert "new" in target.run("ls", f"{places}/two")


def test_at_once(
    run_module: RunModule, unshared_process: UnsharedProcess, places: pathlib.Path
) -> None:
    image = new_image("ext4", places / "image")
    wanted = {"src": str(image), "fstype": "ext4", "opts": "loop", "path": f"{places}/one"}
    targets = [unshared_process() for _number in range(6)]

    def mount(target: Unshared) -> Result:
        return run_module("ns_mount", {**wanted, "pid": target.pid})

    with concurrent.futures.ThreadPoolExecutor(len(targets)) as pool:
        results = list(pool.map(mount, targets))
    assert [result.get("msg") for result in results if result.get("failed")] == []
    assert len(users_of(image)) == 1


def test_one_that_can_only_be_read_stays_so_while_others_use_it(
    run_module: RunModule,
    converge: Converge,
    unshared_process: UnsharedProcess,
    places: pathlib.Path,
) -> None:
    image = new_image("ext4", places / "image")
    wanted = {"src": str(image), "fstype": "ext4", "path": f"{places}/one"}
    one, two = unshared_process(), unshared_process()
    converge("ns_mount", {**wanted, "pid": one.pid, "opts": "loop,ro"})
    (device,) = users_of(image)
    for check in (True, False):
        result = run_module("ns_mount", {**wanted, "pid": two.pid, "opts": "loop"}, check=check)
        is_failure(result, f"{device} shows {image} already, and can only be read", "ro to opts")
        assert not two.mounted_on(f"{places}/one")
    converge("ns_mount", {**wanted, "pid": two.pid, "opts": "loop,ro"})
    for check in (True, False):
        result = run_module("ns_mount", {**wanted, "pid": two.pid, "opts": "loop"}, check=check)
        where = f"{places}/one in the mount namespace of process {one.pid}"
        is_failure(result, f"and others read from it: {where}", "unmount it there")
    assert users_of(image) == [device]
    converge("ns_mount", {"pid": one.pid, "path": f"{places}/one", "state": "unmounted"})
    converge("ns_mount", {**wanted, "pid": two.pid, "opts": "loop"})
    two.run("touch", f"{places}/one/new")


@pytest.mark.parametrize("words", [["--offset", "4096"], ["--sizelimit", "1048576"]])
def test_a_device_that_overlaps(
    words: list[str],
    run_module: RunModule,
    unshared_process: UnsharedProcess,
    places: pathlib.Path,
) -> None:
    image = new_image("ext4", places / "image")
    target = unshared_process()
    with attached(image, *words) as device:
        wanted = {"src": str(image), "fstype": "ext4", "path": f"{places}/one"}
        for check in (True, False):
            result = run_module(
                "ns_mount", {**wanted, "pid": target.pid, "opts": "loop,ro"}, check=check
            )
            is_failure(result, f"{device} shows", "the same offset and sizelimit")
            assert users_of(image) == [device]


def test_a_device_by_any_of_its_names(
    converge: Converge, unshared_process: UnsharedProcess, places: pathlib.Path
) -> None:
    for fstype in SIZES:
        image = new_image(fstype, places / fstype)
        with attached(image) as device:
            link = places / f"link-{fstype}"
            os.symlink(device, link)
            target = unshared_process()
            args = {"pid": target.pid, "path": f"{places}/one", "fstype": fstype}
            converge("ns_mount", {**args, "src": str(link)})
            for name in (str(link), device):
                assert not converge("ns_mount", {**args, "src": name})["changed"], (fstype, name)
            # The very same, by its image.
            args["opts"] = "loop"
            assert not converge("ns_mount", {**args, "src": str(image)})["changed"]
            converge("ns_mount", {"pid": target.pid, "path": args["path"], "state": "unmounted"})
            assert users_of(image) == [device]


def test_btrfs_with_a_file_open_stays(
    converge: Converge, unshared_process: UnsharedProcess, places: pathlib.Path
) -> None:
    image = new_image("btrfs", places / "image")
    target = unshared_process()
    wanted = {"pid": target.pid, "src": str(image), "fstype": "btrfs", "opts": "loop"}
    first = converge("ns_mount", {**wanted, "path": f"{places}/one"})
    again = converge("ns_mount", {**wanted, "path": f"{places}/one"})
    assert first["mounts"] == again["mounts"]
    changed = converge("ns_mount", {**wanted, "path": f"{places}/one", "opts": "loop,noatime"})
    assert changed["actions"] == [f"set flags of {places}/one: rw,noatime"]
    assert len(users_of(image)) == 1


@pytest.mark.parametrize("opts", ["loop", "loop,ro"])
def test_a_plain_user_is_told(opts: str, run_module: RunModule, places: pathlib.Path) -> None:
    image = new_image("ext4", places / "image")
    let_everyone_reach(places)
    image.chmod(0o666)
    mount = {"path": f"{places}/one", "src": str(image), "fstype": "ext4", "opts": [opts]}
    args = {"argv": ["true"], "kinds": ["user", "mnt"], "mounts": [mount]}
    result = run_module("ns_unshare_run", args, user=65534)
    is_failure(result, "only root of the host can attach an image to a loop device", "become: true")


def test_a_run_uses_the_device_as_well(
    converge: Converge,
    run_module: RunModule,
    unshared_process: UnsharedProcess,
    places: pathlib.Path,
) -> None:
    image = new_image("ext4", places / "image")
    mount = {"path": f"{places}/one", "src": str(image), "fstype": "ext4", "opts": ["loop"]}
    target = unshared_process()
    converge("ns_mount", {**mount, "pid": target.pid})
    run = {"argv": ["touch", f"{places}/one/by-the-run"], "kinds": ["mnt"], "mounts": [mount]}
    assert run_module("ns_unshare_run", run)["rc"] == 0
    assert "by-the-run" in target.run("ls", f"{places}/one")
    assert len(users_of(image)) == 1


def test_what_the_host_has_too_keeps_its_options(
    converge: Converge, unshared_process: UnsharedProcess, places: pathlib.Path
) -> None:
    """The fixture converge compares the host's mounts in check mode, and so does this."""
    image = new_image("ext4", places / "image")
    target = unshared_process()
    args = {"src": str(image), "fstype": "ext4", "pid": target.pid, "path": f"{places}/two"}
    with mounted_on_host(["-o", "loop,errors=remount-ro", str(image)], places / "one"):
        before = host_state()
        for opts in ("loop,errors=continue,noatime", "loop,commit=7"):
            result = converge("ns_mount", {**args, "opts": opts})
            (warning,) = result["warnings"]
            word = opts.split(",")[1]
            assert "is mounted elsewhere too, and has the options that it got there: rw" in str(
                warning
            )
            assert f"What of {word} they do not say was not taken" in str(warning)
            assert host_state() == before
        assert "warnings" not in converge("ns_mount", {**args, "opts": "loop,errors=remount-ro"})
        converge("ns_mount", {"pid": target.pid, "path": args["path"], "state": "unmounted"})
