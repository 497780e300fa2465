# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_namespace against the kernel: the eight kinds, every option, and what killed runs leave."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import time
import typing as t

import pytest
from conftest import (
    Converge,
    Result,
    RunModule,
    has_ended,
    host_state,
    inside,
    leave_orphans_to_init,
    living,
    next_number,
    wait_until,
)
from programs import in_child

from ansible_collections.linux.namespaces.plugins.module_utils._core import (
    definition,
    holder,
    host_paths,
    named,
    nsfs,
    pins,
    spawn,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
    mounts,
    namespaces,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.targets import Target

CLONE_NEWNS = 0x00020000
KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
NOBODY = 65534
NewName = t.Callable[[], str]
BASE = pathlib.Path(host_paths.BASE)


def present(converge: Converge, name: str, **options: t.Any) -> Result:
    """Have the namespace, with check mode and a second run; what is returned of it."""
    result = converge("ns_namespace", {"name": name, **options})
    found: Result = result["namespace"]
    assert found["name"] == name
    return found


def ids_of(found: Result) -> dict[str, int]:
    return {kind: pin["id"] for kind, pin in found["kinds"].items()}


def refused(run_module: RunModule, name: str, **options: t.Any) -> Result:
    """The failure of a run that changes nothing, in check mode neither."""
    before = host_state()
    args = {**options, "name": name}
    results = [run_module("ns_namespace", args, check=check) for check in (True, False)]
    assert host_state() == before
    for result in results:
        assert result["failed"], result
        assert "defect" not in result["msg"]
    assert results[0]["msg"] == results[1]["msg"]
    return results[1]


def id_inside(name: str, kind: str) -> int:
    return nsfs.parse_link(inside(name, lambda: os.readlink(f"/proc/self/ns/{kind}"), [kind]))


def own_id(kind: str) -> int:
    return nsfs.parse_link(os.readlink(f"/proc/self/ns/{kind}"))


def owner_of(path: str) -> int:
    """The id of the user namespace that owns the one pinned there."""
    pin = os.open(path, os.O_RDONLY)
    owner = namespaces.owner(pin)
    try:
        return os.fstat(owner).st_ino
    finally:
        os.close(pin)
        os.close(owner)


@contextlib.contextmanager
def outlived(name: str, kind: str) -> t.Iterator[int]:
    """The id of its namespace of that kind, which no later one gets meanwhile."""
    fd = os.open(pins.path(name, kind), os.O_RDONLY)
    try:
        yield os.fstat(fd).st_ino
    finally:
        os.close(fd)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_alone(
    kind: str, converge: Converge, run_module: RunModule, new_name: NewName
) -> None:
    name = new_name()
    found = present(converge, name, kinds=[kind])
    pin = BASE / name / kind
    assert found["kinds"] == {kind: {"id": pin.stat().st_ino, "path": str(pin)}}
    number = found["kinds"][kind]["id"]
    assert number != own_id(kind)
    assert id_inside(name, kind) == number
    assert found["processes"] == []
    assert found["persistent"] is True
    assert found["root"] == "/"
    (listed,) = run_module("ns_info", {"namespace": name})["namespaces"]
    assert (listed["id"], listed["name"], listed["kind"]) == (number, name, kind)
    assert str(pin) in listed["pins"]
    gone = converge("ns_namespace", {"name": name, "state": "absent"})["namespace"]
    assert gone == {**found, "kinds": {}, "persistent": False}
    assert not BASE.exists()
    assert not pathlib.Path(definition.DIRECTORY).exists()


def test_all_kinds_together(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    found = present(converge, name, kinds=list(KINDS))
    ids = ids_of(found)
    assert sorted(ids) == sorted(KINDS)
    joined = inside(name, lambda: nsfs.ids_of_process("self"))
    assert joined == ids
    for kind in set(KINDS) - {"user"}:
        assert owner_of(found["kinds"][kind]["path"]) == ids["user"], kind
    assert owner_of(found["kinds"]["user"]["path"]) != ids["user"]


def test_kinds_are_added_and_dropped(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    first = ids_of(present(converge, name, kinds=["mnt", "net"]))
    more = ids_of(present(converge, name, kinds=["mnt", "net", "uts", "ipc", "cgroup", "time"]))
    assert {kind: more[kind] for kind in first} == first
    fewer = ids_of(present(converge, name, kinds=["uts", "mnt"]))
    assert fewer == {kind: more[kind] for kind in ("mnt", "uts")}
    assert name not in netns_list()
    other = ids_of(present(converge, name, kinds=["pid"]))
    assert sorted(other) == ["pid"]
    assert ids_of(present(converge, name, kinds=["ipc"])).keys() == {"ipc"}


def test_what_is_added_belongs_to_the_user_namespace(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    user = ids_of(present(converge, name, kinds=["user"]))["user"]
    found = present(converge, name, kinds=list(KINDS), sysctl={"net.ipv4.ip_forward": 1})
    assert ids_of(found)["user"] == user
    for kind in set(KINDS) - {"user"}:
        assert owner_of(found["kinds"][kind]["path"]) == user, kind


def test_a_user_namespace_cannot_be_added_or_dropped(
    converge: Converge, run_module: RunModule, new_name: NewName
) -> None:
    name = new_name()
    present(converge, name, kinds=["net", "uts"])
    failure = refused(run_module, name, kinds=["net", "uts", "user"])
    assert "belong to no user namespace of their own" in failure["reason"]
    assert "recreate: true" in failure["hint"]
    with outlived(name, "uts") as old:
        found = present(converge, name, kinds=["net", "uts", "user"], recreate=True)
        assert ids_of(found)["uts"] != old
        assert netns_list() == [name]
    failure = refused(run_module, name, kinds=["uts"])
    assert "belong to its user namespace" in failure["reason"]
    assert sorted(ids_of(present(converge, name, kinds=["uts"], recreate=True))) == ["uts"]


def test_what_the_holder_lives_in_is_not_dropped(
    converge: Converge, run_module: RunModule, new_name: NewName
) -> None:
    name = new_name()
    present(converge, name, kinds=["mnt", "net", "pid"])
    failure = refused(run_module, name, kinds=["pid"])
    assert "the holder of its pid namespace lives in its mnt, net" in failure["reason"]
    found = present(converge, name, kinds=["pid"], recreate=True)
    assert nsfs.ids_of_process(t.cast(int, holder.pid_of(name)), ["mnt"]) == {"mnt": own_id("mnt")}
    assert sorted(ids_of(found)) == ["pid"]


# --- net


def netns_list() -> list[str]:
    shown = subprocess.run(
        ["ip", "-j", "netns", "list"], check=True, capture_output=True, text=True
    )
    return [each["name"] for each in json.loads(shown.stdout or "[]")]


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
    assert nsfs.parse_link(link.strip()) == id_inside(name, "net")
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


def holder_of(name: str) -> int:
    pid = holder.pid_of(name)
    assert pid is not None
    return pid


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
    assert wait_until(lambda: holder.pid_of(name) is None)
    again = converge("ns_namespace", args)
    assert again["actions"] == ["create pid"]
    after = ids_of(again["namespace"])
    assert after["mnt"] == before["mnt"]
    assert id_inside(name, "pid") == after["pid"]
    assert root_entries(holder_of(name)) == []
    os.kill(holder_of(name), signal.SIGTERM)  # it is Python in this root
    assert wait_until(lambda: holder.pid_of(name) is None)
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
    paths = [pathlib.Path(definition.DIRECTORY).parent / name for name in ("subuid", "subgid")]
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


# --- propagation


def mounted_inside(name: str, path: pathlib.Path) -> bool:
    def look() -> bool:
        with open("/proc/self/mountinfo", encoding="utf-8") as table:
            return any(line.split()[4] == str(path) for line in table)

    found: bool = inside(name, look, ["mnt"])
    return found


def propagation_inside(name: str) -> str:
    """The words that mountinfo has for the root's peers."""

    def look() -> str:
        with open("/proc/self/mountinfo", encoding="utf-8") as table:
            root = next(line for line in table if line.split()[4] == "/")
        return " ".join(root.partition(" - ")[0].split()[6:])

    found: str = inside(name, look, ["mnt"])
    return found


def mount_tmpfs(path: pathlib.Path) -> None:
    mounts.mount("test", str(path), fstype="tmpfs")


@pytest.mark.parametrize(
    ("word", "inwards", "outwards"),
    [
        ("private", False, False),
        ("slave", True, False),
        ("shared", True, True),
        ("unchanged", True, True),
    ],
)
def test_propagation(
    word: str,
    inwards: bool,
    outwards: bool,
    converge: Converge,
    new_name: NewName,
    tmp_path: pathlib.Path,
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    other = new_name()
    present(converge, other, kinds=["mnt"])
    name = new_name()
    table = host_state()["mounts"]
    present(converge, name, kinds=["mnt"], propagation=word)
    assert [line for line in table if line not in host_state()["mounts"]] == []
    # The pins of others are not among what was copied.
    assert not mounted_inside(name, BASE / other / "mnt")
    mount_tmpfs(here)
    try:
        assert mounted_inside(name, here) == inwards
        inside(name, lambda: mount_tmpfs(there), ["mnt"])
        assert there.is_mount() == outwards
    finally:
        for path in (here, there):
            if path.is_mount():
                mounts.umount(str(path))
    converge("ns_namespace", {"name": name, "state": "absent"})
    # No unmount in the dying namespace reaches the host.
    assert host_state()["mounts"] == table


def test_propagation_is_fixed(converge: Converge, run_module: RunModule, new_name: NewName) -> None:
    name = new_name()
    present(converge, name)
    assert propagation_inside(name) == ""
    failure = refused(run_module, name, propagation="slave")
    assert "propagation is 'private', not 'slave'" in failure["reason"]
    present(converge, name, propagation="slave", recreate=True)
    assert "master:" in propagation_inside(name)


@pytest.mark.parametrize("word", ["private", "slave", "shared", "unchanged"])
def test_propagation_with_a_user_namespace(
    word: str, converge: Converge, new_name: NewName
) -> None:
    """What was copied is locked there: also the pins of other namespaces, which must still end."""
    other = new_name()
    present(converge, other, kinds=["uts"])
    name = new_name()
    present(converge, name, kinds=["mnt", "user"], propagation=word)
    assert mounted_inside(name, BASE / other / "uts")
    converge("ns_namespace", {"name": other, "state": "absent"})
    assert not mounted_inside(name, BASE / other / "uts")


# --- persistent


def record_of(name: str) -> pathlib.Path:
    return pathlib.Path(definition.DIRECTORY) / f"{name}.json"


def test_persistent(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    assert present(converge, name, kinds=["mnt"])["persistent"] is True
    record = record_of(name)
    assert record.stat().st_mode & 0o7777 == 0o600
    assert json.loads(record.read_text())["properties"]["kinds"] == ["mnt"]
    mount = {"namespace": name, "path": "/mnt", "src": "m", "fstype": "tmpfs"}
    assert converge("ns_mount", mount)["persistent"] is True
    found = present(converge, name, kinds=["mnt"], persistent=False)
    assert found["persistent"] is False
    assert not record.exists()
    assert converge("ns_mount", mount)["changed"] is False
    assert present(converge, name, kinds=["mnt"])["persistent"] is True
    converge("ns_mount", mount)
    assert [step["path"] for step in json.loads(record.read_text())["steps"]] == ["/mnt"]
    converge("ns_namespace", {"name": name, "state": "absent"})
    assert not record.exists()


# --- processes


def test_a_namespace_in_use_is_not_removed(
    converge: Converge, run_module: RunModule, new_name: NewName
) -> None:
    name = new_name()
    present(converge, name, kinds=["mnt", "pid"])
    with living(name) as pid:
        listed = run_module("ns_namespace", {"name": name, "kinds": ["mnt", "pid"]})
        assert [process["pid"] for process in listed["namespace"]["processes"]] == [pid]
        failure = refused(run_module, name, state="absent")
        assert [process["pid"] for process in failure["processes"]] == [pid]
        assert str(pid) in failure["reason"]
        assert "force: true" in failure["hint"]
        failure = refused(run_module, name, kinds=["mnt"], propagation="slave", recreate=True)
        assert [process["pid"] for process in failure["processes"]] == [pid]
        forced = run_module("ns_namespace", {"name": name, "state": "absent", "force": True})
        assert forced["changed"], forced
        assert forced["actions"][0] == "kill 1 processes"
        assert has_ended(pid)


def test_recreating_can_kill(converge: Converge, run_module: RunModule, new_name: NewName) -> None:
    name = new_name()
    args = {"name": name, "kinds": ["mnt"], "propagation": "slave"}
    present(converge, name, kinds=["mnt"])
    with living(name), outlived(name, "mnt") as old:
        done = run_module("ns_namespace", {**args, "recreate": True, "force": True})
        assert done["changed"], done
        assert ids_of(done["namespace"])["mnt"] != old
    assert run_module("ns_namespace", args)["changed"] is False


@pytest.mark.parametrize("kind", ["pid", "user"])
def test_processes_further_inside_count(
    kind: str, converge: Converge, run_module: RunModule, new_name: NewName
) -> None:
    """A pid namespace takes those inside of it with it, a user namespace is their ancestor."""
    name = new_name()
    present(converge, name, kinds=[kind])

    def deeper() -> int:
        namespaces.unshare(0x10000000 if kind == "user" else 0x20000000)
        if kind == "pid" and os.fork():
            os._exit(0)
        signal.pause()
        return 0

    with Target(namespace=name).open() as handles:
        child = spawn.spawn(deeper, joins=handles)
    leave_orphans_to_init()
    try:
        if kind == "pid":
            os.waitpid(child, 0)
        assert wait_until(lambda: len(_inside_but_holder(run_module, name, kind)) == 1)
        failure = refused(run_module, name, state="absent")
        (process,) = failure["processes"]
        forced = run_module("ns_namespace", {"name": name, "state": "absent", "force": True})
        assert forced["changed"]
        assert has_ended(process["pid"])
    finally:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


def _inside_but_holder(run_module: RunModule, name: str, kind: str) -> list[Result]:
    listed: list[Result] = run_module("ns_namespace", {"name": name, "kinds": [kind]})["namespace"][
        "processes"
    ]
    return listed


# --- bad input


def without(options: dict[str, t.Any], name: str) -> dict[str, t.Any]:
    return {key: value for key, value in options.items() if key != name}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"kinds": []}, "kinds is empty"),
        ({"kinds": ["mount"]}, "value of kinds must be one or more of"),
        ({"name": "../etc"}, "cannot be a name"),
        ({"name": "-web"}, "cannot be a name"),
        ({"name": "w" * 65}, "cannot be a name"),
        ({"name": ""}, "cannot be a name"),
        ({"hostname": "web"}, "hostname needs the kind uts"),
        ({"domainname": "web"}, "domainname needs the kind uts"),
        ({"id_map": "root"}, "id_map needs the kind user"),
        ({"time_offsets": {"boottime": 5}}, "time_offsets needs the kind time"),
        ({"kinds": ["uts"], "hostname": "ä" * 33}, "must have 1 to 64 bytes"),
        ({"kinds": ["uts"], "hostname": ""}, "must have 1 to 64 bytes"),
        ({"kinds": ["uts"], "domainname": "d" * 65}, "must have 1 to 64 bytes"),
        ({"kinds": ["user"], "id_map": "some"}, "id_map must be root, current, auto"),
        (
            {
                "kinds": ["user"],
                "id_map": {
                    "uid": [
                        {"inside": 0, "outside": 1000, "count": 10},
                        {"inside": 5, "outside": 5000, "count": 10},
                    ],
                    "gid": [{"inside": 0, "outside": 0, "count": 1}],
                },
            },
            "0-9 and 5-14 inside overlap",
        ),
        ({"propagation": "rslave"}, "value of propagation must be one of"),
        ({"time_offsets": {"realtime": 5}}, "realtime"),
    ],
)
def test_bad_input_is_refused(
    options: dict[str, t.Any], reason: str, run_module: RunModule, new_name: NewName
) -> None:
    failure = refused(run_module, options.get("name", new_name()), **without(options, "name"))
    assert reason in failure["msg"].replace(reason.capitalize(), reason)


def test_a_plain_user_is_refused(run_module: RunModule, new_name: NewName) -> None:
    for check in (True, False):
        failure = run_module("ns_namespace", {"name": new_name()}, user=NOBODY, check=check)
        assert failure["failed"]
        assert "only root can pin them" in failure["reason"]
        assert "ns_unshare_run" in failure["hint"]


def test_a_damaged_definition_is_named(
    converge: Converge, run_module: RunModule, new_name: NewName
) -> None:
    name = new_name()
    present(converge, name)
    record = record_of(name)
    text = record.read_text()
    try:
        for damaged, reason in (
            ("{", "is damaged"),
            (text.replace('"version": 1', '"version": 2'), "has version 2"),
        ):
            record.write_text(damaged)
            failure = refused(run_module, name)
            assert f"{record} {reason}" in failure["reason"]
            assert failure["hint"]
    finally:
        record.write_text(text)


# --- leftovers


def leave_a_plain_file(name: str, kind: str) -> None:
    """Take the pin away, but not its file."""
    mounts.umount(pins.path(name, kind), flags=mounts.MNT_DETACH)


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_file_for_a_pin_is_mended(kind: str, converge: Converge, new_name: NewName) -> None:
    name = new_name()
    options = {"kinds": list(KINDS), "hostname": "web"}
    before = ids_of(present(converge, name, **options))
    leave_a_plain_file(name, kind)
    found = present(converge, name, **options)
    after = ids_of(found)
    assert {**after, kind: 0} == {**before, kind: 0}
    assert id_inside(name, kind) == after[kind]
    for other in set(KINDS) - {"user"}:
        assert owner_of(found["kinds"][other]["path"]) == after["user"], other
    assert (after["user"] == before["user"]) is True
    assert inside(name, lambda: os.uname().nodename, ["uts"]) == "web"


def test_stacked_pins_go(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    present(converge, name, kinds=["uts"])
    pin = pins.path(name, "uts")
    mounts.mount(pin, pin, flags=mounts.MS_BIND)
    converge("ns_namespace", {"name": name, "state": "absent"})


def test_the_rest_of_a_removal_is_removed(
    converge: Converge, run_module: RunModule, new_name: NewName
) -> None:
    """A run that was killed while it removed the namespace has forgotten the definition."""
    name = new_name()
    present(converge, name, kinds=["mnt"], propagation="slave")
    record_of(name).unlink()
    (BASE / name / "state.json").unlink()
    # With processes inside it is not for us to go on.
    with living(name):
        assert refused(run_module, name)["processes"]
    with outlived(name, "mnt") as old:
        done = converge("ns_namespace", {"name": name})
        assert done["actions"][0] == f"remove namespace {name}"
        assert ids_of(done["namespace"])["mnt"] != old


def test_a_lost_record_is_written_again(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    before = ids_of(present(converge, name))
    record_of(name).unlink()
    done = converge("ns_namespace", {"name": name})
    assert done["actions"] == [f"record namespace {name}"]
    assert ids_of(done["namespace"]) == before


def test_absent_takes_away_what_killed_runs_leave(converge: Converge, new_name: NewName) -> None:
    """Files that were being written, and directories without anything in them."""
    name = new_name()
    pathlib.Path(definition.DIRECTORY).mkdir()
    (pathlib.Path(definition.DIRECTORY) / f"{name}.json.new").write_text("{")
    converge("ns_namespace", {"name": name, "state": "absent"})
    assert not pathlib.Path(definition.DIRECTORY).exists()
    with pins.locked(name, timeout=5):
        pins.prepare(name)
        (BASE / name / "state.json.new").write_text("{")
        (BASE / name / "mnt").touch()
    converge("ns_namespace", {"name": name, "state": "absent"})
    assert not BASE.exists()
    BASE.mkdir()  # killed before it was mounted
    converge("ns_namespace", {"name": name, "state": "absent"})
    assert not BASE.exists()


def test_where_new_namespaces_count_as_old(new_name: NewName) -> None:
    """In a container some CPUs may make mount namespaces that the kernel takes for older ones."""
    cpus = sorted(os.sched_getaffinity(0), key=next_number)
    if len(cpus) < 2:
        pytest.skip("a machine with one CPU gives out all numbers in order")
    name = new_name()

    def run_in_a_container() -> None:
        os.sched_setaffinity(0, cpus[-1:])
        namespaces.unshare(CLONE_NEWNS)
        mounts.mount("none", "/", flags=mounts.MS_REC | mounts.MS_PRIVATE)
        mounts.mount("container", "/run", fstype="tmpfs")
        os.sched_setaffinity(0, cpus)
        wanted = named.Wanted(name, kinds=("mnt", "pid"), persistent=False)
        for _round in range(6):  # the first try is made on any of them
            found = named.present(wanted, check=False, timeout=5).namespace
            assert sorted(found["kinds"]) == ["mnt", "pid"]
            assert os.sched_getaffinity(holder_of(name)) == set(cpus)
            named.absent(name, check=False, timeout=5)

    in_child(run_in_a_container)


def test_it_converges_on_a_base_half_made(converge: Converge, new_name: NewName) -> None:
    BASE.mkdir()
    name = new_name()
    present(converge, name)
    converge("ns_namespace", {"name": name, "state": "absent"})
    BASE.mkdir()
    mounts.mount("half", str(BASE), fstype="tmpfs")  # and not made private yet
    present(converge, name)
