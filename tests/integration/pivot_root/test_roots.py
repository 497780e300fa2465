# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_pivot_root against the kernel: every kind of root and target, old roots, the record."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import typing as t

import pytest
from host_state import host_state
from pivots import (
    NewName,
    Web,
    make_directory,
    mounted,
    new_root,
    refused,
    root_of,
    web,
    with_tmpfs,
)
from processes_inside import inside, living
from results import Converge, RunModule
from unshared_process import UnsharedProcess
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)

__all__ = ["new_root", "web"]


@pytest.fixture
def disk(tmp_path: pathlib.Path) -> t.Iterator[str]:
    """A block device with an ext4 file system."""
    image = tmp_path / "disk"
    image.touch()
    os.truncate(image, 4 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    argv = ["losetup", "--find", "--show", str(image)]
    device = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    yield device
    subprocess.run(["losetup", "--detach", device], check=True)


def mount_of(kind: str, tmp_path: pathlib.Path, disk: str) -> dict[str, t.Any]:
    """The options of ns_mount for a root of this kind."""
    lower = tmp_path / "lower"
    for name in ("lower", "upper", "work"):
        (tmp_path / name).mkdir()
    if kind == "overlay":
        words = [f"{name}dir={tmp_path / name}" for name in ("lower", "upper", "work")]
        return {"src": "root", "fstype": "overlay", "opts": words}
    if kind == "bind":
        return {"src": str(lower), "opts": "bind"}
    if kind == "block device":
        return {"src": disk, "fstype": "ext4"}
    return {"src": "root", "fstype": "tmpfs"}


@pytest.mark.parametrize("is_lived_in", [False, True], ids=["empty", "lived in"])
@pytest.mark.parametrize("kind", ["tmpfs", "overlay", "bind", "block device"])
def test_a_mount_becomes_the_root(
    kind: str,
    is_lived_in: bool,
    converge: Converge,
    web: Web,
    new_root: pathlib.Path,
    tmp_path: pathlib.Path,
    disk: str,
) -> None:
    name = web()
    root_mount = {"namespace": name, "path": str(new_root), **mount_of(kind, tmp_path, disk)}
    findmnt = ["findmnt", "--noheadings", "--output=FSTYPE", "--target", str(tmp_path)]
    of_bound = subprocess.check_output(findmnt, text=True).strip()
    below = {
        "namespace": name,
        "mounts": [
            {"path": f"{new_root}/run", "src": "r", "fstype": "tmpfs", "opts": "X-mount.mkdir"},
            {
                "path": f"{new_root}/etc/hosts",
                "src": "/etc/hosts",
                "opts": "bind,ro,X-mount.mkdir",
            },
        ],
    }
    pivot = {"namespace": name, "new_root": str(new_root)}
    converge("ns_mount", root_mount)
    converge("ns_mount", below)
    table = host_state()["mounts"]

    def check() -> None:
        assert {"etc", "run"} <= set(root_of(name)) <= {"etc", "run", "lost+found"}
        fstype = {"bind": of_bound, "block device": "ext4"}.get(kind, kind)
        expected = {"/": fstype, "/run": "tmpfs", "/etc/hosts": mounted(name)["/etc/hosts"]}
        assert mounted(name) == expected
        # There is no way up, nor out.
        above, here = inside(name, lambda: [os.stat(path) for path in ("/..", "/")], ["mnt"])
        assert os.path.samestat(above, here)
        assert not inside(name, lambda: os.path.exists("/usr"), ["mnt"])

    if is_lived_in:
        with living(name) as pid:
            done = converge("ns_pivot_root", pivot)
            # The process follows, with its root and its working directory.
            for link in ("root", "cwd"):
                assert set(os.listdir(f"/proc/{pid}/{link}")) == set(root_of(name))
            assert pathlib.Path(f"/proc/{pid}/mountinfo").read_text().count("\n") == 3
            check()
    else:
        done = converge("ns_pivot_root", pivot)
        check()
    assert done["actions"] == [f"pivot to {new_root}", f"record the pivot to {new_root}"]
    assert done["persistent"] is True
    assert f"root: {new_root}" in done["diff"]["after"]
    # The tasks from before the pivot find everything where it was.
    for task in (root_mount, below):
        assert converge("ns_mount", task)["changed"] is False
    late = {"namespace": name, "path": f"{new_root}/late", "src": "l", "fstype": "tmpfs"}
    assert converge("ns_mount", {**late, "opts": "X-mount.mkdir"})["changed"]
    assert mounted(name)["/late"] == "tmpfs"
    assert host_state()["mounts"] == table
    facts = converge("ns_namespace", {"name": name})["namespace"]
    assert facts["root"] == str(new_root)


def test_an_old_root_is_kept_moved_and_let_go(
    converge: Converge, run_module: RunModule, web: Web, new_root: pathlib.Path
) -> None:
    name = web()
    with_tmpfs(converge, name, new_root)
    for old in ("old", "older"):
        make_directory(name, f"{new_root}/{old}")
    pivot = {"namespace": name, "new_root": str(new_root)}
    with living(name) as pid:
        converge("ns_pivot_root", {**pivot, "put_old": f"{new_root}/old"})
        assert sorted(os.listdir(f"/proc/{pid}/root")) == ["old", "older"]
    assert inside(name, lambda: os.path.exists("/old/usr/bin"), ["mnt"])
    assert "/old/proc" in mounted(name)
    moved = converge("ns_pivot_root", {**pivot, "put_old": f"{new_root}/older"})
    assert moved["actions"][0] == f"move the old root to {new_root}/older"
    assert "/older/proc" in mounted(name)
    table = host_state()["mounts"]
    gone = converge("ns_pivot_root", pivot)
    assert gone["actions"] == ["detach the old root from /older", f"record the pivot to {new_root}"]
    assert mounted(name) == {"/": "tmpfs"}
    assert host_state()["mounts"] == table
    failure = refused(run_module, {**pivot, "put_old": f"{new_root}/old"})
    assert "without keeping its old root, which is gone" in failure["reason"]


def test_a_second_pivot(converge: Converge, web: Web, new_root: pathlib.Path) -> None:
    """Paths from before either pivot name the same places after both."""
    name = web()
    with_tmpfs(converge, name, new_root)
    make_directory(name, f"{new_root}/inner")
    first = {"namespace": name, "new_root": str(new_root)}
    second = {"namespace": name, "new_root": f"{new_root}/inner"}
    converge("ns_pivot_root", first)
    with_tmpfs(converge, name, new_root / "inner", opts="size=1m")
    converge("ns_pivot_root", second)
    assert mounted(name) == {"/": "tmpfs"}
    assert converge("ns_pivot_root", first)["changed"] is False
    assert converge("ns_pivot_root", second)["changed"] is False
    deep = {"path": f"{new_root}/inner/deep", "src": "d", "fstype": "tmpfs"}
    converge("ns_mount", {"namespace": name, **deep, "opts": "X-mount.mkdir"})
    assert mounted(name) == {"/": "tmpfs", "/deep": "tmpfs"}
    assert converge("ns_namespace", {"name": name})["namespace"]["root"] == f"{new_root}/inner"


@pytest.mark.parametrize("kind", ["pid", "namespace_path"])
def test_other_targets(
    kind: str,
    run_module: RunModule,
    converge: Converge,
    unshared_process: UnsharedProcess,
    new_root: pathlib.Path,
) -> None:
    process = unshared_process()
    target: dict[str, t.Any] = {"pid": process.pid}
    if kind == "namespace_path":
        target = {"namespace_path": f"/proc/{process.pid}/ns/mnt"}
    mount = {"path": str(new_root), "src": "root", "fstype": "tmpfs"}
    converge("ns_mount", {**target, **mount})
    pivot = {**target, "new_root": str(new_root)}
    assert run_module("ns_pivot_root", pivot, check=True)["actions"] == [f"pivot to {new_root}"]
    done = run_module("ns_pivot_root", pivot)
    assert done["actions"] == [f"pivot to {new_root}"]
    assert done["persistent"] is False
    assert os.listdir(f"/proc/{process.pid}/root") == []
    # Nothing is kept of it: a second run cannot tell, and says so.
    assert "keeps no note of its pivots" in refused(run_module, pivot)["hint"]


def test_with_a_user_namespace(
    converge: Converge, run_module: RunModule, web: Web, new_root: pathlib.Path
) -> None:
    name = web(kinds=["mnt", "user"])
    # What was there before the namespace is locked to the rest of what was copied.
    locked = run_module("ns_pivot_root", {"namespace": name, "new_root": "/proc"})
    assert locked["failed"]
    assert (locked["syscall"], locked["errno"]) == ("pivot_root", "EINVAL")
    assert locked["step"] == "pivot to /proc"
    assert "is locked in place" in locked["reason"]
    assert "opts=rbind src_in=namespace" in locked["hint"]
    bind = {"path": str(new_root), "src": "/proc", "opts": "rbind", "src_in": "namespace"}
    converge("ns_mount", {"namespace": name, **bind})
    converge("ns_pivot_root", {"namespace": name, "new_root": str(new_root)})
    assert mounted(name) == {"/": "proc"}


def test_check_mode_of_a_play_from_nothing(
    run_module: RunModule, new_name: NewName, new_root: pathlib.Path
) -> None:
    pivot = {"namespace": new_name(), "new_root": str(new_root)}
    predicted = run_module("ns_pivot_root", pivot, check=True)
    assert predicted["actions"] == [f"pivot to {new_root}"]
    assert "there is no namespace" in run_module("ns_pivot_root", pivot)["reason"]


def test_persistent(converge: Converge, web: Web, new_root: pathlib.Path) -> None:
    name = web()
    record = pathlib.Path(definitions.DIRECTORY, f"{name}.json")

    def recorded() -> list[str]:
        steps = json.loads(record.read_text())["steps"]
        return [step["do"] for step in steps]

    with_tmpfs(converge, name, new_root)
    pivot = {"namespace": name, "new_root": str(new_root)}
    assert converge("ns_pivot_root", {**pivot, "persistent": False})["persistent"] is False
    assert recorded() == ["mount"]
    done = converge("ns_pivot_root", pivot)
    assert done["actions"] == [f"record the pivot to {new_root}"]
    assert done["persistent"] is True
    assert recorded() == ["mount", "pivot"]


def test_the_processes_of_a_pid_namespace_follow(
    converge: Converge, web: Web, new_root: pathlib.Path
) -> None:
    name = web(kinds=["mnt", "pid"])
    with_tmpfs(converge, name, new_root)
    with living(name) as pid:
        converge("ns_pivot_root", {"namespace": name, "new_root": str(new_root)})
        holder = json.loads(pathlib.Path(host_paths.directory(name), "holder.json").read_text())[
            "pid"
        ]
        for each in (pid, holder):
            assert wait_until(lambda each=each: os.listdir(f"/proc/{each}/root") == [])  # type: ignore[misc]
            assert os.listdir(f"/proc/{each}/cwd") == []
