# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of which a call fails for want of something: room, files, memory, namespaces, mounts.

Afterwards the step and its cause are named, what was there before is there, and the next run does what
this one could not.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import re
import resource
import shutil
import typing as t

import pytest
from cgroups_seen import noted_for
from command import Nsctl
from module_server import FAIL_AT
from results import RunModule
from stages import Case, Stage, State, Task
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import cgroup
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
    mounts,
)

_NEVER = "1000000000:0"
# Of each case, unless EXHAUST_ROUNDS says how many, or "all". EXHAUST_SEED picks others.
_ROUNDS = os.environ.get("EXHAUST_ROUNDS", "2")
_SEED = int(os.environ.get("EXHAUST_SEED", "1"))
# What errors of exhaustion are called in a result.
_ERRNO = re.compile("^(ENOSPC|EDQUOT|EROFS|EIO|EMFILE|ENFILE|ENOMEM|EAGAIN)$")
_AFTERWARDS = ("look at", "record the root", "remove the old root", "clear away")

CASES = [
    "create mnt",
    "create without definition",
    "create all kinds",
    "add a kind",
    "remove",
    "mount a tmpfs",
    "mount several",
    "replace a mount",
    "change a mount",
    "unmount",
    "unpack a root",
    "replace a root",
    "unpack a root inside",
    "remove a root",
    "pivot",
    "pivot with the old root",
    "start a service",
    "stop a service",
    "remove a service",
    "run",
    "run inside",
]


@pytest.fixture
def stage(run_module: RunModule, tmp_path: pathlib.Path, new_name: t.Callable[[], str]) -> Stage:
    # nsctl is installed with the first persistent namespace, and goes with the last one.
    run_module("ns_namespace", {"name": new_name()})
    return Stage(run_module, tmp_path / "home", new_name())


class Tried(t.NamedTuple):
    """What a case is like when nothing fails."""

    at_first: State
    before: State
    after: State
    calls: int


def tried(stage: Stage, case: Case) -> Tried:
    """Play the case without a failure."""
    for task in [*case.before, case.task, *case.after]:
        stage.done(task)  # what it makes on its way in the home stays
    at_first = stage.state()
    for task in case.before:
        stage.done(task)
    before = stage.state()
    result = stage.run(case.task, {FAIL_AT: _NEVER})
    assert not result.get("failed"), result
    calls = int(result["stderr_of_module"].split()[-1])
    after = stage.state()
    for task in case.after:
        stage.done(task)
    assert stage.state() == at_first
    return Tried(at_first, before, after, calls)


def wrong_with(stage: Stage, case: Case, known: Tried, fault: str) -> t.Iterator[str]:
    """Play the case with this fault; what is not as it should be, and with it what failed."""
    for task in case.before:
        stage.done(task)
    result = stage.run(case.task, {FAIL_AT: fault})
    found = stage.state()
    said = result["stderr_of_module"].splitlines()
    what = said[0] if len(said) > 1 else "nothing"
    if result.get("failed"):
        what += f" -> {result['msg']}"
        if "defect" in result["msg"]:
            yield f"{what}: a defect: {result['exception']}"
        elif not result.get("step"):
            yield f"{what}: no step"
        elif not _ERRNO.match(result.get("errno", "")) or "[Errno" in result["msg"]:
            yield f"{what}: no cause"
        is_as_before = _lasting(found) == _lasting(known.before)
        # Afterwards: at the result, or at what is taken away when all is done.
        is_done = result.get("step", "").startswith(_AFTERWARDS) and (
            _without_rests(found) == _without_rests(known.after)
        )
        if not (case.goes_on or is_as_before or is_done):
            yield f"{what}: not as before: {_difference(known.before, found)}"
    elif not case.goes_on and _lasting(found) != _lasting(known.after):
        yield f"{what}: not as it should be: {_difference(known.after, found)}"
    again = stage.run(case.task)
    if again.get("failed"):
        yield f"{what}: and the next run: {again['msg']}"
    elif _lasting(stage.state()) != _lasting(known.after):
        yield f"{what}: the next run does not converge: {_difference(known.after, stage.state())}"
    for task in case.after:
        stage.done(task)
    if _lasting(stage.state()) != _lasting(known.at_first):
        yield f"{what}: left is: {_difference(known.at_first, stage.state())}"


def _lasting(state: State) -> State:
    """Without locks and notes of cgroups, of which what stays is harmless: the next one removes it."""
    pins = [
        each
        for each in state["pins"]
        if not ("/.locks" in each or "/cgroups" in each or each.endswith(".closed"))
    ]
    return {
        **state,
        "locks": [],
        "pins": pins,
        "mounts": [m for m in state["mounts"] if not m.startswith(f"{host_paths.BASE} ")],
    }


def _without_rests(state: State) -> State:
    """Without what was built beside a root, or was replaced by it: the next run clears that."""
    files = [each for each in state["files"] if "/tree/.root." not in each]
    return {**_lasting(state), "files": files}


def _difference(one: State, other: State) -> str:
    found = []
    for what, there in one.items():
        if there != other[what] and isinstance(there, list):
            found += [f"-{each}" for each in there if each not in other[what]]
            found += [f"+{each}" for each in other[what] if each not in there]
        elif there != other[what]:
            found.append(f"{what}: {there} -> {other[what]}")
    return ", ".join(found)


@pytest.mark.parametrize("title", CASES)
def test_a_call_that_fails(title: str, stage: Stage) -> None:
    case = stage.case(title)
    known = tried(stage, case)
    chosen = random.Random(f"{_SEED} {title}")
    points = list(range(1, known.calls + 1))
    if _ROUNDS != "all":
        points = chosen.sample(points, min(len(points), int(_ROUNDS)))
    faults = [f"{number}:{chosen.randrange(60)}" for number in points]
    found = [
        f"{fault} {wrong}" for fault in faults for wrong in wrong_with(stage, case, known, fault)
    ]
    assert not found, "\n".join(found)


# --- what is exhausted in truth


@contextlib.contextmanager
def read_only(path: str) -> t.Iterator[None]:
    """Nothing can be written at the mount point meanwhile."""
    flags = mounts.MS_REMOUNT | mounts.MS_BIND
    mounts.mount("none", path, flags=flags | mounts.MS_RDONLY)
    try:
        yield
    finally:
        mounts.mount("none", path, flags=flags)


def refused(stage: Stage, task: Task, *words: str) -> None:
    """The task fails for these reasons and changes nothing."""
    before = stage.state()
    result = stage.run(task)
    assert result.get("failed"), result
    for word in words:
        assert word in result["msg"], (word, result)
    assert result["step"] and "taken back" not in result["msg"], result
    assert stage.state() == before, _difference(before, stage.state())


def test_a_read_only_etc(stage: Stage) -> None:
    create, mount = stage.case("create mnt").task, stage.case("mount a tmpfs").task
    why = (
        f"{host_paths.DEFINITIONS}/{stage.name}.json cannot be written: the file system on /etc is"
    )
    with read_only("/etc"):
        refused(stage, create, f"Record namespace {stage.name} failed", why, "remount,rw /etc")
    assert stage.done(create)["changed"]
    with read_only("/etc"):
        refused(stage, mount, "Record the mounts failed", why)
    assert stage.done(mount)["changed"]
    assert not stage.done(mount)["changed"]


def test_a_mount_on_the_definition(stage: Stage, tmp_path: pathlib.Path) -> None:
    """Somebody has put another file there by a mount: it can neither be replaced nor removed."""
    create, mount = stage.case("create mnt").task, stage.case("mount a tmpfs").task
    stage.done(create)
    path = f"{host_paths.DEFINITIONS}/{stage.name}.json"
    other = tmp_path / "other.json"
    shutil.copy(path, other)
    why = f"{path} cannot be changed: "
    mounts.mount(str(other), path, flags=mounts.MS_BIND)
    try:
        refused(stage, mount, "Record the mounts failed", why, "is mounted on it", f"umount {path}")
        removed = stage.run(stage.case("remove").task)
    finally:
        mounts.umount(path)
    assert removed["failed"] and why in removed["msg"] and removed["step"], removed
    stage.done(create)
    assert stage.done(mount)["changed"]
    assert not stage.done(mount)["changed"]
    stage.done(stage.case("remove").task)


def test_a_full_run(stage: Stage) -> None:
    create, mount = stage.case("create mnt").task, stage.case("mount a tmpfs").task
    mount = (mount[0], {**mount[1], "persistent": False})
    full = pathlib.Path(host_paths.BASE, "full")
    # Blocks of tmpfs are pages.
    mounts.mount("none", host_paths.BASE, flags=mounts.MS_REMOUNT, data="size=1m")
    try:
        for task, step in (
            (create, f"Record namespace {stage.name} failed"),
            (mount, "Record the mounts failed"),
        ):
            with open(full, "wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))
            said = f"on the file system on {host_paths.BASE}: 0 of 1024 KB are free"
            refused(stage, task, step, "no space is left for", said)
            full.unlink()
            assert stage.done(task)["changed"]
    finally:
        full.unlink(missing_ok=True)
        mounts.mount("none", host_paths.BASE, flags=mounts.MS_REMOUNT, data="size=50%")


def test_too_few_descriptors(stage: Stage, nsctl: Nsctl) -> None:
    stage.done(stage.case("create mnt").task)
    stage.done(stage.case("mount a tmpfs").task)
    nsctl("down", stage.name)
    before = stage.state()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))

    said = nsctl("up", stage.name, code=1, preexec_fn=limit).stderr
    assert "too many files are open: a process like this one may have 8 (RLIMIT_NOFILE)" in said
    assert stage.state()["mounts"] == before["mounts"]
    nsctl("up", stage.name)
    assert nsctl("up", stage.name).stdout == f"{stage.name}: up already\n"


@pytest.mark.parametrize("state", ["started", "stopped", "absent"])
def test_a_service_whose_directory_was_removed(state: str, stage: Stage) -> None:
    """It is not forgotten with its note: there is one at most, and none when that is asked for."""
    case = stage.case("start a service")
    for task in [*case.before, case.task]:
        stage.done(task)
    before = stage.state()["processes"]
    forgotten = noted_for(stage.name)
    for gone in ("services", "cgroups"):
        shutil.rmtree(f"{host_paths.directory(stage.name)}/{gone}", ignore_errors=True)
    module, options = case.task
    result = stage.done((module, {**options, "state": state}))
    assert f"stop service {options['name']}" in result["actions"]
    assert wait_until(lambda: stage.state()["processes"] == before - (state != "started"))
    for task in case.after:
        stage.done(task)
    for name in forgotten:
        cgroup.remove(name, timeout=5)  # which nobody knows any more
        assert cgroup.directories(name) == []
