# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl list, show, up and down: what people and scripts see of named namespaces."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import subprocess
import typing as t

import pytest
from command import Nsctl
from processes_inside import inside
from results import Converge, RunModule
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

NewName = t.Callable[[], str]


def row(nsctl: Nsctl, name: str, path: str) -> dict[str, t.Any]:
    """The mount at this path, as show has it."""
    (found,) = [each for each in nsctl.data("show", name)["mounts"] if each["path"] == path]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def web(run_module: RunModule, new_name: NewName, tmp_path: pathlib.Path) -> str:
    """A namespace with a root of its own, and two mounts in it."""
    name = new_name()
    root = tmp_path / "root"
    for directory in ("data", "scratch", "by-hand", "bin"):
        (root / directory).mkdir(parents=True)
    srv = tmp_path / "srv"
    srv.mkdir()
    (tmp_path / "data").mkdir()
    for module, args in (
        ("ns_namespace", {"name": name, "kinds": ["mnt", "uts"], "hostname": "web"}),
        (
            "ns_mount",
            {
                "namespace": name,
                "mounts": [
                    {"path": str(srv), "src": str(root), "opts": ["bind"]},
                    {"path": f"{srv}/data", "src": str(tmp_path / "data"), "opts": ["bind", "ro"]},
                ],
            },
        ),
        ("ns_pivot_root", {"namespace": name, "new_root": str(srv)}),
        (
            "ns_mount",
            {"namespace": name, "path": "/scratch", "fstype": "tmpfs", "opts": ["size=1m"]},
        ),
    ):
        assert run_module(module, args)["changed"], args
    return name


def test_an_empty_host(nsctl: Nsctl) -> None:
    assert nsctl("list").stdout == ""
    assert nsctl.data("list") == []
    assert nsctl("up", "--all").stdout == ""
    assert "There is no namespace 'nosuch'" in nsctl("show", "nosuch", code=1).stderr
    assert "There is no namespace 'nosuch'" in nsctl("up", "nosuch", code=1).stderr
    assert not os.path.exists(host_paths.directory("nosuch"))


def test_a_healthy_namespace(nsctl: Nsctl, web: str, tmp_path: pathlib.Path) -> None:
    (listed,) = nsctl.data("list")
    pinned = pins.pinned(web)
    assert listed["name"] == web
    assert listed["state"] == "up"
    assert {kind: pin["id"] for kind, pin in listed["kinds"].items()} == pinned
    assert listed["processes"] == []
    assert (listed["root"], listed["persistent"]) == (str(tmp_path / "srv"), True)
    shown = nsctl.data("show", web)
    assert shown["changes"] == []
    assert shown["properties"]["hostname"] == "web"
    assert [(each["state"], each["path"]) for each in shown["mounts"]] == [
        ("ok", "/"),
        ("ok", "/data"),
        ("ok", "/scratch"),
    ]
    data = shown["mounts"][1]
    assert data["wanted"]["src"] == str(tmp_path / "data")
    assert data["wanted"]["opts"] == ["bind", "ro"]
    assert "ro" in data["observed"]["opts"]
    text = nsctl("show", web).stdout
    assert f"{web}: up" in text
    for kind, number in pinned.items():
        assert f"{number}  {pins.path(web, kind)}" in text
    assert "would" not in text
    header, line = nsctl("list").stdout.splitlines()
    assert header.split()[:3] == ["NAME", "STATE", "KINDS"]
    assert line.split()[:4] == [web, "up", "mnt,uts", "0"]


def test_drift_is_shown_and_mended(
    nsctl: Nsctl, web: str, converge: Converge, tmp_path: pathlib.Path
) -> None:
    def by_hand() -> None:
        mounts.umount("/data", flags=0)
        mounts.mount("none", "/by-hand", fstype="tmpfs")
        mounts.mount(
            "none", "/scratch", flags=mounts.MS_REMOUNT | mounts.MS_BIND | mounts.MS_RDONLY
        )

    inside(web, by_hand)
    states = {each["path"]: each["state"] for each in nsctl.data("show", web)["mounts"]}
    assert states == {"/": "ok", "/data": "missing", "/scratch": "differs", "/by-hand": "surplus"}
    assert row(nsctl, web, "/data")["observed"] is None
    assert "ro" in row(nsctl, web, "/scratch")["observed"]["opts"]
    surplus = row(nsctl, web, "/by-hand")
    assert surplus["wanted"] is None
    assert surplus["observed"]["fstype"] == "tmpfs"
    text = nsctl("show", web).stdout
    assert "missing" in text and "differs" in text and "surplus" in text
    planned = nsctl.data("show", web)["changes"]
    assert len(planned) == 2
    assert f"`nsctl up {web}` would:\n  {planned[0]}\n  {planned[1]}\n" in text
    # A play says the same, and mends it.
    args = {
        "namespace": web,
        "path": f"{tmp_path}/srv/data",
        "src": str(tmp_path / "data"),
        "opts": ["bind", "ro"],
    }
    mended = converge("ns_mount", args)
    assert mended["actions"] == planned[:1]
    assert "not mounted" in mended["diff"]["before"]
    assert row(nsctl, web, "/data")["state"] == "ok"
    # So does nsctl.
    assert nsctl.data("up", web, "--check")[0]["actions"] == planned[1:]
    assert row(nsctl, web, "/scratch")["state"] == "differs"
    assert nsctl.data("up", web)[0]["actions"] == planned[1:]
    assert row(nsctl, web, "/scratch")["state"] == "ok"
    assert nsctl("up", web).stdout == f"{web}: up already\n"


def test_something_mounted_over_a_recorded_mount(nsctl: Nsctl, web: str) -> None:
    inside(web, lambda: mounts.mount("none", "/data", fstype="tmpfs"))
    assert row(nsctl, web, "/data")["state"] == "differs"
    assert row(nsctl, web, "/data")["observed"]["fstype"] == "tmpfs"
    nsctl("up", web)
    assert row(nsctl, web, "/data")["state"] == "ok"


def test_properties_drift_too(nsctl: Nsctl, web: str) -> None:
    inside(web, lambda: pathlib.Path("/proc/sys/kernel/hostname").write_text("other"), ["uts"])
    assert nsctl.data("show", web)["changes"] == ["set hostname web"]
    nsctl("up", web)
    assert nsctl.data("show", web)["changes"] == []


def test_processes_inside(nsctl: Nsctl, web: str) -> None:
    process = subprocess.Popen([nsctl.path, "exec", web, "--kinds=uts", "sleep", "60"])
    try:
        command = pathlib.Path(f"/proc/{process.pid}/comm")
        assert wait_until(lambda: command.read_text() == "sleep\n")
        (found,) = nsctl.data("show", web)["processes"]
        assert found == {"pid": process.pid, "command": "sleep 60", "uid": 0}
        assert nsctl.data("list")[0]["processes"] == [found]
        refused = nsctl("down", web, code=1)
        assert f"{process.pid} (sleep 60)" in refused.stderr
        assert pins.pinned(web)
        (done,) = nsctl.data("down", web, "--force")
        assert done["actions"] == ["kill 1 processes", f"take down namespace {web}"]
        assert process.wait(5) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()


def test_down_and_up(nsctl: Nsctl, web: str, tmp_path: pathlib.Path) -> None:
    before = nsctl.data("show", web)
    assert nsctl.data("down", web, "--check")[0]["actions"] == [f"take down namespace {web}"]
    assert nsctl.data("list")[0]["state"] == "up"
    assert nsctl("down", web).stdout == f"{web}: take down namespace {web}\n"
    assert not os.path.exists(host_paths.directory(web))
    (listed,) = nsctl.data("list")
    assert (listed["state"], listed["kinds"], listed["persistent"]) == ("down", {}, True)
    shown = nsctl.data("show", web)
    assert {each["state"] for each in shown["mounts"]} == {"missing"}
    assert shown["changes"][0] == "create mnt, uts"
    assert nsctl("down", web).stdout == f"{web}: down already\n"
    (done,) = nsctl.data("up", web)
    assert done["actions"] == shown["changes"]
    after = nsctl.data("show", web)
    assert [each["wanted"] for each in after["mounts"]] == [
        each["wanted"] for each in before["mounts"]
    ]
    assert {each["state"] for each in after["mounts"]} == {"ok"}
    assert after["root"] == before["root"] == str(tmp_path / "srv")


def test_what_is_not_persistent_does_not_go_down(
    nsctl: Nsctl, run_module: RunModule, new_name: NewName
) -> None:
    name = new_name()
    run_module("ns_namespace", {"name": name, "persistent": False})
    run_module("ns_mount", {"namespace": name, "path": "/mnt", "fstype": "tmpfs"})
    assert "is not persistent" in nsctl("down", name, code=1).stderr
    assert nsctl("up", name).stdout == f"{name}: up already\n"
    inside(name, lambda: mounts.umount("/mnt", flags=0))
    assert row(nsctl, name, "/mnt")["state"] == "missing"
    nsctl("up", name)
    assert row(nsctl, name, "/mnt")["state"] == "ok"
    assert definitions.load(name).steps == ()  # type: ignore[union-attr]


def test_a_namespace_that_was_never_pivoted_shows_no_mount_of_the_host(
    nsctl: Nsctl, run_module: RunModule, new_name: NewName
) -> None:
    name = new_name()
    run_module("ns_namespace", {"name": name})
    assert nsctl.data("show", name)["mounts"] == []
    inside(name, lambda: mounts.mount("none", "/mnt", fstype="tmpfs"))
    (surplus,) = nsctl.data("show", name)["mounts"]
    assert (surplus["state"], surplus["path"]) == ("surplus", "/mnt")


def test_part_of_a_namespace(nsctl: Nsctl, web: str) -> None:
    pins.unpin(web, "uts")
    assert nsctl.data("list")[0]["state"] == "partial"
    nsctl("up", web)
    assert nsctl.data("list")[0]["state"] == "up"


def test_names_from_inside_cannot_steer_the_terminal(nsctl: Nsctl, web: str) -> None:
    inside(web, lambda: mounts.mount("\x1b[31mred", "/by-hand", fstype="tmpfs"))
    text = nsctl("show", web).stdout
    assert "\\x1b[31mred" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("up",), "name namespaces, or say --all"),
        (("up", "--all", "web"), "name namespaces, or say --all"),
        (("show",), "name one namespace"),
        (("show", "a", "b"), "name one namespace"),
        (("up", "--timeout", "soon", "web"), "'soon' is not a number of seconds"),
        (("list", "--json=yes"), "--json takes no value"),
        (("nosuch",), "no verb 'nosuch'"),
        ((), "name a verb"),
    ],
)
def test_wrong_usage(nsctl: Nsctl, words: tuple[str, ...], said: str) -> None:
    done = nsctl(*words, code=2)
    assert said in done.stderr
    assert "--help`." in done.stderr
    assert done.stdout == ""


def test_a_reader_that_has_enough(nsctl: Nsctl, web: str) -> None:
    argv = f"{nsctl.path} show {web} | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", argv], check=False, capture_output=True)
    assert done.stderr == b""


def test_a_damaged_definition(nsctl: Nsctl, web: str, run_module: RunModule) -> None:
    path = pathlib.Path(definitions.DIRECTORY) / f"{web}.json"
    whole = path.read_text()
    for damage in (whole[:-20], whole.replace('"version": 1', '"version": 99')):
        path.write_text(damage)
        (listed,) = nsctl.data("list")
        assert listed["state"] == "failed"
        assert str(path) in listed["reason"]
        assert nsctl.data("show", web)["state"] == "failed"
        assert str(path) in nsctl("up", "--all", code=1).stderr
    for part, key in (("steps", "path"), ("properties", "kinds")):
        content = json.loads(whole)
        edited = content[part] if part == "properties" else content[part][0]
        del edited[key]
        path.write_text(json.dumps(content))
        assert "is damaged" in nsctl("show", web).stdout
        said = nsctl("up", web, code=1).stderr
        assert "is damaged" in said and key in said
        (listed,) = nsctl.data("list")
        assert listed["state"] == "failed"
        assert "is damaged" in listed["reason"]
        nsctl("show", web)
    path.write_text(whole)
    nsctl("up", web)
    assert nsctl.data("list")[0]["state"] == "up"
    shutil.copy(path, path.with_name("not a name.json"))
    assert len(nsctl.data("list")) == 1
    path.with_name("not a name.json").unlink()
    assert run_module("ns_namespace", {"name": web, "state": "absent"})["changed"]
