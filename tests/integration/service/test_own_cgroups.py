# SPDX-License-Identifier: GPL-3.0-or-later
"""Services without systemd: each has a cgroup of its own, whose end is that of all it has started."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time
import typing as t

import cgroups_seen
import pytest
from module_server import Server
from results import RunModule
from waiting import has_ended, wait_until
from web_service import NewName, Web, make_web, web

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pid_holder
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import cgroup
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

__all__ = ["make_web", "web"]

# Leaves a process in a session of its own whose parent has ended, and notes its pid.
DAEMON = """
import os, signal, sys
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(sys.argv[1] + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    while True:
        signal.pause()
while True:
    signal.pause()
"""


def with_daemon(path: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", DAEMON, path]


def daemon_of(path: str) -> int:
    assert wait_until(lambda: os.path.exists(path))
    with open(path, encoding="ascii") as file:
        return int(file.read())


@pytest.mark.parametrize("state", ["stopped", "absent", "restarted"])
def test_what_has_left_its_session_ends_with_it(state: str, web: Web) -> None:
    path = f"/run/{web.name}"
    pid = web.started(argv=with_daemon(path))
    daemon = daemon_of(path)
    os.unlink(path)
    (name,) = cgroups_seen.names_of(daemon)
    assert cgroups_seen.has_own(daemon)
    if state == "restarted":
        assert not web.task(state=state).get("failed")
        assert wait_until(lambda: os.path.exists(path))
        os.unlink(path)
    else:
        web.converge(state=state)
    assert has_ended(pid)
    assert has_ended(daemon)
    assert cgroup.directories(name) == []
    web.converge(state="absent")


def test_what_it_left_is_ended_when_it_has_died_itself(web: Web) -> None:
    path = f"/run/{web.name}"
    pid = web.started(argv=with_daemon(path))
    daemon = daemon_of(path)
    os.unlink(path)
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: has_ended(pid))
    assert web.converge(state="absent")["actions"] == ["stop service idle", "remove service idle"]
    assert has_ended(daemon)


def test_the_end_of_the_namespace_is_its_end(
    run_module: RunModule, make_web: t.Callable[..., Web]
) -> None:
    # With all namespaces to itself, and a note that cannot be read: its cgroup still tells.
    made = make_web(kinds=["uts"])
    path = f"/run/{made.name}"
    made.started(argv=with_daemon(path), kinds=["uts"])
    daemon = daemon_of(path)
    os.unlink(path)
    (name,) = cgroups_seen.names_of(daemon)
    with open(f"/run/linux-namespaces/{made.name}/services/idle.json", "w", encoding="ascii"):
        pass
    args = {"name": made.name, "state": "absent"}
    assert run_module("ns_namespace", args)["failed"]
    assert not run_module("ns_namespace", {**args, "force": True}).get("failed")
    assert has_ended(daemon)
    assert cgroup.directories(name) == []


def test_they_outlive_the_job_that_started_them(
    run_module: RunModule, new_name: NewName, server: Server
) -> None:
    name = new_name()
    made = {"name": name, "kinds": ["mnt", "pid"], "persistent": False}
    with cgroups_seen.job(server.pid):
        assert run_module("ns_namespace", made)["changed"]
        args = {"namespace": name, "name": "idle", "supervisor": "none"}
        started = run_module("ns_service", {**args, "argv": ["sleep", "infinity"]})
        assert not started.get("failed"), started
    pid = started["service"]["pid"]
    holder = pid_holder.pid_of(name)
    assert holder is not None
    names = cgroups_seen.names_of(pid) | cgroups_seen.names_of(holder)
    assert len(names) == 2
    assert cgroups_seen.has_own(pid)
    assert cgroups_seen.has_own(holder)
    assert not run_module("ns_service", {**args, "state": "started"})["changed"]
    assert run_module("ns_namespace", {"name": name, "state": "absent", "force": True})["changed"]
    assert [cgroup.directories(each) for each in names] == [[], []]


@pytest.mark.parametrize("how", ["read-only", "absent"])
def test_where_there_are_no_cgroups(how: str, web: Web) -> None:
    if how == "absent":
        mounts.mount("none", "/sys/fs/cgroup", fstype="tmpfs")
        hidden = ["/sys/fs/cgroup"]
    else:
        hidden = cgroups_seen.trees()
        for top in hidden:
            mounts.mount(top, top, flags=mounts.MS_BIND)
            flags = mounts.MS_BIND | mounts.MS_REMOUNT | mounts.MS_RDONLY
            mounts.mount("none", top, flags=flags)
    try:
        pid = web.started(argv=["sleep", "infinity"])
        assert cgroups_seen.names_of(pid) == set()
        web.converge(state="absent")
        assert has_ended(pid)
    finally:
        for top in hidden:
            mounts.umount(top)


def test_an_older_kernel_stops_them_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without cgroup.kill (Linux 5.14) all are frozen, and so fork no more while they are killed."""
    told = cgroup._told
    monkeypatch.setattr(cgroup, "_told", lambda path, text: "kill" not in path and told(path, text))
    name = f"linux-namespaces-{os.urandom(8).hex()}"
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        time.sleep(0.05)
        for _round in range(20):
            if os.fork() == 0:
                while True:
                    if os.fork():
                        os._exit(0)
        signal.pause()
    cgroup.make(name, pid, title="of a test")
    try:
        assert wait_until(lambda: len(cgroup.processes_in(name)) > 5)
        cgroup.end(name, timeout=10)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        cgroup.remove(name, timeout=10)
    assert cgroup.directories(name) == []


def test_one_that_is_not_in_every_tree() -> None:
    """Who moved it into its cgroups was killed, or failed, before the last of them."""
    trees = cgroups_seen.trees()
    whole = [top for top in trees if os.path.exists(f"{top}/cgroup.controllers")]
    if not whole or len(trees) == 1:
        pytest.skip("it takes a tree of version 2, and one of version 1 beside it")
    name = f"linux-namespaces-{os.urandom(8).hex()}"
    process = subprocess.Popen(["sleep", "infinity"])
    cgroup.make(name, process.pid, title="of a test")
    try:
        pathlib.Path(whole[0], "cgroup.procs").write_text(str(process.pid))
        assert cgroup.processes_in(name) == [process.pid]
        cgroup.end(name, timeout=10)
        assert process.wait(timeout=10) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()
        cgroup.remove(name, timeout=10)
