# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources on the host that lie below an unpacked root: its links, which are those of an image, lead
nowhere out of it. Those of the host are its own business."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from hostile_places import LAYERS, Place, Racer, seen_in
from results import Converge, RunModule
from unshared_process import Unshared, UnsharedProcess

Kernel = dict[str, str]
Args = dict[str, t.Any]


@pytest.fixture
def unpacked(filled: Place) -> pathlib.Path:
    """The root, as ns_rootfs has unpacked it on the host, with links to the canary."""
    os.setxattr(filled.root, "trusted.linux_namespaces.digest", b"sha256:" + b"0" * 64)
    (filled.root / "share").symlink_to(filled.canary)
    (filled.root / "up").symlink_to("../../..")
    return filled.root


def host_args(target: Unshared, **more: t.Any) -> Args:
    return {"pid": target.pid, "path": "/media", **more}


WAYS = {
    "through the root": "{root}/share",
    "through a link of the host to the root": "{root}.link/share",
    "through a link of the host into the root": "{root}.deep",
    "through the root of a process": "/proc/{pid}/root/share",
}


def way_of(way: str, place: Place, target: Unshared) -> str:
    root = place.root
    root.with_name("root.link").symlink_to(root)
    root.with_name("root.deep").symlink_to(root / "share")
    return WAYS[way].format(root=root, pid=target.pid)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("what", ["bind", "overlay"])
def test_a_source_below_an_unpacked_root(
    what: str,
    there: bool,
    way: str,
    kernel: Kernel,
    run_module: RunModule,
    converge: Converge,
    unshared_process: UnsharedProcess,
    jailed: Unshared,
    unpacked: pathlib.Path,
    place: Place,
) -> None:
    """Its links lead where they will lead in it, and not to the host."""
    source = way_of(way, place, jailed)
    inside = unpacked / str(place.canary).lstrip("/")
    if there:
        (inside / "inside").mkdir(parents=True)
    target = unshared_process()
    args = host_args(target, src=source, opts="bind")
    if what == "overlay":
        opts = f"lowerdir={source}:{unpacked}/old"
        args = host_args(target, src="x", fstype="overlay", opts=opts)
    if not there:
        result = run_module("ns_mount", args, env=kernel)
        assert result["failed"]
        assert "No such file" in result["msg"] or "does not exist on the host" in result["msg"]
        return
    if way == "through the root of a process":
        # A name of the host's that its name there has by chance is not taken for it.
        result = run_module("ns_mount", args, env=kernel)
        assert (result["failed"], result["errno"]) == (True, "EINVAL")
        return
    converge("ns_mount", args, env=kernel)
    assert seen_in(target, "/media") == ["inside"]


PATHS = {
    "share": "{root}/share",
    "new": "{root}/share/new",
    "directory": "{root}/share/directory",
    "up": "{root}/up/canary/directory",
    "through a link of the host into the root": "{root}.own/share/directory",
    "through a link of the host and one of the root": "{root}.deep/directory",
}


@pytest.mark.parametrize("path", PATHS)
def test_a_mount_point_below_an_unpacked_root(
    path: str,
    converge: Converge,
    unshared_process: UnsharedProcess,
    unpacked: pathlib.Path,
    place: Place,
) -> None:
    """Before the pivot into it, by its path on the host: nothing is made or hidden beside it."""
    target = unshared_process()
    (unpacked / "own").mkdir()
    (unpacked / "own/share").symlink_to(place.canary)
    unpacked.with_name("root.own").symlink_to(unpacked / "own")
    unpacked.with_name("root.deep").symlink_to(unpacked / "share")
    args = host_args(target, path=PATHS[path].format(root=unpacked), src="x", fstype="tmpfs")
    assert converge("ns_mount", {**args, "opts": "X-mount.mkdir"})["changed"]
    (mounted,) = [line.split(" ")[4] for line in target.mountinfo() if " - tmpfs x " in line]
    assert mounted.startswith(f"{unpacked}/")
    assert place.is_untouched()
    assert converge("ns_mount", {**args, "state": "unmounted"})["changed"]


def test_a_link_of_the_host_is_its_own_business(
    kernel: Kernel,
    converge: Converge,
    run_module: RunModule,
    unshared_process: UnsharedProcess,
    tmp_path: pathlib.Path,
) -> None:
    for name in ("a", "b", "other/c"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to("other")
    (tmp_path / "b/absolute").symlink_to(tmp_path / "link/c")
    (tmp_path / "other/c/file").touch()
    target = unshared_process()
    for args in (
        host_args(target, src=f"{tmp_path}/b/absolute", opts="bind"),
        host_args(
            target, src="x", fstype="overlay", opts=f"lowerdir={tmp_path}/a:{tmp_path}/b/absolute"
        ),
        host_args(
            target, src="x", fstype="overlay", opts=f"lowerdir={tmp_path}/a:{tmp_path}/a/../link/c"
        ),
    ):
        converge("ns_mount", args, env=kernel)
        assert seen_in(target, "/media") == ["file"]
    # As an earlier version, and mount(8), have the kernel look it up.
    target.run("umount", "/media")
    words = f"lowerdir={tmp_path}/a:{tmp_path}/b/absolute"
    target.run("mount", "-t", "overlay", "-o", words, "x", "/media")
    assert not run_module("ns_mount", host_args(target, src="x", fstype="overlay", opts=words))[
        "changed"
    ]


@pytest.mark.parametrize("layer", ["lower", "upper", "work"])
def test_a_race_below_an_unpacked_root(
    layer: str,
    kernel: Kernel,
    run_module: RunModule,
    unshared_process: UnsharedProcess,
    unpacked: pathlib.Path,
    place: Place,
) -> None:
    target = unshared_process()
    (unpacked / "layer").mkdir()
    opts = LAYERS[layer].format(unpacked, "layer")
    args = host_args(target, src="x", fstype="overlay", opts=opts)
    mounted = 0
    with Racer(unpacked / "layer", str(place.canary)) as racer:
        for _round in range(30):
            result = run_module("ns_mount", args, env=kernel)
            if not result.get("failed"):
                mounted += 1
                assert seen_in(target, "/media") in (["file"], [])
                run_module("ns_mount", {**args, "state": "unmounted"}, env=kernel)
            assert place.is_untouched()
    assert racer.swaps > 1000
    assert mounted > 0


def test_a_device_of_an_unpacked_root_is_not_used(
    run_module: RunModule, unshared_process: UnsharedProcess, unpacked: pathlib.Path
) -> None:
    target = unshared_process()
    for args in (
        {"fstype": "ext4", "src": f"{unpacked}/real/disk"},
        {"fstype": "auto", "src": f"{unpacked}/real/disk"},
        {"fstype": "ext4", "src": f"{unpacked}/real/file"},
        {"fstype": "ext4", "src": "/dev/null", "opts": f"journal_path={unpacked}/real/file"},
        {"fstype": "btrfs", "src": "/dev/null", "opts": f"device={unpacked}/real/file"},
    ):
        if args["src"].endswith("disk") and not os.path.exists(args["src"]):
            os.mknod(args["src"], 0o600 | 0o060000, os.makedev(7, 0))
        result = run_module("ns_mount", host_args(target, **args))
        assert "lies in a root file system of others" in result["reason"], result
        assert "step" not in result
