# SPDX-License-Identifier: GPL-3.0-or-later
"""A named namespace is entered whole or not at all: what is not there would be the host's."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import threading
import typing as t
import unittest.mock

import pytest
from command import Nsctl
from named_namespaces import holder_of
from processes_inside import inside, mounts_inside
from reboots import reboot
from results import Converge, RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import (
    gate,
    lock,
    pins,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import (
    namespace_state,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

NewName = t.Callable[[], str]
NOT_STARTED = 125


class Web:
    """A namespace with a root of its own and a directory of the host bound into that."""

    def __init__(self, run_module: RunModule, name: str, top: pathlib.Path) -> None:
        self.name = name
        self.root, self.data = top / "root", top / "data"
        self.root.mkdir()
        self.data.mkdir()
        self._run_module = run_module

    @property
    def play(self) -> list[tuple[str, dict[str, t.Any]]]:
        """What makes it."""
        binds = [
            {"path": f"{self.root}{path}", "src": path, "opts": "rbind,X-mount.mkdir"}
            for path in ("/usr", "/bin", "/lib", "/lib64", "/proc")
        ]
        return [
            ("ns_namespace", {"name": self.name, "kinds": ["mnt", "uts", "net"]}),
            ("ns_mount", {"namespace": self.name, "path": str(self.root), "fstype": "tmpfs"}),
            ("ns_mount", {"namespace": self.name, "mounts": binds}),
            (
                "ns_mount",
                {
                    "namespace": self.name,
                    "path": f"{self.root}/data",
                    "src": str(self.data),
                    "opts": ["bind", "X-mount.mkdir"],
                },
            ),
            ("ns_pivot_root", {"namespace": self.name, "new_root": str(self.root)}),
        ]

    def take(self, task: tuple[str, dict[str, t.Any]]) -> bool:
        """Run a task of the play, which must not fail; whether it changed something."""
        done = self._run_module(*task)
        assert not done.get("failed"), done
        changed: bool = done["changed"]
        return changed

    def make(self) -> list[bool]:
        """Run the play; which of its tasks changed something."""
        return [self.take(task) for task in self.play]


@pytest.fixture
def web(run_module: RunModule, new_name: NewName, tmp_path: pathlib.Path) -> Web:
    made = Web(run_module, new_name(), tmp_path)
    made.make()
    return made


@pytest.fixture
def closed(web: Web, nsctl: Nsctl) -> Web:
    """After a reboot that found the source of the bind missing."""
    reboot()
    web.data.rmdir()
    nsctl("up", web.name, code=1)
    return web


def test_nobody_enters_what_could_not_be_restored(
    closed: Web, nsctl: Nsctl, run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    name = closed.name
    assert not os.path.lexists(host_paths.directory(name))
    assert not os.path.exists(f"/run/netns/{name}")
    for verb in ("exec", "enter"):
        why = nsctl(verb, name, "--", "/bin/touch", f"{tmp_path}/entered", code=NOT_STARTED).stderr
        assert f"missing is the mount on {closed.root}, " in why
        assert f"{closed.data}" in why
        assert f"`nsctl up {name}`" in why
    for narrowed in ({}, {"kinds": ["mnt"]}, {"kinds": ["uts"]}):
        entering = {"namespace": name, "cmd": f"touch {tmp_path}/entered", **narrowed}
        done = run_module("ns_setns_run", entering)
        assert done["failed"]
        assert "not whole" in done["msg"]
    service = {"namespace": name, "name": "idle", "supervisor": "none"}
    done = run_module("ns_service", {**service, "argv": ["/bin/touch", f"{tmp_path}/entered"]})
    assert done["failed"]
    assert "not whole" in done["msg"]
    assert not run_module("ns_service", {**service, "state": "absent"}).get("failed")
    assert not (tmp_path / "entered").exists()


def test_who_asks_by_name_enters_it_as_it_is(
    closed: Web, nsctl: Nsctl, run_module: RunModule
) -> None:
    host = nsctl("exec", "--pid", str(os.getpid()), "/bin/true", code=NOT_STARTED)
    assert "the host" in host.stderr
    own = nsctl("exec", closed.name, "--incomplete", "readlink", "/proc/self/ns/mnt").stdout
    entered = {"namespace": closed.name, "cmd": "readlink /proc/self/ns/mnt", "incomplete": True}
    assert run_module("ns_setns_run", entered)["stdout"] == own.strip()
    assert own.strip() != os.readlink("/proc/self/ns/mnt")


def test_no_other_way_leads_into_a_closed_one(
    run_module: RunModule, new_name: NewName, nsctl: Nsctl, tmp_path: pathlib.Path
) -> None:
    """Not the number of a process in it, nor a file of its namespaces, wherever that is."""
    name, source = new_name(), tmp_path / "source"
    source.mkdir()
    run_module("ns_namespace", {"name": name, "kinds": ["mnt", "net", "pid"]})
    bind = {"namespace": name, "path": "/mnt", "src": str(source), "opts": "bind"}
    run_module("ns_mount", bind)
    holder = holder_of(name)
    assert not run_module("ns_setns_run", {"pid": holder, "cmd": "true"}).get("failed")
    reboot()
    source.rmdir()
    nsctl("up", name, code=1)
    holder = holder_of(name)
    paths = [pins.path_now(name, "mnt"), pins.path_now(name, "net"), f"/proc/{holder}/ns/mnt"]
    ways: list[dict[str, t.Any]] = [{"pid": holder}, *({"namespace_path": each} for each in paths)]
    for target in ways:
        done = run_module("ns_setns_run", {**target, "cmd": f"touch {tmp_path}/entered"})
        assert done["failed"], target
        assert "missing is the mount on /mnt" in done["msg"]
        done = run_module("ns_setns_run", {**target, "cmd": "true", "incomplete": True})
        assert not done.get("failed"), done
    for word in (f"--pid={holder}", *(f"--path={each}" for each in paths)):
        why = nsctl("exec", word, "--", "/bin/touch", f"{tmp_path}/entered", code=NOT_STARTED)
        assert "missing is the mount on /mnt" in why.stderr
        nsctl("exec", word, "--incomplete", "--", "/bin/true")
    assert not (tmp_path / "entered").exists()


@pytest.mark.parametrize("kind", ["mnt", "uts", "net"])
def test_one_that_lost_a_pin(web: Web, nsctl: Nsctl, run_module: RunModule, kind: str) -> None:
    """Else who enters it lives with the host in what it has lost."""
    words = ["ip", "netns", "del", web.name] if kind == "net" else ["umount", _pin(web, kind)]
    subprocess.run(words, check=True)
    for narrowed in ([], ["--kinds=mnt"], ["--kinds=uts"]):
        why = nsctl("exec", web.name, *narrowed, "/bin/true", code=NOT_STARTED).stderr
        assert f"has lost its {kind} namespace" in why
        assert f"`nsctl up {web.name}`" in why
    service = {"namespace": web.name, "name": "idle", "supervisor": "none", "argv": ["/bin/true"]}
    for module, args in (
        ("ns_setns_run", {"namespace": web.name, "cmd": "true"}),
        ("ns_service", service),
    ):
        done = run_module(module, args)
        assert done["failed"]
        assert f"has lost its {kind} namespace" in done["msg"]
    assert not run_module("ns_info", {"namespace": web.name}).get("failed")
    nsctl("up", web.name)
    own = os.readlink(f"/proc/self/ns/{kind}")
    found = nsctl("exec", web.name, "--", "/bin/readlink", f"/proc/self/ns/{kind}").stdout
    assert found.strip() != own
    assert "data" in nsctl("exec", web.name, "--", "/bin/ls", "/").stdout.split()
    assert set(web.make()) == {False}


def _pin(web: Web, kind: str) -> str:
    return pins.path(web.name, kind)


def test_a_kind_is_dropped_by_a_run_that_is_killed(
    web: Web, nsctl: Nsctl, run_module: RunModule
) -> None:
    fewer = {"name": web.name, "kinds": ["mnt", "uts"]}
    with pytest.raises(AssertionError):
        run_module("ns_namespace", fewer, env={"LINUX_NAMESPACES_KILL_BEFORE": "drop net"})
    nsctl("exec", web.name, "/bin/true")
    mounts.umount(_pin(web, "net"), flags=mounts.MNT_DETACH)  # killed in the midst of it
    nsctl("exec", web.name, "/bin/true", code=NOT_STARTED)
    assert run_module("ns_namespace", fewer)["actions"] == ["drop net"]
    nsctl("exec", web.name, "/bin/true")
    assert run_module("ns_namespace", fewer)["actions"] == []


@pytest.mark.parametrize("content", [None, ""])
def test_whoever_removes_its_state_does_not_open_it(
    closed: Web, nsctl: Nsctl, run_module: RunModule, content: str | None
) -> None:
    """As a damaged file asks for: what is missing is not known any more, and so may be all."""
    state = pathlib.Path(host_paths.closed_directory(closed.name), "state.json")
    state.unlink()
    if content is not None:
        state.write_text(content)
        assert "is damaged" in run_module("ns_namespace", closed.play[0][1])["msg"]
        state.unlink()
    for task in closed.play[:-2]:
        closed.take(task)
        nsctl("exec", closed.name, "/bin/true", code=NOT_STARTED)
    closed.data.mkdir()
    closed.make()
    assert "data" in nsctl("exec", closed.name, "--", "/bin/ls", "/").stdout.split()
    assert set(closed.make()) == {False}


def test_a_closed_one_is_taken_down_by_a_run_that_is_killed(closed: Web, nsctl: Nsctl) -> None:
    """That it is not whole is not forgotten before it is gone."""
    with lock.held(closed.name, timeout=5), unittest.mock.patch.object(pins, "discard"):
        namespace_state.take_down(closed.name)
    nsctl("exec", closed.name, "/bin/true", code=NOT_STARTED)
    closed.take(closed.play[1])
    nsctl("exec", closed.name, "/bin/true", code=NOT_STARTED)
    nsctl("down", closed.name)
    closed.data.mkdir()
    nsctl("up", closed.name)
    assert "data" in nsctl("exec", closed.name, "--", "/bin/ls", "/").stdout.split()


def test_list_and_show_say_why(closed: Web, nsctl: Nsctl) -> None:
    (listed,) = [each for each in nsctl.data("list") if each["name"] == closed.name]
    assert listed["state"] == "failed"
    assert str(closed.data) in listed["reason"]
    shown = nsctl.data("show", closed.name)
    assert str(closed.data) in shown["reason"]


def test_up_completes_and_opens_it(closed: Web, nsctl: Nsctl) -> None:
    closed.data.mkdir()
    nsctl("up", closed.name)
    assert nsctl("exec", closed.name, "--", "/bin/ls", "/data").stdout == ""
    assert nsctl.data("list", closed.name)[0]["state"] == "up"
    assert not os.listdir(host_paths.CLOSED)
    assert set(closed.make()) == {False}


def test_its_play_mends_and_opens_it(closed: Web, nsctl: Nsctl, tmp_path: pathlib.Path) -> None:
    closed.data = tmp_path / "elsewhere"
    closed.data.mkdir()
    (closed.data / "here").touch()
    for task in closed.play:
        nsctl("exec", closed.name, "/bin/true", code=NOT_STARTED)
        closed.take(task)
    assert nsctl("exec", closed.name, "--", "/bin/ls", "/data").stdout == "here\n"
    assert not os.listdir(host_paths.CLOSED)


def test_forgetting_the_step_opens_it(
    run_module: RunModule, new_name: NewName, nsctl: Nsctl, tmp_path: pathlib.Path
) -> None:
    name, source = new_name(), tmp_path / "source"
    source.mkdir()
    run_module("ns_namespace", {"name": name})
    bind = {"namespace": name, "path": "/mnt", "src": str(source), "opts": "bind"}
    run_module("ns_mount", bind)
    reboot()
    source.rmdir()
    nsctl("up", name, code=1)
    nsctl("exec", name, "/bin/true", code=NOT_STARTED)
    done = run_module("ns_mount", {"namespace": name, "path": "/mnt", "state": "unmounted"})
    assert done["actions"] == ["forget the mount on /mnt"]
    nsctl("exec", name, "/bin/true")


def test_the_play_finds_it_as_it_left_it(web: Web, converge: Converge) -> None:
    """Where nothing restores namespaces at boot, the first task does: others may enter then."""
    reboot()
    done = converge("ns_namespace", web.play[0][1])
    assert f"pivot to {web.root}" in done["actions"]
    assert all(os.path.exists(pin["path"]) for pin in done["namespace"]["kinds"].values())
    assert web.make() == [False] * len(web.play)


def test_the_first_task_warns_of_what_cannot_be_restored(
    web: Web, run_module: RunModule, nsctl: Nsctl
) -> None:
    reboot()
    web.data.rmdir()
    done = run_module("ns_namespace", web.play[0][1])
    assert not done.get("failed"), done
    assert str(web.data) in json.dumps(done["warnings"])
    nsctl("exec", web.name, "/bin/true", code=NOT_STARTED)
    web.data.mkdir()
    web.make()
    nsctl("exec", web.name, "/bin/true")


def test_one_that_lives_and_lacks_something_is_closed(
    web: Web, nsctl: Nsctl, run_module: RunModule
) -> None:
    inside(web.name, lambda: subprocess.run(["/bin/umount", "/data"], check=True))
    web.data.rmdir()
    nsctl("up", web.name, code=1)
    why = nsctl("exec", web.name, "/bin/true", code=NOT_STARTED).stderr
    assert f"missing is the mount on {web.root}/data. " in why
    assert not run_module("ns_mount_info", {"namespace": web.name}).get("failed")
    web.data.mkdir()
    nsctl("up", web.name)
    nsctl("exec", web.name, "/bin/true")
    assert "/data" in [mount.path for mount in mounts_inside(web.name)]


@pytest.mark.parametrize("step", ["pin mnt", "pin net", "mount", "pivot", "record"])
def test_killed_while_it_is_brought_up(web: Web, nsctl: Nsctl, step: str) -> None:
    reboot()
    killed = {**os.environ, "LINUX_NAMESPACES_KILL_BEFORE": step}
    nsctl("up", web.name, code=None, env=killed)
    if not gate.is_closed(web.name):
        assert pins.pinned(web.name).keys() in (set(), {"mnt", "net", "uts"})
    entered = nsctl("exec", web.name, "--", "/bin/ls", "/", code=None)
    assert entered.returncode == NOT_STARTED or "data" in entered.stdout.split()
    nsctl("up", web.name)
    assert "data" in nsctl("exec", web.name, "--", "/bin/ls", "/").stdout.split()


ROUNDS = 20


def test_whoever_enters_while_it_is_brought_up_is_in_its_root(web: Web, nsctl: Nsctl) -> None:
    """In 20 rounds, by four at once; each time it is taken down, or there was a reboot."""
    words = [nsctl.path, "exec", web.name, "--", "/bin/ls", "/"]
    found: set[tuple[int, bool]] = set()
    is_over = threading.Event()

    def enter() -> None:
        while not is_over.is_set():
            done = subprocess.run(words, check=False, capture_output=True, text=True)
            found.add((done.returncode, "etc" in done.stdout.split()))

    entering = [threading.Thread(target=enter) for _each in range(4)]
    for each in entering:
        each.start()
    try:
        for _round in range(ROUNDS):
            nsctl("down", web.name, "--force")
            nsctl("up", web.name)
    finally:
        is_over.set()
        for each in entering:
            each.join()
    # 137: killed by the force of down.
    assert not [each for each in found if each[1]]
    assert {code for code, _is_hosts in found} <= {0, NOT_STARTED, 137, -9}


def test_whoever_enters_while_it_is_recreated_is_in_its_own(
    run_module: RunModule, new_name: NewName, nsctl: Nsctl
) -> None:
    """Of several kinds all are joined, or none: else the program would live with the host in some."""
    name = new_name()
    own = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "uts", "ipc", "net")}
    run_module("ns_namespace", {"name": name, "kinds": list(own)})
    script = "readlink /proc/self/ns/mnt /proc/self/ns/uts /proc/self/ns/ipc /proc/self/ns/net"
    words = [nsctl.path, "exec", name, "--", "/bin/sh", "-c", script]
    shared: list[str] = []
    is_over = threading.Event()

    def enter() -> None:
        while not is_over.is_set():
            done = subprocess.run(words, check=False, capture_output=True, text=True)
            shared.extend(set(done.stdout.split()) & set(own.values()))

    entering = [threading.Thread(target=enter) for _each in range(4)]
    for each in entering:
        each.start()
    try:
        for offset in range(ROUNDS):
            args = {"name": name, "kinds": list(own), "force": True, "recreate": True}
            args["propagation"] = ("slave", "private")[offset % 2]
            done = run_module("ns_namespace", args)
            assert done["changed"], done
    finally:
        is_over.set()
        for each in entering:
            each.join()
    assert shared == []
