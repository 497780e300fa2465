# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_namespace: what each kind has of its own."""

from __future__ import annotations

import ctypes
import json
import os
import pathlib
import signal
import subprocess
import time
import typing as t

import pytest
from host_state import host_state
from named_namespaces import (
    NewName,
    holder_of,
    id_inside,
    ids_of,
    netns_list,
    present,
    refused,
)
from processes_inside import inside
from results import Converge, Result, RunModule
from waiting import has_ended, wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import (
    pid_holder,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc

# --- net


def lo_flags(*words: str) -> list[str]:
    argv = ["ip", *words, "-j", "link", "show", "lo"]
    shown = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    flags: list[str] = json.loads(shown)[0]["flags"]
    return flags


def test_lo_is_up_and_ip_netns_sees_it(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    present(converge, name, kinds=["net"])
    assert netns_list() == [name]
    assert "UP" in lo_flags("-n", name)
    executed = ["ip", "netns", "exec", name, "readlink", "/proc/self/ns/net"]
    link = subprocess.run(executed, check=True, capture_output=True, text=True).stdout
    assert proc.parse_link(link.strip()) == id_inside(name, "net")
    present(converge, name, kinds=["net"], loopback=False)
    assert "UP" not in lo_flags("-n", name)
    present(converge, name, kinds=["net"])
    assert "UP" in lo_flags("-n", name)
    other = new_name()
    present(converge, other, kinds=["net"], loopback=False)
    assert "UP" not in lo_flags("-n", other)
    assert sorted(netns_list()) == sorted([name, other])
    converge("ns_namespace", {"name": name, "state": "absent"})
    assert netns_list() == [other]


def test_a_name_that_ip_netns_has_is_refused(
    run_module: RunModule,
    converge: Converge,
    ip_netns: t.Callable[[str], str],
    new_name: NewName,
) -> None:
    name = new_name()
    path = ip_netns(name)
    number = os.stat(path).st_ino
    failure = refused(run_module, name, kinds=["mnt", "net"])
    assert "`ip netns` has a network namespace" in failure["reason"]
    assert path in failure["hint"]
    present(converge, name, kinds=["mnt"])
    refused(run_module, name, kinds=["mnt", "net"])
    converge("ns_namespace", {"name": name, "state": "absent"})
    assert os.stat(path).st_ino == number


def test_ip_netns_del_is_mended(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    args = {"name": name, "kinds": ["net", "uts"], "hostname": "blue"}
    before = ids_of(converge("ns_namespace", args)["namespace"])
    subprocess.run(["ip", "netns", "del", name], check=True)
    again = converge("ns_namespace", args)
    assert again["actions"] == ["create net", f"show {name} to ip netns"]
    after = ids_of(again["namespace"])
    assert after["uts"] == before["uts"]
    assert after["net"] == id_inside(name, "net")
    assert "UP" in lo_flags("-n", name)


# --- sysctl


def read_sysctl(key: str) -> str:
    return pathlib.Path("/proc/sys", *key.split(".")).read_text().strip()


def test_kernel_parameters_are_set_inside_alone(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    kinds = ["net", "ipc", "user"]
    values = {
        "net.ipv4.ip_forward": True,
        "net.ipv4.ip_local_port_range": "20000\t30000",
        "kernel.msgmax": 4096,
        "fs.mqueue.msg_max": 20,
        "user.max_uts_namespaces": 3,
    }
    outside = {key: read_sysctl(key) for key in values}

    def seen() -> dict[str, str]:
        found: dict[str, str] = inside(name, lambda: {key: read_sysctl(key) for key in values})
        return found

    present(converge, name, kinds=kinds, sysctl=values)
    expected = {key: str(int(value) if value is True else value) for key, value in values.items()}
    assert seen() == expected
    changed = converge(
        "ns_namespace",
        {"name": name, "kinds": kinds, "sysctl": {**values, "kernel.msgmax": "8192"}},
    )
    assert changed["actions"] == [f"record namespace {name}", "set kernel.msgmax to 8192"]
    assert seen() == {**expected, "kernel.msgmax": "8192"}
    assert {key: read_sysctl(key) for key in values} == outside


@pytest.mark.parametrize(
    ("kinds", "sysctl", "reason"),
    [
        (["net"], {"kernel.panic": 7}, "belongs to no namespace: to set it would change the host"),
        (["net"], {"vm.swappiness": 7}, "belongs to no namespace"),
        (["mnt"], {"net.ipv4.ip_forward": 1}, "needs the kind net"),
        (["uts"], {"kernel.hostname": "x"}, "is not set by sysctl here"),
        (["net"], {"net.ipv4/../../kernel/panic": 7}, "belongs to no namespace"),
        (["net"], {"net.ipv4.": 7}, "is not the name of a kernel parameter"),
    ],
)
def test_parameters_of_the_host_are_refused(
    kinds: list[str],
    sysctl: dict[str, t.Any],
    reason: str,
    run_module: RunModule,
    new_name: NewName,
) -> None:
    panic = read_sysctl("kernel.panic")
    assert reason in refused(run_module, new_name(), kinds=kinds, sysctl=sysctl)["reason"]
    assert read_sysctl("kernel.panic") == panic


def test_parameters_that_the_kernel_refuses_are_explained(
    run_module: RunModule, converge: Converge, new_name: NewName
) -> None:
    name = new_name()
    absent = {"net.ipv4.no_such_parameter": 1}
    wrong = {"net.ipv4.ip_forward": "maybe"}

    def failure_of(sysctl: dict[str, t.Any]) -> Result:
        return run_module("ns_namespace", {"name": name, "kinds": ["net"], "sysctl": sysctl})

    before = host_state()
    failure = failure_of(absent)
    assert failure["step"] == "set net.ipv4.no_such_parameter to 1"
    assert failure["errno"] == "ENOENT"
    assert "has no kernel parameter net.ipv4.no_such_parameter" in failure["reason"]
    assert failure_of(wrong)["errno"] == "EINVAL"
    assert host_state() == before
    # A parameter of the host's network namespace alone: there is none inside, so no harm is done.
    backlog = read_sysctl("net.core.netdev_max_backlog")
    assert failure_of({"net.core.netdev_max_backlog": 7})["errno"] == "ENOENT"
    assert read_sysctl("net.core.netdev_max_backlog") == backlog
    present(converge, name, kinds=["net"])
    assert "no_such_parameter" in refused(run_module, name, kinds=["net"], sysctl=absent)["reason"]
    assert "takes no value 'maybe'" in failure_of(wrong)["reason"]
    # What could not be set is not recorded either.
    again = run_module("ns_namespace", {"name": name, "kinds": ["net"]})
    assert again["changed"] is False


# --- uts, ipc, time, cgroup


def test_host_name_and_domain_name(converge: Converge, new_name: NewName) -> None:
    name = new_name()

    def names() -> tuple[str, str]:
        found: tuple[str, str] = inside(
            name, lambda: (os.uname().nodename, read_sysctl("kernel.domainname"))
        )
        return found

    outside = (os.uname().nodename, read_sysctl("kernel.domainname"))
    present(converge, name, kinds=["uts"], hostname="web", domainname="example")
    assert names() == ("web", "example")
    present(converge, name, kinds=["uts"], hostname="web2", domainname="example")
    assert names() == ("web2", "example")
    present(converge, name, kinds=["uts"], hostname="web2", domainname="example.org")
    assert names() == ("web2", "example.org")
    # What is not asked for stays as it is.
    present(converge, name, kinds=["uts"])
    assert names() == ("web2", "example.org")
    assert (os.uname().nodename, read_sysctl("kernel.domainname")) == outside


def test_settings_need_no_proc_in_the_root(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    kinds = ["mnt", "uts", "net"]
    present(converge, name, kinds=kinds)
    pivot_into_tmpfs(converge, name)
    found = present(converge, name, kinds=kinds, hostname="bare", sysctl={"net.ipv4.ip_forward": 1})
    assert found["root"] == "/mnt"
    assert inside(name, lambda: os.uname().nodename, ["uts"]) == "bare"
    assert inside(name, lambda: read_sysctl("net.ipv4.ip_forward"), ["net"]) == "1"


def pivot_into_tmpfs(converge: Converge, name: str) -> None:
    mount = {"namespace": name, "path": "/mnt", "src": "bare", "fstype": "tmpfs"}
    converge("ns_mount", mount)
    converge("ns_pivot_root", {"namespace": name, "new_root": "/mnt"})


def test_the_hosts_queues_are_not_seen(converge: Converge, new_name: NewName) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    queue = libc.msgget(0, 0o1600)  # IPC_PRIVATE, IPC_CREAT
    assert queue >= 0
    table = pathlib.Path("/proc/sysvipc/msg")
    try:
        name = new_name()
        present(converge, name, kinds=["ipc"])
        assert str(queue) in [line.split()[1] for line in table.read_text().splitlines()]
        assert len(inside(name, table.read_text).splitlines()) == 1  # the heading
    finally:
        libc.msgctl(queue, 0, None)  # IPC_RMID


def clocks() -> tuple[float, float]:
    return time.clock_gettime(time.CLOCK_MONOTONIC), time.clock_gettime(time.CLOCK_BOOTTIME)


def test_both_clocks_have_their_offsets(
    converge: Converge, run_module: RunModule, new_name: NewName
) -> None:
    name = new_name()
    offsets = {"monotonic": 7200, "boottime": 3600}
    present(converge, name, kinds=["time"], time_offsets=offsets)
    here, there = clocks(), inside(name, clocks)
    assert there[0] - here[0] == pytest.approx(7200, abs=5)
    assert there[1] - here[1] == pytest.approx(3600, abs=5)
    other = {"monotonic": 7200}
    failure = refused(run_module, name, kinds=["time"], time_offsets=other)
    assert "time_offsets is" in failure["reason"]
    present(converge, name, kinds=["time"], time_offsets=other, recreate=True)
    here, there = clocks(), inside(name, clocks)
    assert there[1] - here[1] == pytest.approx(0, abs=5)


def test_offsets_out_of_range_are_explained(run_module: RunModule, new_name: NewName) -> None:
    before = host_state()
    for seconds in (-int(clocks()[1]) - 1000, 5_000_000_000):
        args = {"name": new_name(), "kinds": ["time"], "time_offsets": {"boottime": seconds}}
        failure = run_module("ns_namespace", args)
        assert failure["errno"] == "ERANGE"
        assert failure["step"] == "create time"
        assert "a clock would be below zero, or overflow" in failure["reason"]
    assert host_state() == before


def test_the_root_of_cgroups_is_shown_as_slash(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    present(converge, name, kinds=["cgroup"])
    table = inside(name, lambda: pathlib.Path("/proc/self/cgroup").read_text()).splitlines()
    assert table
    assert {line.partition(":")[2].partition(":")[2] for line in table} == {"/"}


# --- pid


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


# --- user


def maps_inside(name: str) -> tuple[list[str], list[str]]:
    def read() -> tuple[list[str], list[str]]:
        texts = [pathlib.Path(f"/proc/self/{which}_map").read_text() for which in ("uid", "gid")]
        uid, gid = ([" ".join(line.split()) for line in text.splitlines()] for text in texts)
        return uid, gid

    found: tuple[list[str], list[str]] = inside(name, read)
    return found


@pytest.fixture
def subordinate_ids() -> t.Iterator[None]:
    """Ranges for root in /etc/subuid and /etc/subgid."""
    paths = [pathlib.Path(definitions.DIRECTORY).parent / name for name in ("subuid", "subgid")]
    before = [path.read_text() if path.exists() else None for path in paths]
    for path in paths:
        path.write_text("nobody:1:2\nroot:500000:65536\n")
    yield
    for path, text in zip(paths, before):
        if text is None:
            path.unlink()
        else:
            path.write_text(text)


@pytest.mark.usefixtures("subordinate_ids")
def test_id_maps(
    converge: Converge, run_module: RunModule, new_name: NewName, tmp_path: pathlib.Path
) -> None:
    def one(inside: int, outside: int, count: int) -> dict[str, int]:
        return {"inside": inside, "outside": outside, "count": count}

    explicit = {
        "uid": [one(0, 100000, 10), one(1000, 0, 1)],
        "gid": [one(0, 200000, 1)],
    }
    cases: list[tuple[t.Any, tuple[list[str], list[str]]]] = [
        (None, (["0 0 1"], ["0 0 1"])),
        ("root", (["0 0 1"], ["0 0 1"])),
        ("auto", (["0 500000 65536"], ["0 500000 65536"])),
        (explicit, (["0 100000 10", "1000 0 1"], ["0 200000 1"])),
    ]
    for value, expected in cases:
        name = new_name()
        options = {} if value is None else {"id_map": value}
        present(converge, name, kinds=["user", "mnt", "net"], **options)
        assert maps_inside(name) == expected, value
        # A named namespace is root's, so groups may be set in it.
        setgroups = inside(name, lambda: pathlib.Path("/proc/self/setgroups").read_text())
        assert setgroups.strip() == "allow"
        assert inside(name, lambda: (os.getuid(), os.getgid(), os.getgroups())) == (0, 0, [])
        other = "auto" if value != "auto" else "root"
        reason = refused(run_module, name, kinds=["user", "mnt", "net"], id_map=other)["reason"]
        assert "id_map is" in reason
    # Root inside is nobody outside: a directory of root's is closed.
    name = new_name()
    present(converge, name, kinds=["user", "mnt"], id_map="auto")
    assert inside(name, lambda: os.access(tmp_path, os.R_OK)) is False
