# SPDX-License-Identifier: GPL-3.0-or-later
"""After a reboot: the same layout again, by nsctl alone, and the play finds nothing to do."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import shutil
import stat
import subprocess
import tarfile
import time
import typing as t

import pytest
from command import Nsctl
from processes_inside import inside
from reboots import reboot
from results import RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import (
    lock,
    pins,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

NewName = t.Callable[[], str]
Play = list[tuple[str, dict[str, t.Any]]]


@pytest.fixture
def archive(tmp_path: pathlib.Path) -> pathlib.Path:
    """A root file system as a tar archive."""
    root = tmp_path / "content"
    for directory in ("bin", "data", "old", "proc", "tmp"):
        (root / directory).mkdir(parents=True)
    (root / "greeting").write_text("hello\n")
    path = tmp_path / "root.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(root, arcname=".")
    return path


def whole_play(name: str, archive: pathlib.Path, srv: str, data: str) -> Play:
    """A tmpfs as root, filled from an archive; mounts before and after the pivot."""
    return [
        (
            "ns_namespace",
            {
                "name": name,
                "kinds": ["mnt", "uts", "net", "pid", "ipc", "time"],
                "hostname": "web",
                "sysctl": {"net.ipv4.ip_forward": "1", "kernel.shmmni": "1234"},
                "time_offsets": {"monotonic": 1000},
            },
        ),
        (
            "ns_mount",
            {
                "namespace": name,
                "path": srv,
                "fstype": "tmpfs",
                "opts": ["size=2m", "mode=755"],
            },
        ),
        ("ns_rootfs", {"namespace": name, "path": srv, "archive": str(archive)}),
        (
            "ns_mount",
            {
                "namespace": name,
                "mounts": [
                    {"path": f"{srv}/data", "src": data, "opts": ["bind", "ro"]},
                    {"path": f"{srv}/proc", "fstype": "proc", "src": "proc"},
                ],
            },
        ),
        ("ns_pivot_root", {"namespace": name, "new_root": srv, "put_old": f"{srv}/old"}),
        (
            "ns_mount",
            {"namespace": name, "path": "/tmp", "fstype": "tmpfs", "opts": ["size=1m", "nodev"]},
        ),
    ]


def run_play(run_module: RunModule, play: Play, *, changed: bool) -> None:
    for module, args in play:
        done = run_module(module, args)
        assert done.get("changed") is changed, (module, args, done)


def layout(name: str) -> list[str]:
    """The mount table inside, without the numbers that differ each time."""

    def look() -> list[str]:
        # The namespace's own /proc may not be there: our thread's is.
        lines = pathlib.Path("/proc/thread-self/mountinfo").read_text().splitlines()
        return sorted(" ".join(line.split(" ")[3:]) for line in lines if " /old" not in line)

    found: list[str] = inside(name, look)
    return found


def test_the_same_layout_and_nothing_to_do(
    nsctl: Nsctl,
    run_module: RunModule,
    new_name: NewName,
    archive: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    name, srv, data = new_name(), tmp_path / "srv", tmp_path / "data"
    srv.mkdir()
    data.mkdir()
    play = whole_play(name, archive, str(srv), str(data))
    run_play(run_module, play, changed=True)
    run_play(run_module, play, changed=False)
    record = pathlib.Path(definitions.DIRECTORY) / f"{name}.json"
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    before, recorded = layout(name), record.read_text()
    assert [step["do"] for step in json.loads(recorded)["steps"]] == [
        "mount",
        "unpack",
        "mount",
        "mount",
        "pivot",
        "mount",
    ]
    kinds = set(pins.pinned(name))

    reboot()
    assert nsctl.data("list")[0]["state"] == "down"
    (done,) = nsctl.data("up", "--all")
    assert done["failure"] == ""

    assert set(pins.pinned(name)) == kinds
    assert layout(name) == before
    assert record.read_text() == recorded
    assert inside(name, lambda: pathlib.Path("/greeting").read_text()) == "hello\n"
    assert inside(name, lambda: os.uname().nodename, ["uts"]) == "web"
    run_play(run_module, play, changed=False)
    assert nsctl("up", "--all").stdout == f"{name}: up already\n"
    shown = nsctl.data("show", name)
    assert {each["state"] for each in shown["mounts"]} == {"ok"}
    assert shown["changes"] == []


def test_a_run_that_is_killed_is_continued(
    nsctl: Nsctl,
    run_module: RunModule,
    new_name: NewName,
    archive: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    name, srv, data = new_name(), tmp_path / "srv", tmp_path / "data"
    srv.mkdir()
    data.mkdir()
    play = whole_play(name, archive, str(srv), str(data))
    run_play(run_module, play, changed=True)
    before = layout(name)
    for number in range(1, 30):
        reboot()
        # Steps that run in a child end that and, by it, the run.
        environment = {**os.environ, "LINUX_NAMESPACES_KILL_BEFORE": str(number)}
        done = nsctl("up", "--all", env=environment, code=None)
        if done.returncode == 0:
            break
        nsctl("up", "--all")
        assert layout(name) == before, f"after a kill before step {number}"
    assert number > 8
    run_play(run_module, play, changed=False)


def test_unrecorded_steps_end_with_the_namespace(
    nsctl: Nsctl, run_module: RunModule, new_name: NewName
) -> None:
    name = new_name()
    run_module("ns_namespace", {"name": name})
    volatile = {"namespace": name, "path": "/mnt", "fstype": "tmpfs", "persistent": False}
    done = run_module("ns_mount", volatile)
    assert done["persistent"] is False
    run_module("ns_mount", {"namespace": name, "path": "/media", "fstype": "tmpfs"})
    reboot()
    nsctl("up", name)
    assert [each["path"] for each in nsctl.data("show", name)["mounts"]] == ["/media"]
    # The same when only its pins were lost.
    assert run_module("ns_mount", volatile)["changed"]
    pins.unpin(name, "mnt")
    assert run_module("ns_namespace", {"name": name})["changed"]
    assert [step["path"] for step in nsctl.data("show", name)["mounts"]] == ["/media"]
    nsctl("up", name)
    assert run_module("ns_mount", volatile)["changed"]


def test_a_task_that_changes_a_step_changes_the_record(
    nsctl: Nsctl, run_module: RunModule, new_name: NewName
) -> None:
    name = new_name()
    run_module("ns_namespace", {"name": name})
    mount = {"namespace": name, "path": "/mnt", "fstype": "tmpfs"}
    for option in ("size=1m", "size=2m"):
        assert run_module("ns_mount", {**mount, "opts": [option]})["changed"]
    run_module("ns_mount", {**mount, "path": "/media"})
    assert run_module("ns_mount", {**mount, "path": "/media", "state": "unmounted"})["changed"]
    reboot()
    nsctl("up", name)
    (only,) = nsctl.data("show", name)["mounts"]
    assert only["path"] == "/mnt"
    assert "size=2048k" in only["observed"]["opts"]


def test_one_that_fails_does_not_keep_the_others_down(
    nsctl: Nsctl, run_module: RunModule, new_name: NewName, tmp_path: pathlib.Path
) -> None:
    first, broken, last = new_name(), new_name(), new_name()
    gone = tmp_path / "gone"
    gone.mkdir()
    for name in (first, broken, last):
        run_module("ns_namespace", {"name": name})
    bind = {"namespace": broken, "path": "/mnt", "src": str(gone), "opts": ["bind"]}
    run_module("ns_mount", bind)
    reboot()
    gone.rmdir()
    done = nsctl("up", "--all", code=1)
    assert done.stdout.count("create mnt") == 2
    reason = f"Src {gone} cannot be opened on the host"
    assert f"nsctl up: {broken}: {reason}" in done.stderr
    listed = {each["name"]: each for each in nsctl.data("list")}
    assert {name: each["state"] for name, each in listed.items()} == {
        first: "up",
        broken: "failed",
        last: "up",
    }
    assert listed[broken]["reason"].startswith(reason)
    assert reason in nsctl("list").stdout
    assert reason in nsctl("show", broken).stdout
    (mount,) = nsctl.data("show", broken)["mounts"]
    assert (mount["path"], mount["state"]) == ("/mnt", "missing")
    # It is kept until the namespace is what it should be, whoever makes it so.
    gone.mkdir()
    assert nsctl.data("list", broken)[0]["state"] == "failed"
    assert run_module("ns_mount", bind)["changed"]
    assert nsctl.data("list", broken)[0]["state"] == "up"
    gone.rmdir()
    (tmp_path / "other").mkdir()
    inside(broken, lambda: mounts.umount("/mnt", flags=0))
    nsctl("up", broken, code=1)
    assert nsctl.data("list", broken)[0]["state"] == "failed"
    gone.mkdir()
    nsctl("up", broken)
    assert nsctl.data("list", broken)[0]["state"] == "up"
    assert not os.path.exists(f"{host_paths.directory(broken)}/failed")


def test_a_namespace_that_cannot_be_created(
    nsctl: Nsctl, run_module: RunModule, new_name: NewName
) -> None:
    name = new_name()
    run_module("ns_namespace", {"name": name, "kinds": ["net"]})
    path = pathlib.Path(definitions.DIRECTORY) / f"{name}.json"
    content = json.loads(path.read_text())
    content["properties"]["sysctl"] = {"net.no.such.parameter": "1"}
    reboot()
    path.write_text(json.dumps(content))
    assert "net.no.such.parameter" in nsctl("up", name, code=1).stderr
    (listed,) = nsctl.data("list")
    assert (listed["state"], listed["kinds"]) == ("failed", {})
    assert "net.no.such.parameter" in listed["reason"]
    assert run_module("ns_namespace", {"name": name, "kinds": ["net"]})["changed"]
    assert nsctl.data("list")[0]["state"] == "up"


def test_an_archive_that_is_another_one_now(
    nsctl: Nsctl,
    run_module: RunModule,
    new_name: NewName,
    archive: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    name, srv = new_name(), tmp_path / "srv"
    srv.mkdir()
    run_module("ns_namespace", {"name": name})
    run_module("ns_mount", {"namespace": name, "path": str(srv), "fstype": "tmpfs"})
    run_module("ns_rootfs", {"namespace": name, "path": str(srv), "archive": str(archive)})
    was = hashlib.sha256(archive.read_bytes()).hexdigest()
    shutil.copy(archive, tmp_path / "kept")
    reboot()
    with tarfile.open(archive, "w") as tar:
        tar.add("/etc/hostname", arcname="greeting")
    assert was in nsctl("up", name, code=1).stderr
    assert inside(name, lambda: os.listdir(str(srv))) == []
    shutil.copy(tmp_path / "kept", archive)
    nsctl("up", name)
    assert "greeting" in inside(name, lambda: os.listdir(str(srv)))


def test_one_that_hangs_does_not_keep_the_others_down(
    nsctl: Nsctl, run_module: RunModule, new_name: NewName
) -> None:
    """As with a file server that does not answer; here with a lock that nobody gives back."""
    stuck, other = new_name(), new_name()
    for name in (stuck, other):
        run_module("ns_namespace", {"name": name})
    reboot()
    with lock.held(stuck, timeout=1):
        before = time.monotonic()
        results = nsctl.data("up", "--all", "--timeout", "1", code=1)
        assert 1 <= time.monotonic() - before < 10
    found = {each["name"]: each for each in results}
    assert found[stuck]["failure"].startswith("It was not up after 1 seconds")
    assert found[other]["actions"][0] == "create mnt"
    nsctl("up", "--all")
    assert {each["state"] for each in nsctl.data("list")} == {"up"}


def test_a_play_at_the_same_time_is_not_undone(
    nsctl: Nsctl, run_module: RunModule, new_name: NewName
) -> None:
    name = new_name()
    run_module("ns_namespace", {"name": name})
    mount = {"namespace": name, "path": "/mnt", "fstype": "tmpfs"}
    run_module("ns_mount", mount)
    with lock.held(name, timeout=1):
        process = nsctl.start("up", name, stdout=subprocess.PIPE)
        time.sleep(0.3)  # it waits for the lock now
        known = definitions.load(name)
        assert known is not None
        definitions.save(known.without_step("mount", "/mnt"))
        inside(name, lambda: mounts.umount("/mnt", flags=0))
    output, _errors = process.communicate(timeout=10)
    assert output == f"{name}: up already\n"
    assert nsctl.data("show", name)["mounts"] == []
