# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_info against the kernel, and against lsns(8)."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import typing as t

import lsns
import pytest
from results import Result, RunModule
from tasks import RunTasks, examples_of
from unshared_process import UnsharedProcess
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import lock, pins
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
NOBODY = 65534
# Columns of lsns(8), and what the same is called here.
COLUMNS = {
    "ns": "id",
    "type": "kind",
    "nprocs": "processes",
    "pid": "pid",
    "ppid": "ppid",
    "command": "command",
    "uid": "uid",
    "user": "user",
    "pns": "parent",
    "ons": "owner",
    "nsfs": "pins",
    "netnsid": "netnsid",
}


def id_of(path: str) -> int:
    return os.stat(path).st_ino


def ids_of(pid: int) -> set[int]:
    return {id_of(f"/proc/{pid}/ns/{kind}") for kind in KINDS}


def by_id(result: Result) -> dict[int, Result]:
    assert not result.get("failed"), result
    assert result["changed"] is False
    ids = [namespace["id"] for namespace in result["namespaces"]]
    assert ids == sorted(set(ids))
    return {namespace["id"]: namespace for namespace in result["namespaces"]}


def listed() -> dict[int, Result]:
    """What lsns lists, in our words."""
    return {row["ns"]: as_here(row) for row in lsns.rows(each.upper() for each in COLUMNS)}


def as_here(row: Result) -> Result:
    """A row of lsns(8) in our words."""
    found = {ours: row[theirs] for theirs, ours in COLUMNS.items()}
    found["parent"] = found["parent"] or None
    found["owner"] = found["owner"] or None
    found["pins"] = (found["pins"] or "").split("\n") if found["pins"] else []
    assigned = found["netnsid"] not in (None, "", "unassigned")
    found["netnsid"] = int(found["netnsid"]) if assigned else None
    return found


def command_of(pid: int) -> str:
    return pathlib.Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").replace("\0", " ")


def kept(rows: dict[int, Result]) -> dict[tuple[t.Any, ...], Result]:
    """The namespaces, each told from a later one with the same id by who lives in it."""
    found = {}
    for number, row in rows.items():
        facts = proc.process_facts(row["pid"]) if row["pid"] else None
        found[number, row["kind"], row["pid"], facts and facts.start] = row
    return found


def told_otherwise(run_module: RunModule, lasting: set[int]) -> set[tuple[t.Any, ...]]:
    """What ns_info tells otherwise than lsns did before and after, of those there all the while.

    Those with the ids ``lasting`` are to be among them.
    """
    before = kept(listed())
    found = by_id(run_module("ns_info", {}))
    after = kept(listed())
    same = before.keys() & after.keys()
    assert lasting <= {number for number, *_rest in same}
    return {
        (*each, key)
        for each in same
        for key in ("kind", "pid", "parent", "owner")
        if before[each][key] == after[each][key]
        and found.get(each[0], {}).get(key, "not told") != after[each][key]
    }


def test_it_knows_what_lsns_knows(
    run_module: RunModule,
    unshared_process: UnsharedProcess,
    ip_netns: t.Callable[[str], str],
) -> None:
    blue = ip_netns("blue")
    subprocess.run(["ip", "netns", "set", "blue", "7"], check=True)
    inside = subprocess.Popen(["ip", "netns", "exec", "blue", "sleep", "infinity"])
    try:
        own = [
            unshared_process(KINDS, options=["--map-root-user"]).pid,
            unshared_process(("mnt", "pid")).pid,
            unshared_process(("uts",), options=["--setuid", str(NOBODY)]).pid,
            inside.pid,
        ]
        # Each is in all of its namespaces before it becomes that.
        assert wait_until(lambda: all(command_of(pid) == "sleep infinity" for pid in own))
        assert id_of(f"/proc/{inside.pid}/ns/net") == id_of(blue)
        mine = set().union(*map(ids_of, own)) - ids_of(os.getpid())
        expected = listed()
        found = by_id(run_module("ns_info", {}))
        assert len(mine) == 13  # 8, 2, 1 and the two of `ip netns exec`
        for number in mine:
            assert {key: found[number][key] for key in expected[number]} == expected[number]
        (net,) = (found[number] for number in mine if found[number]["pins"])
        assert (net["netnsid"], net["pins"], net["pid"]) == (7, [blue], inside.pid)
        # Other tests start and end processes, and move them, while we look: a defect stays.
        otherwise = told_otherwise(run_module, mine)
        for _look in range(9):
            if otherwise:
                otherwise &= told_otherwise(run_module, mine)
        assert not otherwise
    finally:
        inside.kill()
        inside.wait()


def test_processes_are_counted(run_module: RunModule, unshared_process: UnsharedProcess) -> None:
    process = unshared_process(("uts",))
    number = id_of(f"/proc/{process.pid}/ns/uts")
    nsenter = ["nsenter", "--target", str(process.pid), "--uts", "sleep", "infinity"]
    others = [subprocess.Popen(nsenter) for _each in range(3)]
    try:
        assert wait_until(
            lambda: all(id_of(f"/proc/{other.pid}/ns/uts") == number for other in others)
        )
        found = by_id(run_module("ns_info", {"kinds": ["uts"]}))[number]
    finally:
        for other in others:
            other.kill()
            other.wait()
    pids = [process.pid, *(other.pid for other in others)]
    assert (found["processes"], found["pid"]) == (4, min(pids))
    assert found["command"] == "sleep infinity"


def test_a_namespace_that_is_only_pinned(
    run_module: RunModule, ip_netns: t.Callable[[str], str]
) -> None:
    path = ip_netns("green")
    found = by_id(run_module("ns_info", {"kinds": ["net"]}))[id_of(path)]
    assert found == {
        "id": id_of(path),
        "kind": "net",
        "processes": 0,
        "pid": None,
        "ppid": None,
        "command": None,
        "uid": None,
        "user": None,
        "parent": None,
        "owner": id_of("/proc/self/ns/user"),
        "netnsid": None,
        "pins": [path],
        "name": None,
    }
    alone = by_id(run_module("ns_info", {"namespace_path": path}))
    assert list(alone) == [id_of(path)]


def test_a_pin_of_another_tool_with_a_strange_path(
    run_module: RunModule, unshared_process: UnsharedProcess, tmp_path: pathlib.Path
) -> None:
    process = unshared_process(("uts", "pid"))
    pin = tmp_path / "a space\tand a\nline"
    pin.touch()
    mounts.mount(f"/proc/{process.pid}/ns/pid", str(pin), flags=mounts.MS_BIND)
    try:
        found = by_id(run_module("ns_info", {"kinds": ["pid"]}))[id_of(str(pin))]
        assert found["pins"] == [str(pin)]
        assert found["parent"] == id_of("/proc/self/ns/pid")
        os.kill(process.pid, signal.SIGKILL)
        assert wait_until(lambda: not os.path.exists(f"/proc/{process.pid}"))
        found = by_id(run_module("ns_info", {}))[id_of(str(pin))]
        assert (found["processes"], found["pid"], found["pins"]) == (0, None, [str(pin)])
        assert found["parent"] == id_of("/proc/self/ns/pid")
    finally:
        mounts.umount(str(pin))


def test_the_name_of_a_named_namespace(
    run_module: RunModule, unshared_process: UnsharedProcess
) -> None:
    name = "test-info-name"
    process = unshared_process(("mnt", "uts", "net"))
    try:
        with lock.held(name, timeout=5):
            pins.prepare(name)
            for kind in ("mnt", "uts"):
                pins.pin(name, kind, process.pid)
        found = by_id(run_module("ns_info", {"namespace": name}))
        assert {each["kind"]: each["name"] for each in found.values()} == {"mnt": name, "uts": name}
        assert all(each["processes"] == 1 for each in found.values())
        every = by_id(run_module("ns_info", {}))
        assert every[id_of(f"/proc/{process.pid}/ns/net")]["name"] is None
        assert [each for each in every.values() if each["name"]] == list(found.values())
        only = by_id(run_module("ns_info", {"namespace": name, "kinds": ["uts", "user"]}))
        assert [each["kind"] for each in only.values()] == ["uts"]
    finally:
        with lock.held(name, timeout=5):
            pins.discard(name)


def test_an_owner_without_a_process(run_module: RunModule) -> None:
    middle = "unshare --user --map-root-user sh -c 'echo; exec unshare --net sleep infinity'"
    argv = ["unshare", "--user", "--map-root-user", "sh", "-c", f"exec {middle}"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        with process.stdout as pipe:
            pipe.readline()
        assert wait_until(
            lambda: id_of(f"/proc/{process.pid}/ns/net") != id_of("/proc/self/ns/net")
        )
        found = by_id(run_module("ns_info", {}))
        net = found[id_of(f"/proc/{process.pid}/ns/net")]
        owner = found[net["owner"]]
        assert owner["id"] == id_of(f"/proc/{process.pid}/ns/user")
        above = found[owner["owner"]]
        assert (above["kind"], above["processes"], above["pid"]) == ("user", 0, None)
        assert above["owner"] == id_of("/proc/self/ns/user")
        assert (owner["parent"], above["parent"]) == (owner["owner"], above["owner"])
        # The same is found when only user namespaces are asked for.
        assert above["id"] in by_id(run_module("ns_info", {"kinds": ["user"]}))
    finally:
        process.kill()
        process.wait()


def test_the_namespaces_of_a_process(
    run_module: RunModule, unshared_process: UnsharedProcess
) -> None:
    process = unshared_process(("mnt",))
    found = by_id(run_module("ns_info", {"pid": process.pid}))
    assert {each["kind"]: each["id"] for each in found.values()} == {
        kind: id_of(f"/proc/{process.pid}/ns/{kind}") for kind in KINDS
    }
    only = by_id(run_module("ns_info", {"pid": process.pid, "kinds": ["mnt"]}))
    assert list(only) == [id_of(f"/proc/{process.pid}/ns/mnt")]


def test_a_zombie_lives_nowhere_but_is_no_error(run_module: RunModule) -> None:
    zombie = subprocess.Popen(["unshare", "--uts", "true"])
    try:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        found = by_id(run_module("ns_info", {}))
        assert zombie.pid not in [each["pid"] for each in found.values()]
    finally:
        zombie.wait()


def test_a_plain_user_sees_his_own(
    run_module: RunModule, unshared_process: UnsharedProcess, ip_netns: t.Callable[[str], str]
) -> None:
    pinned = id_of(ip_netns("red"))
    theirs = id_of(f"/proc/{unshared_process(('uts',)).pid}/ns/uts")
    own = unshared_process(("user", "ipc"), options=["--map-root-user"])
    found = by_id(run_module("ns_info", {}, user=NOBODY))
    assert pinned in found
    assert theirs not in found
    assert id_of("/proc/self/ns/mnt") in found
    # What the processes of root do is not shown.
    assert {each["uid"] for each in found.values()} == {None, NOBODY}
    assert id_of(f"/proc/{own.pid}/ns/user") not in found
    refused = run_module("ns_info", {"pid": own.pid}, user=NOBODY)
    assert refused["msg"].startswith(f"The namespaces of process {own.pid} may not be opened.")


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"pid": 2**22 + 1}, "there is no process 4194305 on this host"),
        ({"pid": 0}, "pid must be a positive number, not 0"),
        ({"namespace": "no-such"}, "there is no namespace 'no-such' on this host"),
        ({"namespace": "../etc"}, "'../etc' cannot be a name"),
        ({"namespace_path": "/no/such"}, "/no/such cannot be opened: No such file or directory"),
        ({"namespace_path": "/etc/passwd"}, "/etc/passwd is not a namespace file"),
        ({"namespace_path": "etc"}, "namespace_path must be an absolute path, not 'etc'"),
    ],
)
def test_a_target_that_is_not_there(
    run_module: RunModule, args: dict[str, t.Any], reason: str
) -> None:
    result = run_module("ns_info", args)
    assert result["failed"]
    assert result["reason"] == reason


def test_only_one_target(run_module: RunModule) -> None:
    result = run_module("ns_info", {"pid": 1, "namespace": "web"})
    assert "mutually exclusive" in result["msg"]
    assert "value of kinds must be one or more of" in run_module("ns_info", {"kinds": ["x"]})["msg"]


def test_the_examples_run(run_tasks: RunTasks) -> None:
    web = {"name": "web", "kinds": ["mnt"]}
    before = [{"linux.namespaces.ns_namespace": web}]
    after = [{"linux.namespaces.ns_namespace": {**web, "state": "absent"}}]
    run_tasks([*before, *examples_of("ns_info")], cleanup=after)
