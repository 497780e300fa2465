# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_mount_info against the kernel, and against findmnt(8)."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import typing as t

import pytest
from results import Result, RunModule
from tasks import RunTasks, examples_of
from unshared_process import Unshared, UnsharedProcess
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import (
    gate,
    lock,
    pins,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

NOBODY = 65534
# Columns of findmnt(8), and what the same is called here.
COLUMNS = {
    "id": "id",
    "target": "path",
    "source": "src",
    "fstype": "fstype",
    "fsroot": "root",
    "maj:min": "device",
    "options": "opts",
    "vfs-options": "vfs_opts",
    "fs-options": "fs_opts",
    "propagation": "propagation",
    "opt-fields": "peers",
}
LISTS = ("opts", "vfs_opts", "fs_opts")


def findmnt(*options: str, columns: t.Iterable[str] = tuple(COLUMNS)) -> list[Result]:
    argv = ["findmnt", "--json", "--list", "--nofsroot", "--bytes", *options]
    argv += ["--output", ",".join(columns).upper()]
    shown = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    return list(shown["filesystems"])


def as_here(row: Result) -> Result:
    """A row of findmnt(8) in our words."""
    found = {ours: row[theirs] for theirs, ours in COLUMNS.items()}
    for name in LISTS:
        # findmnt(8) has its own order.
        found[name] = sorted(found[name].split(","))
    found["peers"] = (found["peers"] or "").split()
    found["src"] = found["src"] or ""
    return found


def as_findmnt(record: Result) -> Result:
    found = {key: record[key] for key in COLUMNS.values()}
    for name in LISTS:
        found[name] = sorted(found[name])
    # findmnt(8) says of these that they are not shared, too.
    if found["propagation"] in ("slave", "unbindable"):
        found["propagation"] = f"private,{found['propagation']}"
    return found


def mounts_of(result: Result) -> list[Result]:
    assert not result.get("failed"), result
    assert result["changed"] is False
    return list(result["mounts"])


@pytest.fixture
def furnished(unshared_process: UnsharedProcess, tmp_path: pathlib.Path) -> Unshared:
    """A process with mounts of many sorts below tmp_path."""
    process = unshared_process(("mnt", "pid"))
    script = r"""
        mount -t tmpfs -o size=1m,mode=700,ro 'a source, with \ and space' here
        mount -t proc none proc -o hidepid=2
        mount --bind /usr/share bound; mount -o remount,bind,ro,nosuid,noatime bound
        mount -t tmpfs shared shared; mount --make-shared shared
        mount --bind shared slave; mount --make-slave slave
        mount -t tmpfs unbindable unbindable; mount --make-unbindable unbindable
        mount -t tmpfs below stacked; mount -t tmpfs above stacked
        mount -t overlay over over -o lowerdir=/usr/share:/usr/lib
        mount -t tmpfs strange "$(printf 'a b\nc\td\\e#\r')"
        mount --make-shared bound; mount --bind bound both; mount --make-slave both
        mount --make-shared both
        touch file; mount --bind /usr/lib/os-release file
        touch gone-file left; mount --bind gone-file left; rm gone-file
    """
    names = ("here", "proc", "bound", "shared", "slave", "unbindable", "stacked", "over", "both")
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / "a b\nc\td\\e#\r").mkdir()
    process.run("sh", "-euc", f"cd '{tmp_path}'{script}")
    return process


def test_it_knows_what_findmnt_knows_of_the_host(run_module: RunModule) -> None:
    found = mounts_of(run_module("ns_mount_info", {}))
    assert [as_findmnt(record) for record in found] == [as_here(row) for row in findmnt()]


def test_it_knows_what_findmnt_knows_of_a_process(
    run_module: RunModule, furnished: Unshared, tmp_path: pathlib.Path
) -> None:
    found = mounts_of(run_module("ns_mount_info", {"pid": furnished.pid}))
    expected = [as_here(row) for row in findmnt("--task", str(furnished.pid))]
    assert len(expected) >= 14
    by_id = {row["id"]: row for row in expected}
    for record in found:
        row = by_id.pop(record["id"])
        assert as_findmnt(record) == row
    assert by_id == {}
    paths = [record["path"] for record in found]
    assert str(tmp_path / "a b\nc\td\\e#\r") in paths
    (root,) = (record["root"] for record in found if record["path"] == str(tmp_path / "left"))
    assert root.endswith("/gone-file//deleted")
    (source,) = (record["src"] for record in found if record["path"] == str(tmp_path / "here"))
    assert source == r"a source, with \ and space"


def test_usage(run_module: RunModule, furnished: Unshared, tmp_path: pathlib.Path) -> None:
    (tmp_path / "outside").touch()
    furnished.run("sh", "-c", f"head -c 100000 /dev/zero >'{tmp_path}/shared/file'")
    found = mounts_of(run_module("ns_mount_info", {"pid": furnished.pid, "usage": True}))
    here, shared = (
        next(record for record in found if record["path"] == str(tmp_path / name))
        for name in ("here", "shared")
    )
    assert (here["size"], here["used"], here["available"]) == (2**20, 0, 2**20)
    assert shared["used"] == 102400
    assert shared["size"] == shared["used"] + shared["available"]
    below, above = (each for each in found if each["path"] == str(tmp_path / "stacked"))
    assert (below["src"], below["size"]) == ("below", None)
    assert above["size"] > 0
    (root,) = (row for row in findmnt("/", columns=("size", "used", "avail")))
    own = mounts_of(run_module("ns_mount_info", {"path": "/", "usage": True}))[0]
    assert own["size"] == int(root["size"])
    assert own["used"] == pytest.approx(int(root["used"]), rel=0.05)
    assert own["available"] == pytest.approx(int(root["avail"]), rel=0.05)


def test_one_path(run_module: RunModule, furnished: Unshared, tmp_path: pathlib.Path) -> None:
    def on(name: str) -> list[Result]:
        return mounts_of(
            run_module("ns_mount_info", {"pid": furnished.pid, "path": f"{tmp_path}/{name}"})
        )

    # The one that is seen comes first, then what it hides.
    assert [record["src"] for record in on("stacked")] == ["above", "below"]
    (record,) = on("here/")
    assert (record["path"], record["fstype"]) == (str(tmp_path / "here"), "tmpfs")
    assert "ro" in record["opts"]
    (host,) = mounts_of(run_module("ns_mount_info", {"path": "/"}))  # it may be a bind mount
    assert [record["root"] for record in on("file")] == [
        f"{host['root'].rstrip('/')}/usr/lib/os-release"
    ]
    # Neither below a mount, nor above one, nor what is not there at all.
    for name in ("", "bound/doc", "no/such", "file/below", "proc/self"):
        assert on(name) == []


def test_links_are_followed_inside_the_target(
    run_module: RunModule, furnished: Unshared, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "here")
    args = {"pid": furnished.pid, "path": f"{tmp_path}/link"}
    (record,) = mounts_of(run_module("ns_mount_info", args))
    assert record["path"] == str(tmp_path / "here")


def test_the_records_are_those_of_ns_mount(
    run_module: RunModule, unshared_process: UnsharedProcess, tmp_path: pathlib.Path
) -> None:
    pid = unshared_process().pid
    args = {"pid": pid, "path": str(tmp_path), "fstype": "tmpfs", "opts": "size=1m,ro"}
    (done,) = run_module("ns_mount", args)["mounts"]
    (found,) = mounts_of(run_module("ns_mount_info", {"pid": pid, "path": str(tmp_path)}))
    assert {key: found[key] for key in done} == done


def test_a_process_in_a_chroot(
    run_module: RunModule, unshared_process: UnsharedProcess, tmp_path: pathlib.Path
) -> None:
    outer = unshared_process()
    root = tmp_path / "root"
    (root / "mnt").mkdir(parents=True)
    outer.run("sh", "-euc", f"mount --rbind / '{root}'; mount -t tmpfs in '{root}/mnt'")
    nsenter = ["nsenter", "--target", str(outer.pid), "--mount"]
    jailed = subprocess.Popen([*nsenter, "chroot", str(root), "sleep", "infinity"])
    try:
        assert wait_until(lambda: os.readlink(f"/proc/{jailed.pid}/root") == str(root))
        # As ns_mount names it: from the root of the mount namespace.
        args = {"pid": jailed.pid, "path": f"{root}/mnt"}
        (found,) = mounts_of(run_module("ns_mount_info", args))
        assert (found["path"], found["src"]) == (f"{root}/mnt", "in")
        # A plain user gets the table of the process, from the root of that.
        args = {"pid": jailed.pid, "path": "/mnt"}
        (found,) = mounts_of(run_module("ns_mount_info", args, user=NOBODY))
        assert (found["path"], found["src"]) == ("/mnt", "in")
    finally:
        jailed.kill()
        jailed.wait()


def test_targets(
    run_module: RunModule, unshared_process: UnsharedProcess, tmp_path: pathlib.Path
) -> None:
    process = unshared_process(("mnt", "uts"))
    process.run("mount", "-t", "tmpfs", "only-here", str(tmp_path))
    name = "test-mount-info"
    try:
        with lock.held(name, timeout=5):
            pins.prepare(name)
            pins.pin(name, "mnt", process.pid)
            gate.open_up(name)
        expected = mounts_of(run_module("ns_mount_info", {"pid": process.pid}))
        assert expected[-1]["src"] == "only-here"
        for target in (
            {"namespace": name},
            {"namespace_path": f"/proc/{process.pid}/ns/mnt"},
            {"namespace_path": pins.path(name, "mnt")},
        ):
            assert mounts_of(run_module("ns_mount_info", target)) == expected
        # Still there when its last process is gone.
        os.kill(process.pid, signal.SIGKILL)
        assert mounts_of(run_module("ns_mount_info", {"namespace": name})) == expected
    finally:
        with lock.held(name, timeout=5):
            pins.discard(name)


def test_a_process_of_the_host_has_the_hosts_mounts(run_module: RunModule) -> None:
    host = mounts_of(run_module("ns_mount_info", {}))
    assert mounts_of(run_module("ns_mount_info", {"pid": os.getpid()})) == host


def test_a_process_in_a_user_namespace(
    run_module: RunModule, unshared_process: UnsharedProcess, tmp_path: pathlib.Path
) -> None:
    process = unshared_process(("user", "mnt"), options=["--map-root-user"])
    process.run("mount", "-t", "tmpfs", "rootless", str(tmp_path))
    args = {"pid": process.pid, "path": str(tmp_path)}
    (found,) = mounts_of(run_module("ns_mount_info", args))
    assert found["src"] == "rootless"


def test_a_plain_user(
    run_module: RunModule, unshared_process: UnsharedProcess, tmp_path: pathlib.Path
) -> None:
    process = unshared_process()
    process.run("mount", "-t", "tmpfs", "roots", str(tmp_path))
    assert mounts_of(run_module("ns_mount_info", {}, user=NOBODY)) == mounts_of(
        run_module("ns_mount_info", {})
    )
    # /proc/PID/mountinfo may be read by all.
    theirs = mounts_of(run_module("ns_mount_info", {"pid": process.pid}, user=NOBODY))
    assert theirs == mounts_of(run_module("ns_mount_info", {"pid": process.pid}))
    args = {"pid": process.pid, "path": str(tmp_path)}
    (found,) = mounts_of(run_module("ns_mount_info", args, user=NOBODY))
    assert found["src"] == "roots"
    os.chmod(tmp_path, 0o700)
    (found,) = mounts_of(run_module("ns_mount_info", {"path": "/run"}, user=NOBODY))
    assert found["src"] == "tests"


def test_a_plain_user_may_not_enter_a_named_namespace(
    run_module: RunModule, unshared_process: UnsharedProcess
) -> None:
    name = "test-mount-info-user"
    try:
        with lock.held(name, timeout=5):
            pins.prepare(name)
            pins.pin(name, "mnt", unshared_process().pid)
            gate.open_up(name)
        result = run_module("ns_mount_info", {"namespace": name}, user=NOBODY)
        assert result["reason"].startswith("named namespaces are root's")
        assert result["hint"].startswith("Run the task as root (become: true).")
        path = {"namespace_path": pins.path(name, "mnt")}
        result = run_module("ns_mount_info", path, user=NOBODY)
        assert (
            result["reason"]
            == f"the mount namespace of {path['namespace_path']} may not be entered"
        )
    finally:
        with lock.held(name, timeout=5):
            pins.discard(name)


def test_names_of_disks(run_module: RunModule, tmp_path: pathlib.Path) -> None:
    device = next(row["source"] for row in findmnt("/", columns=["source"]))
    if not device.startswith("/dev/"):
        pytest.skip(f"the root file system of this machine is on {device}, not on a block device")
    # As udev would, in the copy of /dev that this test's host has.
    mounts.mount("/dev", str(tmp_path), flags=mounts.MS_BIND)
    mounts.mount("none", str(tmp_path), flags=mounts.MS_PRIVATE)
    try:
        mounts.mount("udev", "/dev", fstype="tmpfs", data="mode=755")
        os.symlink(f"{tmp_path}/{pathlib.Path(device).name}", device)
        for directory, link in (("by-uuid", "1234-ABCD"), ("by-label", r"two\x20words")):
            os.makedirs(f"/dev/disk/{directory}")
            os.symlink(device, f"/dev/disk/{directory}/{link}")
        os.mknod("/dev/null", 0o20666, os.makedev(1, 3))
        os.mknod("/dev/urandom", 0o20666, os.makedev(1, 9))
        (found,) = mounts_of(run_module("ns_mount_info", {"path": "/"}))
        assert (found["uuid"], found["label"]) == ("1234-ABCD", "two words")
    finally:
        mounts.umount("/dev", flags=mounts.MNT_DETACH)
        mounts.umount(str(tmp_path), flags=mounts.MNT_DETACH)


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"pid": 2**22 + 1}, "there is no process 4194305 on this host"),
        ({"namespace": "no-such"}, "there is no namespace 'no-such' on this host"),
        ({"namespace_path": "/no/such"}, "/no/such cannot be opened: No such file or directory"),
        ({"namespace_path": "/proc/self/ns/uts"}, None),
        ({"path": "etc"}, "path must be an absolute path, not 'etc'"),
        ({"path": "/etc/../etc"}, "path must not hold '..': '/etc/../etc'"),
    ],
)
def test_bad_inputs(run_module: RunModule, args: dict[str, t.Any], reason: str | None) -> None:
    result = run_module("ns_mount_info", args)
    assert result["failed"]
    assert result["reason"] == (reason or "/proc/self/ns/uts has no mnt namespace (it has: uts)")


def test_a_zombie(run_module: RunModule) -> None:
    zombie = subprocess.Popen(["unshare", "--mount", "true"])
    try:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        for user in (None, NOBODY):
            result = run_module("ns_mount_info", {"pid": zombie.pid}, user=user)
            assert result["failed"]
            assert "ended" in result["msg"]
    finally:
        zombie.wait()


def test_the_examples_run(run_tasks: RunTasks) -> None:
    web = {"name": "web", "kinds": ["mnt"]}
    srv = {"namespace": "web", "path": "/srv", "src": "/usr/share", "opts": "bind,ro"}
    before = [{"linux.namespaces.ns_namespace": web}, {"linux.namespaces.ns_mount": srv}]
    after = [{"linux.namespaces.ns_namespace": {**web, "state": "absent"}}]
    run_tasks([*before, *examples_of("ns_mount_info")], cleanup=after)
