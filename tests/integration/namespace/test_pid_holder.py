# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_namespace: the process that holds a pid namespace."""

from __future__ import annotations

import functools
import os
import pathlib
import signal
import subprocess
import time

import pytest
from command import Nsctl
from named_namespaces import (
    NewName,
    holder_of,
    id_inside,
    ids_of,
    pivot_into_tmpfs,
    present,
)
from processes_inside import inside
from results import Converge, RunModule
from waiting import has_ended, wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import (
    enter,
    holder_process,
    id_map,
    pid_holder,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace.hold import hold
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace.target import Target


def test_the_holder_holds_nothing_and_ends_with_the_namespace(
    converge: Converge, new_name: NewName
) -> None:
    name = new_name()
    present(converge, name, kinds=["mnt", "pid"])
    pid = holder_of(name)
    assert wait_until(lambda: "memfd:" in os.readlink(f"/proc/{pid}/exe"))
    descriptors = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert descriptors == {"/dev/null", "anon_inode:[signalfd]"}
    assert pathlib.Path(f"/proc/{pid}/environ").read_bytes() == b""
    assert os.getsid(pid) == pid
    # Nobody inside can write to what it runs.
    with pytest.raises(OSError):
        os.open(f"/proc/{pid}/exe", os.O_WRONLY)
    converge("ns_namespace", {"name": name, "state": "absent"})
    assert has_ended(pid)


def test_the_holder_reaps_orphans(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    present(converge, name, kinds=["pid"])

    def leave_an_orphan() -> None:
        if os.fork() == 0:
            if os.fork() == 0:
                time.sleep(0.05)
                os._exit(7)
            os._exit(0)
        os.wait()

    inside(name, leave_an_orphan)
    pid = holder_of(name)
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    assert wait_until(lambda: not children.read_text())


def root_entries(pid: int) -> list[str]:
    return sorted(os.listdir(f"/proc/{pid}/root"))


def test_the_root_of_the_holder_is_that_of_the_namespace(
    converge: Converge, new_name: NewName
) -> None:
    together, later = new_name(), new_name()
    present(converge, together, kinds=["mnt", "pid"])
    present(converge, later, kinds=["mnt"])
    for name in (together, later):
        pivot_into_tmpfs(converge, name)
    present(converge, later, kinds=["mnt", "pid"])
    for name in (together, later):
        # The tmpfs has nothing in it: nothing of the host's is reached by way of /proc/1/root.
        assert root_entries(holder_of(name)) == []
        assert inside(name, os.getpid, ["pid"]) > 1


def test_a_killed_holder_is_replaced(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    args = {"name": name, "kinds": ["mnt", "pid"]}
    before = ids_of(converge("ns_namespace", args)["namespace"])
    pivot_into_tmpfs(converge, name)
    os.kill(holder_of(name), signal.SIGTERM)  # as when the host goes down
    assert wait_until(lambda: pid_holder.pid_of(name) is None)
    again = converge("ns_namespace", args)
    assert again["actions"] == ["create pid"]
    after = ids_of(again["namespace"])
    assert after["mnt"] == before["mnt"]
    assert id_inside(name, "pid") == after["pid"]
    assert root_entries(holder_of(name)) == []
    os.kill(holder_of(name), signal.SIGTERM)  # it is Python in this root
    assert wait_until(lambda: pid_holder.pid_of(name) is None)
    dropped = converge("ns_namespace", {"name": name, "kinds": ["mnt"]})
    assert dropped["actions"] == [f"record namespace {name}", "drop pid"]


def test_a_holder_that_stays_python_cannot_be_opened_from_inside() -> None:
    """It is the host's own file, which root inside may write to (CVE-2019-5736)."""
    maps = id_map.parse("root", id_map.Caller.of_this_process())
    with holder_process.shape() as shape:
        # Where vm.memfd_noexec is 2 there is no copy.
        becomes = functools.partial(holder_process.become, shape._replace(program=-1))
        kinds = ("mnt", "pid", "user")
        with hold(lambda: None, creates=kinds, prepare=maps.write, afterwards=becomes) as pid:
            pass
    try:
        assert wait_until(lambda: os.readlink(f"/proc/{pid}/fd/0") == "anon_inode:[signalfd]")
        with Target(pid=pid).open() as handles:
            words = ["readlink", f"/proc/{pid}/exe"]
            said = enter.run_inside(
                lambda: subprocess.run(words, check=False, capture_output=True).stdout,
                joins=handles,
            )
        assert said == b""
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_who_enters_and_who_looks_is_told_that_the_holder_is_dead(
    run_module: RunModule, new_name: NewName, nsctl: Nsctl
) -> None:
    name = new_name()
    assert run_module("ns_namespace", {"name": name, "kinds": ["pid", "uts"]})["changed"]
    pid = holder_of(name)
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: pid_holder.pid_of(name) is None)
    dead = f"he holder of the pid namespace of '{name}', process {pid}, has ended"
    remedy = f"`nsctl up {name}` makes a new one"
    said = nsctl("exec", name, "--", "true", code=125).stderr
    assert dead in said
    assert remedy in said
    ran = run_module("ns_setns_run", {"namespace": name, "argv": ["true"]})
    assert dead in ran["msg"]
    assert remedy in ran["msg"]
    assert ran["errno"] == "ENOMEM"
    (listed,) = nsctl.data("list", name)
    assert listed["state"] == "partial"
    assert dead in listed["reason"]
    assert dead in nsctl("show", name, code=None).stdout
    nsctl("up", name)
    nsctl("exec", name, "--", "true")
    assert nsctl.data("list", name)[0]["state"] == "up"
