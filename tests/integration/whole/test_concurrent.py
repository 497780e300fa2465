# SPDX-License-Identifier: GPL-3.0-or-later
"""Several runs at the same time: one after the other, none for ever, and none half."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import re
import signal
import time
import typing as t

import pytest
from at_once import Task, at_once, succeeded
from host_state import host_state
from processes_inside import inside, mounts_inside
from results import Result, RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.properties import (
    Properties,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.steps import (
    MountStep,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import (
    table as mount_table,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.wanted import WantedMount
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import lock, pins
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace.target import Target
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import (
    mount as mounting,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import (
    namespace,
    namespace_removal,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc

NewName = t.Callable[[], str]
BASE = pathlib.Path(host_paths.BASE)


class AtOnce(t.Protocol):
    def __call__(self, tasks: t.Sequence[Task]) -> list[Result]: ...


@pytest.fixture
def run_at_once(run_module: RunModule) -> AtOnce:
    """Run tasks at the same time; their results."""
    return functools.partial(at_once, run_module)


def mounted_on(name: str, path: str) -> list[mount_table.Mount]:
    return [mount for mount in mounts_inside(name) if mount.path == path]


def pinned_on_host(name: str) -> list[str]:
    paths = [line.split()[4] for line in host_state()["mounts"]]
    return sorted(path for path in paths if path.startswith(f"{BASE}/{name}/"))


@pytest.mark.parametrize("number", [2, 8])
def test_changes_of_one_namespace(number: int, run_at_once: AtOnce, new_name: NewName) -> None:
    """What is there in the end is what one of them asked for, all of it."""
    name = new_name()
    sets = [["mnt", "uts"], ["mnt", "net", "uts"], ["mnt", "uts", "ipc"]]
    for turn in range(20 if number == 8 else 5):
        wanted = [
            {
                "name": name,
                "kinds": sets[(turn + index) % len(sets)],
                "hostname": f"turn{turn}-{index}",
                "persistent": False,
            }
            for index in range(number)
        ]
        results = succeeded(run_at_once([("ns_namespace", each) for each in wanted]))
        assert any(result["changed"] for result in results)
        hostname = inside(name, lambda: os.uname().nodename, ["uts"])
        (last,) = [each for each in wanted if each["hostname"] == hostname]
        assert sorted(pins.pinned(name)) == sorted(last["kinds"])
        assert pinned_on_host(name) == sorted(pins.path(name, kind) for kind in last["kinds"])
        recorded = definitions.load(name)
        assert recorded is not None
        assert recorded.properties.hostname == hostname
        assert recorded.properties.kinds == tuple(sorted(last["kinds"]))


def test_mounts_in_one_namespace(run_at_once: AtOnce, new_name: NewName) -> None:
    name = new_name()
    succeeded(run_at_once([("ns_namespace", {"name": name, "persistent": False})]))
    for turn in range(8):
        sizes = [f"size={(1 + (turn + index) % 5) * 1024}k" for index in range(8)]
        mount = {"namespace": name, "path": "/mnt", "src": "m", "fstype": "tmpfs"}
        succeeded(run_at_once([("ns_mount", {**mount, "opts": size}) for size in sizes]))
        (mount_there,) = mounted_on(name, "/mnt")
        recorded = definitions.load(name)
        assert recorded is not None
        (step,) = recorded.all_steps
        assert isinstance(step, MountStep)
        (size,) = step.words
        assert size in sizes
        assert size in mount_there.options


def test_one_process_for_a_service(run_at_once: AtOnce, new_name: NewName) -> None:
    name = new_name()
    seconds = f"{10**6 + os.getpid()}.25"

    def living() -> list[int]:
        found = [proc.process_facts(pid) for pid in proc.all_pids()]
        return [
            each.pid
            for each in found
            if each is not None and each.state not in "ZX" and seconds in each.command
        ]

    succeeded(run_at_once([("ns_namespace", {"name": name, "persistent": False})]))
    task = {
        "namespace": name,
        "name": "idle",
        "supervisor": "none",
        "argv": ["/bin/sleep", seconds],
        "ready": {"file": "/"},
    }
    started = succeeded(run_at_once([("ns_service", task)] * 8))
    assert sorted(result["changed"] for result in started) == [False] * 7 + [True]
    (pid,) = living()
    assert {result["service"]["pid"] for result in started} == {pid}
    for _turn in range(3):
        run_at_once([("ns_service", {**task, "state": "restarted"})] * 8)
        assert len(living()) == 1
    mixed = ["started", "stopped", "restarted", "absent"] * 2
    succeeded(run_at_once([("ns_service", {**task, "state": state}) for state in mixed]))
    assert len(living()) <= 1
    succeeded(run_at_once([("ns_service", {**task, "state": "absent"})]))
    assert living() == []


def test_making_and_removing_at_once(run_at_once: AtOnce, new_name: NewName) -> None:
    """In the end it is there whole, or not at all; what comes too late is told so."""
    name = new_name()
    namespace = {"name": name, "kinds": ["mnt", "net"], "persistent": False}
    absent = ("ns_namespace", {"name": name, "state": "absent"})
    mount = {"namespace": name, "path": "/mnt", "src": "m", "fstype": "tmpfs"}
    tasks: list[Task] = [
        ("ns_namespace", namespace),
        absent,
        ("ns_mount", mount),
        ("ns_namespace", {**namespace, "kinds": ["net"]}),
        absent,
        ("ns_namespace", namespace),
        ("ns_pivot_root", {"namespace": name, "new_root": "/mnt"}),
        ("ns_info", {"kinds": ["mnt"]}),
    ]
    for turn in range(8):
        results = run_at_once(tasks[turn % 8 :] + tasks[: turn % 8])
        for result in results:
            if result.get("failed"):
                assert result["reason"], result
                assert "errno" not in result or result.get("syscall") == "pivot_root", result
        pinned = pins.pinned(name)
        assert sorted(pinned) in ([], ["net"], ["mnt", "net"])
        assert pinned_on_host(name) == sorted(pins.path(name, kind) for kind in pinned)
        assert (BASE / name).exists() == bool(pinned)
        assert os.path.lexists(f"/run/netns/{name}") == ("net" in pinned)
        if "mnt" in pinned:
            assert len(mounted_on(name, "/mnt")) <= 1
    assert not succeeded(run_at_once([absent]))[0].get("failed")


def test_the_directory_of_all_is_made_and_removed_at_once(
    run_at_once: AtOnce, new_name: NewName
) -> None:
    names = [new_name() for _index in range(4)]
    for _turn in range(8):
        present = [("ns_namespace", {"name": each, "persistent": False}) for each in names]
        absent = [("ns_namespace", {"name": each, "state": "absent"}) for each in names]
        pairs = [task for pair in zip(present, absent) for task in pair]
        succeeded(run_at_once(pairs))
        kept = [each for each in names if pins.pinned(each)]
        assert BASE.exists() == bool(kept)
        if kept:
            assert sorted(os.listdir(BASE)) == sorted([".closed", ".locks", *kept])
            assert sorted(os.listdir(BASE / ".locks")) == sorted(kept)
            assert len([line for line in host_state()["mounts"] if f" {BASE} " in line]) == 1
    succeeded(run_at_once([("ns_namespace", {"name": each, "state": "absent"}) for each in names]))
    assert not BASE.exists()


# --- waiting


@contextlib.contextmanager
def lock_held(name: str, *, seconds: float) -> t.Iterator[None]:
    """Another process holds the lock of the name for that long."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        with lock.held(name, timeout=5):
            os.write(tell, b"x")
            time.sleep(seconds)
        os._exit(0)
    assert os.read(told, 1) == b"x"
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for fd in (told, tell):
            os.close(fd)


def test_who_waits_too_long_is_told_for_whom(run_module: RunModule, new_name: NewName) -> None:
    name = new_name()
    run_module("ns_namespace", {"name": name, "persistent": False})
    before = host_state()
    mount = WantedMount(path="/mnt", src="m", fstype="tmpfs")
    with lock_held(name, seconds=60):
        for run in (
            lambda: namespace.present(
                namespace.NamespaceRequest(name, Properties(), lock_timeout=0.2), check=False
            ),
            lambda: namespace_removal.absent(name, check=False, lock_timeout=0.2),
            lambda: mounting.run(
                mounting.MountRequest(Target(namespace=name), (mount,), lock_timeout=0.2),
                check=False,
            ),
        ):
            began = time.monotonic()
            with pytest.raises(Refused) as refused:
                run()
            assert 0.2 <= time.monotonic() - began < 5
            assert f"another run holds the lock of namespace {name!r}" in refused.value.reason
            assert "it is held by" in refused.value.reason
            assert re.search(r", pid \d+ since 2.*, for \d s now$", refused.value.reason)
        # Looking needs no lock, and neither do others.
        assert not run_module("ns_namespace", {"name": name}, check=True).get("failed")
        other = new_name()
        assert run_module("ns_namespace", {"name": other, "persistent": False})["changed"]
        run_module("ns_namespace", {"name": other, "state": "absent"})
    assert host_state() == before
    # The lock of a killed run is free again.
    assert not run_module("ns_namespace", {"name": name, "persistent": False}).get("failed")


def test_who_waits_proceeds(run_module: RunModule, new_name: NewName) -> None:
    name = new_name()
    with lock_held(name, seconds=0.3):
        began = time.monotonic()
        assert run_module("ns_namespace", {"name": name, "persistent": False})["changed"]
        assert time.monotonic() - began >= 0.2
    assert sorted(pins.pinned(name)) == ["mnt"]
