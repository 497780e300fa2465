# SPDX-License-Identifier: GPL-3.0-or-later
"""Places that a mount cannot be made on: which directory, and why; and how a run or the host is told of."""

from __future__ import annotations

import os
import pathlib
import subprocess
import typing as t

import pytest
from disks import attached, image_by
from explained import failed
from named_namespaces import NewName
from reach import let_everyone_reach
from results import RunModule
from unshared_process import Unshared
from waiting import wait_until

NOBODY = 65534
Args = dict[str, t.Any]


@pytest.fixture
def here(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("mnt", "src", "closed/in"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    let_everyone_reach(tmp_path)
    return tmp_path


def run(path: str, opts: str = "X-mount.mkdir") -> Args:
    mount = {"path": path, "fstype": "tmpfs", "opts": opts}
    return {"argv": ["true"], "kinds": ["user", "mnt"], "mounts": [mount]}


@pytest.mark.parametrize("tail", ["new", "new/and/deeper"])
def test_a_directory_that_may_not_be_written_to(
    run_module: RunModule, here: pathlib.Path, tail: str
) -> None:
    result = run_module("ns_unshare_run", run(f"{here}/mnt/{tail}"), user=NOBODY)
    reason = f"the caller may not make anything in {here}/mnt (it belongs to uid "
    failed(result, "mkdirat", "EACCES", reason, f"Or make {here}/mnt/{tail} before.")
    assert "with mode 0755), and so not" in result["reason"]
    (here / "mnt" / tail).mkdir(parents=True)
    made = run_module("ns_unshare_run", run(f"{here}/mnt/{tail}"), user=NOBODY)
    assert not made.get("failed"), made


def test_a_directory_that_may_not_be_searched(run_module: RunModule, here: pathlib.Path) -> None:
    reason = f"the caller may not search {here}/closed, on the way to {here}/closed/in"
    for opts in ("", "X-mount.mkdir"):
        result = run_module("ns_unshare_run", run(f"{here}/closed/in", opts), user=NOBODY)
        failed(result, "openat2", "EACCES", reason, "orrect its mode")
        assert result["step"] == f"look at {here}/closed/in"
    args = {"path": f"{here}/closed/in", "fstype": "tmpfs"}
    result = run_module("ns_mount", args, user=NOBODY)
    failed(result, "openat2", "EACCES", reason, "orrect its mode")
    bind = {"path": f"{here}/mnt", "src": f"{here}/closed/in", "opts": "bind"}
    result = run_module(
        "ns_unshare_run",
        {"argv": ["true"], "kinds": ["user", "mnt"], "mounts": [bind]},
        user=NOBODY,
    )
    assert "cannot be opened on the host: Permission denied" in result["reason"]
    assert "become: true" in result["hint"]
    root = {"argv": ["true"], "kinds": ["user", "mnt"], "root": f"{here}/closed"}
    result = run_module("ns_unshare_run", root, user=NOBODY)
    assert f"root {here}/closed may not be searched by the caller" in result["reason"]
    assert "become: true" in result["hint"]


@pytest.mark.newer_kernel
def test_a_place_on_a_mount_that_maps_the_caller_to_nobody(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    args: Args = {"pid": target.pid, "path": f"{here}/mnt", "src": f"{here}/src"}
    made = run_module("ns_mount", {**args, "opts": "bind,X-mount.idmap=b:0:100000:65536"})
    assert not made.get("failed"), made
    new = {"pid": target.pid, "path": f"{here}/mnt/new", "fstype": "tmpfs", "opts": "X-mount.mkdir"}
    result = run_module("ns_mount", new)
    reason = f"the caller has no ids on the file system of {here}/mnt that it could make"
    failed(result, "mkdirat", "EOVERFLOW", reason, "Make it before")
    (here / "src/new").mkdir()
    assert not run_module("ns_mount", new).get("failed")


@pytest.mark.newer_kernel
@pytest.mark.parametrize(("maps", "missing"), [(["uid"], "gids"), (["gid"], "uids"), ([], "ids")])
def test_a_map_of_only_one_kind_of_ids(
    run_module: RunModule, target: Unshared, here: pathlib.Path, maps: list[str], missing: str
) -> None:
    """The kernel takes none (mount_setattr(2), EINVAL), whatever the file system is."""
    process = subprocess.Popen(["unshare", "--user", "sleep", "infinity"])
    try:
        own = os.readlink("/proc/self/ns/user")
        there = f"/proc/{process.pid}/ns/user"
        assert wait_until(lambda: os.readlink(there) != own)
        for name in maps:
            pathlib.Path(f"/proc/{process.pid}/{name}_map").write_text("0 100000 65536")
        args = {"pid": target.pid, "path": f"{here}/mnt", "src": f"{here}/src"}
        result = run_module("ns_mount", {**args, "opts": f"bind,X-mount.idmap={there}"})
        reason = f"X-mount.idmap={there} maps no {missing}, and the kernel takes only a map of both"
        failed(result, "mount_setattr", "EINVAL", reason, "Map both: ")
    finally:
        process.kill()
        process.wait()


@pytest.mark.newer_kernel
def test_what_lies_below_and_cannot_have_other_ids(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    (here / "src/proc").mkdir()
    run_module("ns_mount", {"path": f"{here}/src/proc", "fstype": "proc"})
    args: Args = {"pid": target.pid, "path": f"{here}/mnt", "src": f"{here}/src"}
    idmap = "X-mount.idmap=b:0:100000:65536"
    try:
        result = run_module("ns_mount", {**args, "opts": f"rbind,{idmap}"})
        reason = (
            "not everything below it can be mounted with other ids on this kernel: "
            f"{here}/src/proc (proc)"
        )
        failed(result, "mount_setattr", "EINVAL", reason, "Use bind in place of rbind")
        assert not run_module("ns_mount", {**args, "opts": f"bind,{idmap}"}).get("failed")
    finally:
        run_module("ns_mount", {"path": f"{here}/src/proc", "state": "unmounted"})


def test_places_where_nothing_can_be_made(
    run_module: RunModule, new_name: NewName, here: pathlib.Path
) -> None:
    name = new_name()
    assert not run_module("ns_namespace", {"name": name, "kinds": ["mnt"]}).get("failed")
    args: Args = {"namespace": name, "fstype": "tmpfs", "opts": "X-mount.mkdir"}
    for directory, fstype, errno in (
        ("/proc", "proc", "ENOENT"),
        ("/sys/kernel", "sysfs", "EPERM"),
        ("/dev/pts", "devpts", "EPERM"),
    ):
        result = run_module("ns_mount", {**args, "path": f"{directory}/none"})
        reason = (
            f"nothing can be made in {directory}: what is there comes from the kernel ({fstype})"
        )
        failed(result, "mkdirat", errno, reason, "Name a place that exists there")
    (here / "src/file").touch()
    for way in ("file/new", "file/new/deeper"):
        result = run_module("ns_mount", {**args, "path": f"{here}/src/{way}"})
        reason = f"{here}/src/file is no directory, and so nothing lies below it"
        failed(result, "openat2", "ENOTDIR", reason, "Name another place.")


def test_an_immutable_directory(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    argv = ["chattr", "+i", str(here / "mnt")]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"nothing can be made immutable here: {done.stderr.strip()}")
    args = {
        "pid": target.pid,
        "fstype": "tmpfs",
        "path": f"{here}/mnt/new",
        "opts": "X-mount.mkdir",
    }
    try:
        result = run_module("ns_mount", args)
        reason = f"{here}/mnt is immutable, and so {here}/mnt/new cannot be made"
        failed(result, "mkdirat", "EPERM", reason, f"chattr -i {here}/mnt")
    finally:
        subprocess.run(["chattr", "-i", str(here / "mnt")], check=True)
    assert not run_module("ns_mount", args).get("failed")


def test_pins_below_what_is_bound(
    run_module: RunModule, new_name: NewName, here: pathlib.Path
) -> None:
    name = new_name()
    assert not run_module("ns_namespace", {"name": name, "kinds": ["mnt"]}).get("failed")
    args = {"namespace": name, "path": f"{here}/mnt", "src": "/run/linux-namespaces"}
    result = run_module("ns_mount", {**args, "opts": "rbind"})
    reason = "below /run/linux-namespaces lies a mount namespace that is not younger than the one"
    failed(result, "move_mount", "ELOOP", reason, "Use bind in place of rbind")
    assert not run_module("ns_mount", {**args, "opts": "bind"}).get("failed")


# How the place is spoken of, and what to do about it there

ROOT = {"path": "/", "fstype": "tmpfs"}


def test_another_root_for_a_run(run_module: RunModule, here: pathlib.Path) -> None:
    for mount in (ROOT, {"path": "/", "src": f"{here}/src", "opts": "bind"}):
        result = run_module("ns_unshare_run", {"argv": ["true"], "mounts": [mount]})
        assert result["failed"]
        assert result["reason"].startswith("/ is the root that the program has and differs in ")
        assert "in the option root" in result["hint"]
        assert "namespace" not in result["msg"]


def test_another_root_for_the_host_and_for_a_process(
    run_module: RunModule, target: Unshared
) -> None:
    result = run_module("ns_mount", ROOT)
    assert result["reason"] == "/ is the host's root and differs in fstype"
    assert "cannot be replaced while it runs" in result["hint"]
    result = run_module("ns_mount", {"pid": target.pid, **ROOT})
    assert result["reason"] == "/ is the root of the namespace and differs in fstype"
    assert result["hint"] == "Make another root with ns_pivot_root."


def test_an_image_for_a_run_with_a_user_namespace(
    run_module: RunModule, here: pathlib.Path
) -> None:
    image = image_by(here / "image", "mkfs.ext4", "-q")
    for opts in ("loop", "loop,ro"):
        mount = {"path": f"{here}/mnt", "src": str(image), "fstype": "ext4", "opts": opts}
        args = {"argv": ["true"], "kinds": ["user", "mnt"], "mounts": [mount]}
        result = run_module("ns_unshare_run", args, user=NOBODY)
        reason = "only root of the host can attach an image to a loop device, and nobody in a user"
        failed(result, result["syscall"], "EACCES", reason, "or mount it on the host and bind it")


def test_what_is_missing_is_missing_where_it_was_looked_for(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    missing = {"path": f"{here}/none", "fstype": "tmpfs"}
    source = {"path": f"{here}/mnt", "src": f"{here}/none", "opts": "bind", "src_in": "namespace"}
    for mount, what in ((missing, f"{here}/none"), (source, f"src {here}/none")):
        found = run_module("ns_unshare_run", {"argv": ["true"], "mounts": [mount]})
        assert found["reason"] == f"{what} does not exist where the program runs"
        found = run_module("ns_mount", mount)
        assert found["reason"] == f"{what} does not exist on the host"
        found = run_module("ns_mount", {"pid": target.pid, **mount})
        assert found["reason"] == f"{what} does not exist in the target"


def test_a_device_for_a_run(run_module: RunModule, here: pathlib.Path) -> None:
    """All that explains it is loaded before the program's namespaces are made."""
    mount = {"path": f"{here}/mnt", "fstype": "xfs"}
    args: Args = {"argv": ["ls", f"{here}/mnt"], "kinds": ["mnt"]}
    result = run_module("ns_unshare_run", {**args, "mounts": [{**mount, "src": "/dev/none"}]})
    failed(result, "fsconfig", "ENOENT", "src /dev/none does not exist on the host", "in src.")
    with attached(image_by(here / "image", "mkfs.ext4", "-q")) as device:
        result = run_module("ns_unshare_run", {**args, "mounts": [{**mount, "src": device}]})
        reason = f"{device} holds an ext4 file system, not xfs"
        failed(result, "fsconfig", "EINVAL", reason, "Use fstype: ext4.")
        mount = {**mount, "src": device, "fstype": "ext4"}
        result = run_module("ns_unshare_run", {**args, "mounts": [mount]})
        assert not result.get("failed"), result
        assert result["stdout"] == "lost+found"


def test_a_list_that_names_what_lies_below_first(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    below: Args = {"path": f"{here}/mnt/x", "fstype": "tmpfs", "opts": "X-mount.mkdir"}
    above: Args = {"path": f"{here}/mnt", "fstype": "tmpfs"}
    first: Args = {"path": f"{here}/src", "fstype": "tmpfs"}
    for mounts in ([below, above], [first, below, above]):
        result = run_module("ns_mount", {"pid": target.pid, "mounts": mounts})
        assert result["failed"]
        assert result["reason"] == (
            f"{here}/mnt/x lies below {here}/mnt, which is mounted after it in this list"
        )
        assert result["hint"] == f"Name {here}/mnt before it."
        assert target.mounted_on(f"{here}/src") == []
    made = run_module("ns_mount", {"pid": target.pid, "mounts": [above, below]})
    assert not made.get("failed"), made
    # Where it is there, the order says nothing.
    again = run_module("ns_mount", {"pid": target.pid, "mounts": [below, above]})
    assert not again.get("failed"), again
    assert not again["changed"]


def test_what_root_of_a_user_namespace_may_not(
    run_module: RunModule, new_name: NewName, here: pathlib.Path
) -> None:
    """It is root of the host who asks: to become root would change nothing."""
    name = new_name()
    ids = [{"inside": 0, "outside": 100000, "count": 1000}]
    kinds = {"kinds": ["user", "mnt"], "id_map": {"uid": ids, "gid": ids}}
    assert not run_module("ns_namespace", {"name": name, **kinds}).get("failed")
    args: Args = {"namespace": name, "fstype": "tmpfs", "opts": "X-mount.mkdir"}
    result = run_module("ns_mount", {**args, "path": f"{here}/mnt/new"})
    reason = f"the caller may not make anything in {here}/mnt (it belongs to uid {NOBODY}"
    failed(result, "mkdirat", "EACCES", reason, "give it to an id that is mapped")
    result = run_module("ns_mount", {**args, "path": f"{here}/closed/in"})
    reason = f"the caller may not search {here}/closed, on the way to {here}/closed/in"
    failed(result, "openat2", "EACCES", reason, "give it to an id that is mapped")
    os.chown(here / "mnt", 100000, 100000)
    assert not run_module("ns_mount", {**args, "path": f"{here}/mnt/new"}).get("failed")
    for fstype, kind in (("cgroup", "cgroup"), ("cgroup2", "cgroup")):
        given = {**args, "path": f"{here}/mnt", "fstype": fstype, "opts": ""}
        result = run_module("ns_mount", {**given, "opts": "cpu" if fstype == "cgroup" else ""})
        reason = f"a new {fstype} may only be mounted by the owner of the {kind} namespace"
        failed(result, "fsconfig", "EPERM", reason, f"Add {kind} to the kinds")
