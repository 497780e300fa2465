# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_unshare_run: a root of its own, and mounts."""

from __future__ import annotations

import os
import pathlib
import subprocess
import typing as t

import pytest
from results import RunModule
from run_modules import OLDER, Run
from unshare_run import USR, failure, run, small_root

from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import (
    table as mount_table,
)

__all__ = ["failure", "run", "small_root"]


# A root of its own.


@pytest.mark.parametrize("env", [{}, OLDER], ids=["newest", "older"])
def test_the_old_root_is_gone(
    run: Run, small_root: pathlib.Path, tmp_path: pathlib.Path, env: dict[str, str]
) -> None:
    (tmp_path / "host-file").touch()
    script = f"cat /proc/self/mountinfo; ls -d {tmp_path}/host-file /old_root /proc/1/root/etc/*"
    argv = ("sh", "-c", f"{script} 2>/tmp/missing; true")
    result = run(*argv, kinds=["mnt", "pid"], root=str(small_root), mounts=[USR], env=env)
    lines = result["stdout_lines"]
    table = mount_table.parse("\n".join(line for line in lines if " - " in line))
    roots = {mount.path: mount.root for mount in table}
    assert sorted(roots) == ["/", "/proc", "/usr", "/usr/local"]
    assert roots["/"] == str(small_root)[len("/run") :]
    rest = [line for line in lines if " - " not in line]
    assert rest == ["/proc/1/root/etc/group", "/proc/1/root/etc/passwd"]
    assert result["actions"] == [
        f"pivot into {small_root}",
        "mount proc on /proc",
        "mount rbind of /usr on /usr",
        "run sh",
    ]


def test_the_root_has_its_own_users_and_starts_in_slash(
    run: Run, failure: Run, small_root: pathlib.Path
) -> None:
    options = {"kinds": ["mnt"], "root": str(small_root), "mounts": [USR]}
    result = run("sh", "-c", "pwd; id", user="inside", **options)
    assert result["stdout_lines"] == [
        "/",
        "uid=1234(inside) gid=1235(insiders) groups=1235(insiders),1300(others)",
    ]
    refused = failure("true", user="daemon", **options)
    assert "no user 'daemon' in /etc/passwd" in refused["msg"]


def test_mounts_below_the_root_come_along(run: Run, small_root: pathlib.Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(small_root / "data")], check=True)
    try:
        (small_root / "data/file").write_text("below")
        options = {"root": str(small_root), "mounts": [USR]}
        assert run("cat", "/data/file", **options)["stdout"] == "below"
    finally:
        subprocess.run(["umount", str(small_root / "data")], check=True)


@pytest.mark.parametrize("mount_proc", [None, True, False])
def test_mount_proc(run: Run, small_root: pathlib.Path, mount_proc: bool | None) -> None:
    options = {"kinds": ["mnt", "pid"], "root": str(small_root), "mounts": [USR]}
    result = run("sh", "-c", "cat /proc/1/comm || true", mount_proc=mount_proc, **options)
    assert result["stdout"] == (
        "" if mount_proc is False else pathlib.Path("/bin/sh").resolve().name
    )


def test_a_root_without_proc(run: Run, failure: Run, small_root: pathlib.Path) -> None:
    (small_root / "proc").rmdir()
    options = {"kinds": ["mnt", "pid"], "root": str(small_root), "mounts": [USR]}
    assert "mount proc on /proc" not in run("true", **options)["actions"]
    assert (
        "/proc of the program's root is missing"
        in failure("true", mount_proc=True, **options)["msg"]
    )


def test_a_proc_that_is_a_link_is_refused(failure: Run, small_root: pathlib.Path) -> None:
    # CVE-2019-19921: what was meant for /proc went elsewhere.
    (small_root / "proc").rmdir()
    (small_root / "elsewhere").mkdir()
    (small_root / "proc").symlink_to("elsewhere")
    options = {"kinds": ["mnt", "pid"], "root": str(small_root), "mounts": [USR]}
    assert "is no directory" in failure("true", **options)["msg"]
    assert list((small_root / "elsewhere").iterdir()) == []


def test_links_in_the_root_lead_nowhere_outside(
    run: Run, small_root: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    (small_root / "srv").symlink_to(canary)
    (small_root / str(canary)[1:]).mkdir(parents=True)
    mounts = [
        USR,
        {"path": "/srv/new", "src": "tmpfs", "fstype": "tmpfs", "opts": "X-mount.mkdir"},
    ]
    run("touch", "/srv/new/file", root=str(small_root), mounts=mounts)
    assert list(canary.iterdir()) == []
    assert [path.name for path in (small_root / str(canary)[1:]).iterdir()] == ["new"]


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        ("relative", "absolute path"),
        ("/no/such/root", "cannot be opened"),
        ("/etc/passwd", "cannot"),
    ],
)
def test_a_root_that_is_none(failure: Run, root: str, reason: str) -> None:
    result = failure("true", root=root)
    assert reason in result["msg"]
    assert "syscall" not in result


# Mounts.


def test_mounts_of_many_kinds(run: Run, small_root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    host_file = tmp_path / "file"
    host_file.write_text("of the host")
    (small_root / "etc/inside").mkdir()
    mounts = [
        USR,
        {"path": "/tmp", "src": "tmpfs", "fstype": "tmpfs", "opts": "mode=1777,nosuid"},
        {"path": "/tmp/file", "src": str(host_file), "opts": "bind,ro,X-mount.mkdir"},
        {"path": "/tmp/etc", "src": "/etc", "src_in": "namespace", "opts": "bind,X-mount.mkdir"},
        {"path": "/tmp/sys", "src": "sysfs", "fstype": "sysfs", "opts": "X-mount.mkdir"},
        {"path": "/tmp/mq", "src": "mqueue", "fstype": "mqueue", "opts": "X-mount.mkdir"},
    ]
    script = "cat /tmp/file; echo; ls /tmp/etc; ls /tmp/sys/class/net; (echo x >/tmp/file) 2>&1"
    result = run(
        "sh",
        "-c",
        f"{script}; true",
        kinds=["mnt", "pid", "net", "ipc"],
        root=str(small_root),
        mounts=mounts,
    )
    lines = result["stdout_lines"]
    assert lines[:-1] == ["of the host", "group", "inside", "passwd", "lo"]
    assert "Read-only file system" in lines[-1]
    assert host_file.read_text() == "of the host"


def test_what_the_host_has_mounted_can_be_changed_for_the_program_alone(run: Run) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "host", "/mnt"], check=True)
    try:
        pathlib.Path("/mnt/host").touch()
        read_only = {"path": "/mnt", "state": "remounted", "opts": "ro"}
        gone = {"path": "/mnt", "state": "unmounted"}
        own = {"path": "/mnt", "src": "own", "fstype": "tmpfs"}
        script = "ls /mnt; touch /mnt/new 2>/dev/null || echo read-only"
        shown = run("sh", "-c", script, mounts=[read_only])["stdout_lines"]
        assert shown == ["host", "read-only"]
        assert "host" not in run("ls", "/mnt", mounts=[gone])["stdout_lines"]
        assert run("ls", "/mnt", mounts=[own])["stdout_lines"] == []
        assert os.listdir("/mnt") == ["host"]
        pathlib.Path("/mnt/still-writable").touch()
    finally:
        subprocess.run(["umount", "/mnt"], check=True)


@pytest.mark.parametrize(
    ("mount", "reason"),
    [
        ({"path": "/mnt", "fstype": "tmpfs", "opts": "bogus=1"}, "bogus"),
        ({"path": "/mnt/none", "fstype": "tmpfs"}, "/mnt/none does not exist"),
        ({"path": "mnt", "fstype": "tmpfs"}, "absolute path"),
        ({"path": "/mnt", "src": "/no/such", "opts": "bind"}, "/no/such cannot be opened"),
        ({"path": "/mnt", "fstype": "nofs"}, "no file-system type 'nofs'"),
    ],
)
def test_a_mount_that_cannot_be_made(
    failure: Run, mount: dict[str, t.Any], reason: str, tmp_path: pathlib.Path
) -> None:
    result = failure("touch", str(tmp_path / "ran"), mounts=[mount])
    assert reason in result["msg"]
    assert not (tmp_path / "ran").exists()


def test_a_bind_that_the_kernel_refuses_is_explained(failure: Run) -> None:
    bind = {"path": "/mnt", "src": "/usr", "opts": "bind"}
    result = failure("true", kinds=["user", "mnt"], mounts=[bind])
    assert (result["syscall"], result["errno"]) == ("open_tree", "EINVAL")
    assert "cannot be left out in a user namespace: /usr/local" in result["reason"]
    assert result["hint"] == "Use rbind."
    mounts = [
        {"path": "/mnt", "src": "x", "fstype": "tmpfs", "propagation": "unbindable"},
        {"path": "/media", "src": "/mnt", "src_in": "namespace", "opts": "bind"},
    ]
    result = failure("true", mounts=mounts)
    assert (result["syscall"], result["errno"]) == ("open_tree", "EINVAL")
    assert result["reason"] == "/mnt lies on a mount that is unbindable: /mnt"


def test_many_mounts_leave_the_limit_of_open_files_as_it_was(run: Run) -> None:
    mounts = [{"path": "/mnt", "src": "tmpfs", "fstype": "tmpfs"}] + [
        {"path": f"/mnt/{number}", "fstype": "tmpfs", "opts": "X-mount.mkdir"}
        for number in range(300)
    ]
    result = run("sh", "-c", "grep -c '^none /mnt/' /proc/mounts; ulimit -n", mounts=mounts)
    plain = run("sh", "-c", "ulimit -n")
    assert result["stdout_lines"] == ["300", plain["stdout"]]


PROPAGATIONS = {"private": [], "slave": ["master"], "shared": ["shared"], "unchanged": ["shared"]}


@pytest.mark.parametrize("propagation", list(PROPAGATIONS))
def test_propagation(run: Run, propagation: str) -> None:
    result = run("cat", "/proc/self/mountinfo", propagation=propagation)
    (root,) = (each for each in mount_table.parse(result["stdout"]) if each.path == "/")
    assert [peer.partition(":")[0] for peer in root.peers] == PROPAGATIONS[propagation]


def test_with_slave_mounts_of_the_host_arrive_and_none_goes_back(
    run: Run, tmp_path: pathlib.Path
) -> None:
    late, own = tmp_path / "late", tmp_path / "own"
    late.mkdir()
    own.mkdir()
    script = (
        f"mount -t tmpfs own {own}; touch {tmp_path}/ready;"
        f"for try in $(seq 500); do grep -q ' {late} ' /proc/mounts && echo seen && break;"
        "sleep 0.01; done"
    )
    mounter = subprocess.Popen(
        ["sh", "-c", f"until [ -e {tmp_path}/ready ]; do sleep 0.01; done; mount -t tmpfs x {late}"]
    )
    try:
        assert run("sh", "-c", script, propagation="slave")["stdout"] == "seen"
        assert f" {own} " not in pathlib.Path("/proc/mounts").read_text()
    finally:
        mounter.wait()
        subprocess.run(["umount", str(late)], check=True)


def test_pins_of_named_namespaces_are_not_kept_alive(run: Run, run_module: RunModule) -> None:
    assert run_module("ns_namespace", {"name": "kept"})["changed"]
    try:
        for propagation in PROPAGATIONS:
            shown = run("cat", "/proc/self/mountinfo", propagation=propagation)["stdout"]
            assert "/run/linux-namespaces/kept" not in shown
        assert "/run/linux-namespaces/kept" in pathlib.Path("/proc/self/mountinfo").read_text()
    finally:
        assert run_module("ns_namespace", {"name": "kept", "state": "absent"})["changed"]
