# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of which a call fails for want of something: room, files, memory, namespaces, mounts.

Afterwards the step and its cause are named, what was there before is there, and the next run does what
this one could not.
"""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import random
import re
import resource
import shutil
import tarfile
import typing as t

import pytest
from command import Nsctl
from host_state import host_state
from module_server import FAIL_AT
from results import Result, RunModule
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import table
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources import cache
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
    mounts,
    namespaces,
)

Task = tuple[str, dict[str, t.Any]]
_NEVER = "1000000000:0"
# Of each case, unless EXHAUST_ROUNDS says how many, or "all". EXHAUST_SEED picks others.
_ROUNDS = os.environ.get("EXHAUST_ROUNDS", "2")
_SEED = int(os.environ.get("EXHAUST_SEED", "1"))
# What errors of exhaustion are called in a result.
_ERRNO = re.compile("^(ENOSPC|EDQUOT|EROFS|EIO|EMFILE|ENFILE|ENOMEM|EAGAIN)$")


class Case(t.NamedTuple):
    """An operation: what is there before, the task, what takes all of it away again."""

    before: list[Task]
    task: Task
    after: list[Task]
    # What was begun is not taken back, but gone on with by the next run.
    goes_on: bool = False


State = dict[str, t.Any]


class Stage:
    """Where the cases play."""

    def __init__(self, run_module: RunModule, home: pathlib.Path, name: str) -> None:
        self._run_module = run_module
        self._home = home
        self.name = name
        self._seconds = f"{10**6 + os.getpid()}.{abs(hash(name)) % 10**6}"
        self.root = f"{home}/root"
        for directory in ("root", "site", "upper", "work", "lower"):
            (home / directory).mkdir(parents=True)
        with tarfile.open(home / "root.tar", "w") as archive:
            for folder in ("etc", "usr", "proc", "old"):
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            motd = tarfile.TarInfo("etc/motd")
            motd.size = 5
            archive.addfile(motd, io.BytesIO(b"hello"))

    def case(self, title: str) -> Case:
        """The case of this title."""
        name, home = self.name, self._home
        inside = {"namespace": name}
        gone: Task = ("ns_namespace", {"name": name, "state": "absent", "force": True})
        made: Task = ("ns_namespace", {"name": name, "kinds": ["mnt", "uts"]})
        tmpfs: dict[str, t.Any] = {**inside, "path": "/mnt", "src": "m", "fstype": "tmpfs"}
        layers = [f"lowerdir={home}/lower", f"upperdir={home}/upper", f"workdir={home}/work"]
        several = [
            {"path": "/mnt", "src": "m", "fstype": "tmpfs"},
            {"path": "/mnt/bind", "src": f"{home}/site", "opts": ["bind", "ro", "X-mount.mkdir"]},
            {"path": "/media", "src": "o", "fstype": "overlay", "opts": layers},
        ]
        root: Task = ("ns_rootfs", {"path": f"{home}/tree/root", "archive": f"{home}/root.tar"})
        no_root: Task = ("ns_rootfs", {"path": f"{home}/tree/root", "state": "absent"})
        bound: Task = (
            "ns_mount",
            {**inside, "path": self.root, "src": f"{home}/tree/root", "opts": ["bind"]},
        )
        pivot: Task = ("ns_pivot_root", {**inside, "new_root": self.root})
        service: dict[str, t.Any] = {**inside, "name": "idle", "supervisor": "none"}
        started: Task = ("ns_service", {**service, "argv": ["/usr/bin/sleep", self._seconds]})
        return {
            "create mnt": Case([], ("ns_namespace", {"name": name}), [gone]),
            "create without definition": Case(
                [],
                ("ns_namespace", {"name": name, "kinds": ["mnt", "net"], "persistent": False}),
                [gone],
            ),
            "create all kinds": Case(
                [],
                (
                    "ns_namespace",
                    {
                        "name": name,
                        "kinds": ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"],
                        "hostname": "inside",
                        "id_map": {
                            which: [{"inside": 0, "outside": 100_000, "count": 65_536}]
                            for which in ("uid", "gid")
                        },
                    },
                ),
                [gone],
            ),
            "add a kind": Case(
                [made], ("ns_namespace", {"name": name, "kinds": ["mnt", "uts", "net"]}), [gone]
            ),
            "remove": Case([made, ("ns_mount", tmpfs)], gone, [], goes_on=True),
            "mount a tmpfs": Case([made], ("ns_mount", tmpfs), [gone]),
            "mount several": Case([made], ("ns_mount", {**inside, "mounts": several}), [gone]),
            "replace a mount": Case(
                [made, ("ns_mount", tmpfs)],
                ("ns_mount", {**tmpfs, "src": "other"}),
                [gone],
                goes_on=True,
            ),
            "change a mount": Case(
                [made, ("ns_mount", tmpfs)],
                ("ns_mount", {**tmpfs, "opts": ["ro", "size=1m"], "propagation": "shared"}),
                [gone],
                goes_on=True,
            ),
            "unmount": Case(
                [made, ("ns_mount", tmpfs)],
                ("ns_mount", {**inside, "path": "/mnt", "state": "unmounted"}),
                [gone],
                goes_on=True,
            ),
            "unpack a root": Case([], root, [no_root]),
            "unpack a root inside": Case(
                [made, ("ns_mount", tmpfs)],
                ("ns_rootfs", {**inside, "path": "/mnt/root", "archive": f"{home}/root.tar"}),
                [gone],
            ),
            "remove a root": Case([root], no_root, [], goes_on=True),
            "pivot": Case([root, made, bound], pivot, [gone, no_root], goes_on=True),
            "pivot with the old root": Case(
                [root, made, bound],
                ("ns_pivot_root", {**pivot[1], "put_old": f"{self.root}/old"}),
                [gone, no_root],
                goes_on=True,
            ),
            "start a service": Case([made], started, [gone]),
            "stop a service": Case(
                [made, started],
                ("ns_service", {**service, "state": "stopped"}),
                [gone],
                goes_on=True,
            ),
            "remove a service": Case(
                [made, started],
                ("ns_service", {**service, "state": "absent"}),
                [gone],
                goes_on=True,
            ),
            "run": Case(
                [],
                (
                    "ns_unshare_run",
                    {"kinds": ["mnt", "pid", "net", "uts"], "argv": ["/bin/true"]},
                ),
                [],
            ),
            "run inside": Case([made], ("ns_setns_run", {**inside, "argv": ["/bin/true"]}), [gone]),
        }[title]

    def run(self, task: Task, env: dict[str, str] | None = None) -> Result:
        """Run a task."""
        return self._run_module(task[0], task[1], env=env)

    def done(self, task: Task, context: object = None) -> Result:
        """Run a task that must succeed."""
        result = self.run(task)
        assert not result.get("failed"), (context, task, result)
        return result

    def state(self) -> State:
        """What a task may have changed: on the host, inside, and in processes."""
        host = host_state()
        host["mounts"] = sorted(_of_mounts(table.read()))
        pin = pathlib.Path(f"{host_paths.kept_in(self.name)}/mnt")
        inside: list[str] = []
        content = {}
        for above in (host_paths.DEFINITIONS, cache.DIRECTORY):
            for path in sorted(pathlib.Path(above).glob("*")):
                content[str(path)] = path.read_text() if path.suffix == ".json" else ""
        if pin.exists():
            inside = self._mounts_inside(pin)
        return {
            **{what: _normal(there) for what, there in host.items()},
            "inside": inside,
            "content": content,
            "files": [str(path) for path in sorted(self._home.rglob("*"))],
            "processes": self._processes(),
            "locks": [each for each in os.listdir("/run") if each.endswith(".lock")],
        }

    def _mounts_inside(self, pin: pathlib.Path) -> list[str]:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            try:
                fd = os.open(pin, os.O_RDONLY)
                host_proc = os.open("/proc", os.O_RDONLY)
                namespaces.setns(fd, 0)
                text = "\n".join(sorted(_of_mounts(table.read(dir_fd=host_proc))))
                os.write(writer, text.encode())
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader, encoding="utf-8") as pipe:
            found = pipe.read()
        os.waitpid(child, 0)
        return found.splitlines()

    def _processes(self) -> int:
        found = 0
        for pid in proc.all_pids():
            facts = proc.process_facts(pid)
            if facts is not None and facts.state not in "ZX":
                found += self._seconds in facts.command
        return found


def _of_mounts(mounts: t.Iterable[table.Mount]) -> t.Iterator[str]:
    for mount in mounts:
        words = ",".join((*mount.flags, *mount.options))
        shared = mount.propagation.partition(":")[0]
        yield f"{mount.path} {mount.fstype} {mount.src} {words} {shared}"


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
        allowed = [known.before]
        if result.get("step", "").startswith(("look at", "record the root")):
            allowed.append(known.after)  # afterwards, at the result
        if not case.goes_on and not any(_lasting(found) == _lasting(each) for each in allowed):
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


def _normal(names: list[str]) -> list[str]:
    """Without what is chosen at random."""
    return [each.partition("@")[0] if "/cgroups/" in each else each for each in names]


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
    for gone in ("services", "cgroups"):
        shutil.rmtree(f"{host_paths.directory(stage.name)}/{gone}", ignore_errors=True)
    module, options = case.task
    result = stage.done((module, {**options, "state": state}))
    assert f"stop service {options['name']}" in result["actions"]
    assert wait_until(lambda: stage.state()["processes"] == before - (state != "started"))
    for task in case.after:
        stage.done(task)
