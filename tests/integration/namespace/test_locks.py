# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody but root holds up a run: its locks are on files that only root can open."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import time
import typing as t

import pytest
from command import Nsctl
from hoarder import AS_NOBODY, hoarding
from named_namespaces import BASE, NewName
from reach import let_everyone_reach
from results import Result, RunModule
from trees import Roots, archives, failed, roots

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.install import host_command
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import (
    lock as name_lock,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs import workspace
from ansible_collections.linux.namespaces.plugins.module_utils._core.storage import lock

__all__ = ["archives", "roots"]

# Where anything of ours lies on a host, and the directories above.
ALONE = ("/", "/run", "/usr", "/usr/local", "/usr/local/lib", "/usr/local/sbin", "/etc", "/var")
BELOW = (
    *("/run/linux-namespaces", "/run/netns", "/etc/linux-namespaces", "/etc/systemd/system"),
    *("/usr/local/lib/linux-namespaces", "/var/cache", "/var/log/linux-namespaces"),
)
# Far less than a run waits for a lock, far more than it takes.
AT_ONCE = 15


def timely(run_module: RunModule, module: str, args: Result) -> Result:
    began = time.monotonic()
    done = run_module(module, args)
    assert not done.get("failed"), done
    assert time.monotonic() - began < AT_ONCE
    return done


def test_a_plain_user_who_locks_all_that_he_can_open(
    run_module: RunModule, new_name: NewName, roots: Roots
) -> None:
    let_everyone_reach(roots.top)
    below = [*BELOW, str(roots.top)]
    name = new_name()
    with hoarding(ALONE, below, prefix=AS_NOBODY) as locks:
        assert locks > len(ALONE)  # also /run and /usr/local/lib, at the very least
        for _round in range(3):
            kinds = {"name": name, "kinds": ["mnt", "net", "pid", "uts"]}
            assert timely(run_module, "ns_namespace", kinds)["changed"]
            tmpfs = {"namespace": name, "path": "/mnt", "src": "tmpfs", "fstype": "tmpfs"}
            assert timely(run_module, "ns_mount", tmpfs)["changed"]
            for root in (
                {"path": str(roots.path), "archive": roots.first},
                {"path": str(roots.path), "archive": roots.second},
                {"path": str(roots.path), "state": "absent"},
                {"path": "/mnt", "namespace": name, "archive": roots.first},
            ):
                assert timely(run_module, "ns_rootfs", root)["changed"]
            assert timely(run_module, "ns_namespace", {"name": name, "state": "absent"})["changed"]
            assert not BASE.exists()
            assert roots.beside() == []


def test_a_plain_user_who_works_in_our_directory(run_module: RunModule, new_name: NewName) -> None:
    """That neither keeps it, nor takes the time that waiting for him would."""
    name = new_name()
    assert timely(run_module, "ns_namespace", {"name": name})["changed"]
    with subprocess.Popen([*AS_NOBODY, "sleep", "infinity"], cwd=BASE / name) as process:
        try:
            began = time.monotonic()
            timely(run_module, "ns_namespace", {"name": name, "state": "absent"})
            assert time.monotonic() - began < 1
            assert not BASE.exists()
        finally:
            process.kill()


IDS = [{"inside": 0, "outside": 100_000, "count": 65_536}]


@pytest.mark.parametrize("kinds", [["mnt"], ["mnt", "user"]], ids="+".join)
def test_root_inside_who_locks_all_that_is_there(
    kinds: list[str], run_module: RunModule, new_name: NewName, roots: Roots
) -> None:
    """Also the directories that a root is built in, which root inside can open, or makes himself."""
    name = new_name()
    wanted: Result = {"name": name, "kinds": kinds}
    if "user" in kinds:
        wanted["id_map"] = {"uid": IDS, "gid": IDS}
    assert run_module("ns_namespace", wanted)["changed"]
    tmpfs = {"namespace": name, "path": "/mnt", "src": "tmpfs", "fstype": "tmpfs"}
    assert run_module("ns_mount", tmpfs)["changed"]
    enter = ["nsenter", f"--mount={BASE}/{name}/mnt", "--wd=/"]
    if "user" in kinds:
        enter.insert(1, f"--user={BASE}/{name}/user")
    for path, before in (("/mnt/root", "/mnt/.root.new"), ("/mnt", "/mnt/.linux-namespaces.new")):
        subprocess.run([*enter, "mkdir", before], check=True)
        with hoarding([], ["/mnt"], prefix=enter) as locks:
            assert locks >= 2
            args = {"namespace": name, "path": path}
            for archive in (roots.first, roots.second):
                root = {**args, "archive": archive, "device_nodes": "skip"}
                assert timely(run_module, "ns_rootfs", root)["changed"]
            assert timely(run_module, "ns_rootfs", {**args, "state": "absent"})["changed"]
    shown = subprocess.run([*enter, "ls", "-A", "/mnt"], check=True, capture_output=True)
    assert shown.stdout == b""


def test_a_lock_that_others_can_open_is_none(run_module: RunModule, new_name: NewName) -> None:
    name = new_name()
    lock = pathlib.Path(host_paths.BASE_LOCK)
    lock.touch()
    lock.chmod(0o644)
    try:
        failed(run_module("ns_namespace", {"name": name}), f"{lock} is no lock", "Remove it")
    finally:
        lock.unlink()
    lock.symlink_to("/run/tests/elsewhere")
    try:
        failed(run_module("ns_namespace", {"name": name}))
        assert not os.path.lexists("/run/tests/elsewhere")
    finally:
        lock.unlink()


def locks_left() -> list[str]:
    return [name for name in os.listdir(host_paths.LOCKS) if name.endswith(".lock")]


def test_nothing_is_left_of_a_lock(run_module: RunModule, new_name: NewName, roots: Roots) -> None:
    """Of one that a killed run held neither, once another has had it."""
    name = new_name()
    root: Result = {"path": str(roots.path), "archive": roots.first}
    for wanted in (("ns_namespace", {"name": name}), ("ns_rootfs", root)):
        with contextlib.suppress(AssertionError):
            run_module(*wanted, env={"LINUX_NAMESPACES_KILL_BEFORE": "1"})
        assert timely(run_module, *wanted)["changed"]
        assert locks_left() == []


def test_the_lock_of_a_root_is_one_by_whatever_path(tmp_path: pathlib.Path) -> None:
    (tmp_path / "roots").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "roots")
    names = set()
    for path in (tmp_path / "roots", tmp_path / "link"):
        fd = os.open(path, os.O_PATH)
        names.add(workspace.lock_name(fd, ".root.new"))
        os.close(fd)
    assert len(names) == 1
    assert t.cast("str", names.pop()).startswith("linux-namespaces.root-")


def test_who_waits_is_told_who_has_it_whichever_lock_it_is(
    new_name: NewName, tmp_path: pathlib.Path
) -> None:
    name = new_name()
    above = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    of_root = f"{host_paths.LOCKS}/{workspace.lock_name(above, '.root.new')}"

    def build() -> t.ContextManager[object]:
        ask = workspace.Locks().ask
        return workspace.held(above, ".root.new", ask=ask, patience=0.05, what_for="/srv/root")

    waiting: dict[str, t.Callable[[], t.ContextManager[object]]] = {
        host_paths.BASE_LOCK: lambda: name_lock.held(name, timeout=0.05),
        host_paths.COMMAND_LOCK: host_command._lock,
        of_root: build,
    }
    try:
        for path, wait in waiting.items():
            with (
                lock.file(path, deadline=time.monotonic()),
                pytest.MonkeyPatch.context() as patch,
                pytest.raises(Refused) as refused,
            ):
                patch.setattr(host_command, "_LOCK_TIMEOUT", 0.05)
                with wait():
                    pass
            assert f", pid {os.getpid()} since " in refused.value.reason
            assert "another run " in refused.value.reason
    finally:
        os.close(above)
    assert locks_left() == []


def test_nsctl_says_that_it_waits_and_for_whom(
    run_module: RunModule, new_name: NewName, nsctl: Nsctl
) -> None:
    name = new_name()
    run_module("ns_namespace", {"name": name})
    with name_lock.held(name, timeout=5):
        process = nsctl.start("up", name, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stderr is not None
        said = process.stderr.readline()
        assert process.poll() is None
    out, err = process.communicate(timeout=30)
    assert said.startswith(f"nsctl up: waiting for the lock of namespace {name!r}: it is held by ")
    assert f", pid {os.getpid()} since " in said
    assert (process.returncode, out, err) == (0, f"{name}: up already\n", "")
