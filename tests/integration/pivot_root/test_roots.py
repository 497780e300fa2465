# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_pivot_root against the kernel: every kind of root, old roots, and each way to be refused."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import typing as t

import pytest
from host_state import host_state
from processes_inside import inside, living, mounts_inside
from results import Converge, Result, RunModule
from unshared_process import UnsharedProcess
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import files, mounts

NewName = t.Callable[[], str]
Web = t.Callable[..., str]


@pytest.fixture
def web(run_module: RunModule, new_name: NewName) -> Web:
    """A named namespace with a mount namespace, and what else is asked for; its name."""

    def make(**options: t.Any) -> str:
        name = new_name()
        done = run_module("ns_namespace", {"name": name, "kinds": ["mnt"], **options})
        assert not done.get("failed"), done
        return name

    return make


@pytest.fixture
def new_root(tmp_path: pathlib.Path) -> pathlib.Path:
    """The mount point of what is to become the root."""
    path = tmp_path / "root"
    path.mkdir()
    return path


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


def refused(run_module: RunModule, args: dict[str, t.Any]) -> Result:
    """The failure of a task that changes nothing, in check mode neither."""
    before = host_state()
    results = [run_module("ns_pivot_root", args, check=check) for check in (True, False)]
    assert host_state() == before
    for result in results:
        assert result["failed"], result
        assert "defect" not in result["msg"]
        assert result["reason"][1:] in result["msg"]
        assert result["hint"] in result["msg"]
    assert results[0]["reason"] == results[1]["reason"]
    return results[1]


def root_of(name: str) -> list[str]:
    return sorted(inside(name, lambda: os.listdir("/"), ["mnt"]))


def mounted(name: str) -> dict[str, str]:
    """The types of the file systems inside, by the path they are mounted on."""
    return {mount.path: mount.fstype for mount in mounts_inside(name)}


def make_directory(name: str, path: str) -> None:
    inside(name, lambda: os.makedirs(path), ["mnt"])


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


def with_tmpfs(converge: Converge, name: str, path: pathlib.Path, **options: t.Any) -> None:
    mount = {"namespace": name, "path": str(path), "src": "root", "fstype": "tmpfs", **options}
    converge("ns_mount", mount)


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


# --- nothing of the host


def test_letting_go_does_not_reach_the_host(
    converge: Converge, run_module: RunModule, web: Web
) -> None:
    """An unmount below a mount that the host shares would unmount the host's as well."""
    name = web(propagation="unchanged")
    table = host_state()["mounts"]
    assert any(" - cgroup" in line or " - devpts" in line for line in table)
    failure = refused(run_module, {"namespace": name, "new_root": "/proc"})
    assert "new_root is a shared mount: /proc" in failure["reason"]
    private = {"namespace": name, "path": "/", "state": "remounted", "propagation": "private"}
    converge("ns_mount", private)
    with_tmpfs(converge, name, pathlib.Path("/mnt"))
    converge("ns_pivot_root", {"namespace": name, "new_root": "/mnt"})
    assert mounted(name) == {"/": "tmpfs"}
    assert host_state()["mounts"] == table
    kept = web(propagation="unchanged")
    table = host_state()["mounts"]
    converge("ns_mount", {**private, "namespace": kept})
    with_tmpfs(converge, kept, pathlib.Path("/mnt"))
    make_directory(kept, "/mnt/old")
    pivot = {"namespace": kept, "new_root": "/mnt"}
    converge("ns_pivot_root", {**pivot, "put_old": "/mnt/old"})
    converge("ns_pivot_root", pivot)
    assert mounted(kept) == {"/": "tmpfs"}
    assert host_state()["mounts"] == table


def test_a_hostile_root(
    converge: Converge, web: Web, new_root: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Links in the new root lead nowhere outside of it, whatever they are called."""
    lower = tmp_path / "hostile"
    lower.mkdir()
    for link in ("proc", "dev", "sys", "old"):
        (lower / link).symlink_to(f"{tmp_path}/canary")
    canary = tmp_path / "canary"
    canary.mkdir()
    name = web()
    bind = {"namespace": name, "path": str(new_root), "src": str(lower), "opts": "bind"}
    converge("ns_mount", bind)
    converge("ns_pivot_root", {"namespace": name, "new_root": str(new_root)})
    assert root_of(name) == ["dev", "old", "proc", "sys"]
    assert list(mounted(name)) == ["/"]
    assert list(canary.iterdir()) == []


# --- refused


def test_new_roots_that_cannot_be(
    run_module: RunModule, converge: Converge, web: Web, new_root: pathlib.Path
) -> None:
    name = web()
    (new_root / "file").touch()

    def failure_of(path: t.Any, **options: t.Any) -> Result:
        return refused(run_module, {"namespace": name, "new_root": str(path), **options})

    # EBUSY: on the mount of the root, as /tmp need not be
    failure = failure_of("/usr")
    assert "lies on the current root mount and is not a mount point of its own" in failure["reason"]
    assert (failure["syscall"], failure["errno"]) == ("pivot_root", "EBUSY")
    assert "Mount something on /usr first" in failure["hint"]
    # ENOENT, ENOTDIR
    assert "does not exist" in failure_of(new_root / "none")["reason"]
    assert failure_of(new_root / "none")["errno"] == "ENOENT"
    failure = failure_of(new_root / "file")
    assert "is not a directory" in failure["reason"]
    assert failure["errno"] == "ENOTDIR"
    # EINVAL: no mount point, but on another mount than the root
    with_tmpfs(converge, name, new_root)
    make_directory(name, f"{new_root}/inner")
    failure = failure_of(f"{new_root}/inner")
    assert "is not a mount point" in failure["reason"]
    assert failure["errno"] == "EINVAL"
    # EINVAL: it, or what it is mounted on, is shared
    with_tmpfs(converge, name, new_root / "inner")
    shared = {"namespace": name, "state": "remounted", "propagation": "shared"}
    private = {**shared, "propagation": "private"}
    converge("ns_mount", {**shared, "path": f"{new_root}/inner"})
    failure = failure_of(f"{new_root}/inner")
    assert f"new_root is a shared mount: {new_root}/inner" in failure["reason"]
    assert f"path={new_root}/inner state=remounted propagation=private" in failure["hint"]
    converge("ns_mount", {**private, "path": f"{new_root}/inner"})
    converge("ns_mount", {**shared, "path": str(new_root)})
    failure = failure_of(f"{new_root}/inner")
    assert f"what new_root is mounted on is a shared mount: {new_root}" in failure["reason"]
    # That the current root is shared is all the same: only what it is mounted on matters.
    converge("ns_mount", {**private, "path": str(new_root)})
    converge("ns_mount", {**shared, "path": "/"})
    assert not run_module(
        "ns_pivot_root", {"namespace": name, "new_root": f"{new_root}/inner"}, check=True
    ).get("failed")


def test_places_for_the_old_root_that_cannot_be(
    run_module: RunModule, converge: Converge, web: Web, new_root: pathlib.Path
) -> None:
    name = web()
    with_tmpfs(converge, name, new_root)
    inside(name, lambda: pathlib.Path(new_root, "file").touch(), ["mnt"])

    def failure_of(put_old: t.Any) -> Result:
        pivot = {"namespace": name, "new_root": str(new_root), "put_old": str(put_old)}
        return refused(run_module, pivot)

    for outside in ("/mnt", new_root, f"{new_root}2"):
        assert "does not lie below new_root" in failure_of(outside)["reason"]
    failure = failure_of(new_root / "none")
    assert "does not exist" in failure["reason"]
    assert failure["errno"] == "ENOENT"
    failure = failure_of(new_root / "file")
    assert "is not a directory" in failure["reason"]
    assert failure["errno"] == "ENOTDIR"
    with_tmpfs(converge, name, new_root / "shared", opts="X-mount.mkdir", propagation="shared")
    failure = failure_of(new_root / "shared")
    assert f"put_old is a shared mount: {new_root}/shared" in failure["reason"]
    assert failure["errno"] == "EINVAL"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"namespace": None, "new_root": "/mnt"}, "does not change the root of the host"),
        ({"new_root": "/"}, "new_root is / already"),
        ({"new_root": "mnt"}, "must be an absolute path"),
        ({"new_root": "/mnt/../mnt"}, "must not hold '..'"),
        ({"new_root": "/mnt", "put_old": "old"}, "must be an absolute path"),
        ({"namespace": "no-such-namespace", "new_root": "/mnt"}, "there is no namespace"),
        ({"namespace": None, "pid": 1, "new_root": "/mnt", "persistent": True}, "persistent"),
        ({"namespace": None, "pid": 2**22, "new_root": "/mnt"}, "there is no process"),
        (
            {"namespace": None, "namespace_path": "/proc/self/ns/net", "new_root": "/mnt"},
            "has no mnt namespace",
        ),
        ({"pid": 1, "new_root": "/mnt"}, "mutually exclusive"),
        ({"namespace": None, "pid": os.getpid(), "new_root": "/run"}, "the host's own mount"),
        (
            {"namespace": None, "namespace_path": "/proc/self/ns/mnt", "new_root": "/run"},
            "the host's own mount",
        ),
    ],
)
def test_bad_input_is_refused(
    options: dict[str, t.Any], reason: str, run_module: RunModule, web: Web
) -> None:
    args = {"namespace": web(), **options}
    before = host_state()
    failure = run_module("ns_pivot_root", {key: args[key] for key in args if args[key] is not None})
    assert failure["failed"]
    assert reason in failure.get("reason", failure["msg"])
    assert host_state() == before


def test_a_namespace_without_mnt_is_refused(run_module: RunModule, web: Web) -> None:
    failure = refused(run_module, {"namespace": web(kinds=["uts"]), "new_root": "/mnt"})
    assert "has no mnt namespace (it has: uts)" in failure["reason"]


# --- what killed runs leave


def half_pivoted(name: str, new_root: pathlib.Path) -> None:
    """Do what a run does that is killed between its two system calls: note and pivot."""
    state = pathlib.Path(host_paths.directory(name), "state.json")

    def look() -> dict[str, t.Any]:
        fd = os.open(new_root, os.O_PATH)
        listed = files.place_of(fd).mount_id
        return {"new_root": str(new_root), "mount": files.unique_mount_id(fd), "listed": listed}

    noted = json.loads(state.read_text())
    noted["pivoted"] = [inside(name, look, ["mnt"])]
    state.write_text(json.dumps(noted))

    def pivot() -> None:
        os.chdir(new_root)
        mounts.pivot_root(".", ".")

    inside(name, pivot, ["mnt"])


@pytest.mark.parametrize("next_task", ["pivot", "mount", "namespace", "info"])
def test_half_a_pivot_is_completed(
    next_task: str,
    converge: Converge,
    run_module: RunModule,
    web: Web,
    new_root: pathlib.Path,
) -> None:
    name = web(propagation="slave")
    with_tmpfs(converge, name, new_root)
    table = host_state()["mounts"]
    half_pivoted(name, new_root)
    assert "usr" in root_of(name)  # the old root, which covers the new one
    pivot = {"namespace": name, "new_root": str(new_root)}
    if next_task == "mount":
        mount = {"namespace": name, "path": str(new_root), "src": "root", "fstype": "tmpfs"}
        assert run_module("ns_mount", mount)["actions"] == []
    elif next_task == "namespace":
        facts = run_module("ns_namespace", {"name": name, "propagation": "slave"})["namespace"]
        assert facts["root"] == str(new_root)
    elif next_task == "info":
        assert len(run_module("ns_mount_info", {"namespace": name})["mounts"]) == 1
    done = run_module("ns_pivot_root", pivot)
    assert done["actions"] == [f"record the pivot to {new_root}"]
    assert root_of(name) == []
    assert mounted(name) == {"/": "tmpfs"}
    assert converge("ns_pivot_root", pivot)["changed"] is False
    assert host_state()["mounts"] == table


def test_a_note_that_came_to_nothing(
    converge: Converge, run_module: RunModule, web: Web, new_root: pathlib.Path
) -> None:
    name = web()
    with_tmpfs(converge, name, new_root)
    pivot = {"namespace": name, "new_root": str(new_root)}
    killed = {"LINUX_NAMESPACES_KILL_BEFORE": "pivot to"}
    with pytest.raises(AssertionError, match="status -9"):
        run_module("ns_pivot_root", pivot, env=killed)
    noted = json.loads(pathlib.Path(host_paths.directory(name), "state.json").read_text())[
        "pivoted"
    ]
    assert [note["new_root"] for note in noted] == [str(new_root)]
    assert run_module("ns_namespace", {"name": name})["namespace"]["root"] == "/"
    assert "usr" in root_of(name)
    converge("ns_pivot_root", pivot)
    assert root_of(name) == []


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
