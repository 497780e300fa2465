# SPDX-License-Identifier: GPL-3.0-or-later
"""A device that is not mounted: who has it, and what is at its path. Hierarchies of cgroup v1."""

from __future__ import annotations

import os
import pathlib
import subprocess
import typing as t

import pytest
from disks import attached, empty_loop_device, image_by
from explained import failed, here
from named_namespaces import NewName
from reach import let_everyone_reach
from results import RunModule
from unshared_process import Unshared, UnsharedProcess
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import table

__all__ = ["here"]
Args = dict[str, t.Any]


@pytest.fixture
def device(here: pathlib.Path) -> t.Iterator[str]:
    with attached(image_by(here / "image", "mkfs.ext4", "-q")) as name:
        yield name


def test_mounted_elsewhere(
    run_module: RunModule, unshared_process: UnsharedProcess, here: pathlib.Path, device: str
) -> None:
    """Also where it is in a mount namespace that is neither the host's nor the target's."""
    one, two = unshared_process(), unshared_process()
    there: Args = {"pid": one.pid, "path": f"{here}/other", "src": device, "fstype": "ext4"}
    assert not run_module("ns_mount", there).get("failed")
    args: Args = {"pid": two.pid, "path": f"{here}/mnt", "src": device}
    shown = f"mounted on {here}/other in the mount namespace of process {one.pid} (ext4)"
    try:
        result = run_module("ns_mount", {**args, "fstype": "xfs"})
        reason = f"{device} is in use: {shown}"
        failed(result, "fsconfig", "EBUSY", reason, "Have it let go there, or name another device")
        assert not run_module("ns_mount", {**args, "fstype": "ext4"}).get("failed")
    finally:
        for mount in (there, args):
            run_module("ns_mount", {**mount, "state": "unmounted"})


def test_mounted_on_the_host(
    run_module: RunModule, target: Unshared, here: pathlib.Path, device: str
) -> None:
    there: Args = {"path": f"{here}/other", "src": device, "fstype": "ext4", "opts": "ro"}
    assert not run_module("ns_mount", there).get("failed")
    try:
        args = {"pid": target.pid, "path": f"{here}/mnt", "src": device, "fstype": "ext4"}
        result = run_module("ns_mount", args)
        reason = f"{device} cannot be mounted to be written to, since it is read-only already: "
        failed(result, "fsconfig", "EBUSY", reason, "Add ro to opts")
        assert f"mounted on {here}/other (ext4)" in result["reason"]
    finally:
        run_module("ns_mount", {**there, "state": "unmounted", "opts": ""})


def test_opened_by_a_program_for_itself(
    run_module: RunModule, target: Unshared, here: pathlib.Path, device: str
) -> None:
    args = {"pid": target.pid, "path": f"{here}/mnt", "src": device, "fstype": "ext4"}
    held = os.open(device, os.O_RDONLY | os.O_EXCL)
    try:
        result = run_module("ns_mount", args)
        reason = f"{device} is in use: open in {os.getpid()} ("
        failed(result, "fsconfig", "EBUSY", reason, "Have it let go there")
    finally:
        os.close(held)
    assert not run_module("ns_mount", args).get("failed")
    run_module("ns_mount", {**args, "state": "unmounted"})


def test_swap(run_module: RunModule, target: Unshared, here: pathlib.Path) -> None:
    with attached(image_by(here / "swap", "mkswap")) as device:
        on = subprocess.run(["swapon", device], check=False, capture_output=True, text=True)
        if on.returncode:
            pytest.skip(f"nothing can be used for swap here: {on.stderr.strip()}")
        try:
            args = {"pid": target.pid, "path": f"{here}/mnt", "src": device, "fstype": "ext4"}
            result = run_module("ns_mount", args)
            reason = f"{device} is in use: used for swap (swapoff {device} ends that)"
            failed(result, "fsconfig", "EBUSY", reason, "Have it let go there")
        finally:
            subprocess.run(["swapoff", device], check=True)


def test_what_is_no_block_device(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    image = image_by(here / "image", "mkfs.xfs", "-q", size=320 << 20)
    args: Args = {"pid": target.pid, "path": f"{here}/mnt", "fstype": "xfs"}
    for src, errno, reason, hint in (
        (str(image), "ENOTBLK", "is not a block device, but a regular file", "add loop to opts"),
        (f"{here}/src", "ENOTBLK", "is not a block device, but a directory", "(opts: bind)"),
        ("/dev/null", "ENOTBLK", "is not a block device, but a character device", "in src."),
        (f"{here}/none", "ENOENT", "does not exist on the host", "Name a block device in src."),
    ):
        result = run_module("ns_mount", {**args, "src": src})
        failed(result, "fsconfig", errno, f"src {src} {reason}", hint)
    for path, errno, reason in (
        ("/dev/null", "ENOTBLK", "is not a block device, but a character device"),
        (f"{here}/none", "ENOENT", "does not exist on the host"),
    ):
        opts = f"loop,logdev={path}"
        result = run_module("ns_mount", {**args, "src": str(image), "opts": opts})
        failed(result, "fsconfig", errno, f"logdev {path} {reason}", "block device in logdev.")


def test_a_loop_device_without_an_image(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    with empty_loop_device() as device:
        args: Args = {"pid": target.pid, "path": f"{here}/mnt", "src": device, "fstype": "ext4"}
        result = run_module("ns_mount", args)
        if result["errno"] == "ENXIO":
            pytest.skip("this kernel opens no loop device that has no image")
        reason = f"{device} has no size: nothing is attached to it"
        failed(result, "fsconfig", result["errno"], reason, "add loop to opts")
        result = run_module("ns_mount", {**args, "opts": "loop"})
        reason = f"{device} is no file that could hold an image"
        failed(result, "open", "EINVAL", reason, "Leave loop out of opts")


def test_an_image_on_the_mount_that_is_busy(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    """No process has it open: the kernel has."""
    args: Args = {"pid": target.pid, "path": f"{here}/mnt"}
    assert not run_module("ns_mount", {**args, "fstype": "tmpfs"}).get("failed")
    image = f"{here}/mnt/image"
    target.run("truncate", "--size=4M", image)
    device = target.run("losetup", "--show", "--find", image).strip()
    try:
        shown = f"{image} is attached to {device} (losetup --detach {device})"
        result = run_module("ns_mount", {**args, "state": "unmounted"})
        reason = f"the mount on {here}/mnt is in use: {shown}"
        failed(result, "umount2", "EBUSY", reason, "detach the device")
        result = run_module("ns_mount", {**args, "state": "remounted", "opts": "ro"})
        assert shown in result["reason"]
        assert "cannot become read-only" in result["reason"]
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    gone = {**args, "state": "unmounted"}
    assert wait_until(lambda: not run_module("ns_mount", gone).get("failed"))


# Control groups


def hierarchies() -> dict[str, int]:
    """The number of the hierarchy of each controller."""
    lines = pathlib.Path("/proc/cgroups").read_text().splitlines()[1:]
    return {line.split()[0]: int(line.split()[1]) for line in lines}


def test_controllers_of_other_hierarchies(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    numbers = hierarchies()
    version_1 = sorted(each for each, number in numbers.items() if number)
    if len({numbers[each] for each in version_1}) < 2:
        pytest.skip("this host has no two hierarchies of cgroup v1")
    one = version_1[0]
    two = next(each for each in version_1 if numbers[each] != numbers[one])
    args: Args = {"pid": target.pid, "path": f"{here}/mnt", "src": "cgroup", "fstype": "cgroup"}
    result = run_module("ns_mount", {**args, "opts": f"{one},{two}"})
    reason = "controllers are in hierarchies that are there already: "
    failed(result, "fsconfig", "EBUSY", reason, "Mount each as it is there (opts: ")
    for name in (one, two):
        assert f"{name} in " in result["reason"]
    together = ",".join(each for each in version_1 if numbers[each] == numbers[one])
    assert together in result["hint"]
    assert not run_module("ns_mount", {**args, "opts": together}).get("failed")
    run_module("ns_mount", {**args, "state": "unmounted"})


def test_a_hierarchy_of_that_name(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    rows = pathlib.Path("/proc/self/mountinfo").read_text()
    free = [each for each, number in hierarchies().items() if not number]
    if "name=systemd" not in rows or not free:
        pytest.skip("this host has no hierarchy with a name, or no controller besides")
    args: Args = {"pid": target.pid, "path": f"{here}/mnt", "src": "cgroup", "fstype": "cgroup"}
    result = run_module("ns_mount", {**args, "opts": f"{free[0]},name=systemd"})
    reason = "the hierarchy name=systemd has other controllers: none"
    failed(result, "fsconfig", "EBUSY", reason, "opts none,name=systemd")
    assert not run_module("ns_mount", {**args, "opts": "none,name=systemd"}).get("failed")
    run_module("ns_mount", {**args, "state": "unmounted"})


def test_a_new_hierarchy_in_a_cgroup_namespace_of_its_own(
    run_module: RunModule, new_name: NewName, here: pathlib.Path
) -> None:
    version_1 = [each for each, number in hierarchies().items() if number]
    if not version_1:
        pytest.skip("this host has no hierarchy of cgroup v1")
    let_everyone_reach(here)
    name = new_name()
    assert not run_module("ns_namespace", {"name": name, "kinds": ["mnt", "cgroup"]}).get("failed")
    args: Args = {"namespace": name, "path": f"{here}/mnt", "src": "x", "fstype": "cgroup"}
    result = run_module("ns_mount", {**args, "opts": f"none,name={name}"})
    reason = "a new hierarchy of cgroup v1 cannot be made in a cgroup namespace of its own"
    failed(result, "fsconfig", "EPERM", reason, "or name the controllers of one that it has")
    numbers = hierarchies()
    together = [each for each in version_1 if numbers[each] == numbers[version_1[0]]]
    assert not run_module("ns_mount", {**args, "opts": ",".join(together)}).get("failed")


def test_a_controller_that_cgroup2_gives_to_its_groups(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    rows = [row for row in table.read() if row.fstype == "cgroup2"]
    root = pathlib.Path(rows[0].path) if rows else here
    free = (root / "cgroup.controllers").read_text().split() if rows else []
    given = (root / "cgroup.subtree_control").read_text().split() if rows else []
    ours = [each for each in free if each not in given and each != "perf_event"]
    if not ours:
        pytest.skip("this host has no controller for cgroup2 that it does not use")
    args: Args = {"pid": target.pid, "path": f"{here}/mnt", "src": "cgroup", "fstype": "cgroup"}
    group, switch = root / f"tests-{os.getpid()}", root / "cgroup.subtree_control"
    group.mkdir()
    try:
        switch.write_text(f"+{ours[0]}")
        result = run_module("ns_mount", {**args, "opts": ours[0]})
        reason = (
            f"controllers are in hierarchies that are there already: {ours[0]} in that on {root}"
        )
        failed(result, "fsconfig", "EBUSY", reason, f"Mount cgroup2, or bind it: src {root}.")
    finally:
        switch.write_text(f"-{ours[0]}")
        group.rmdir()
