# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_namespace against the kernel: kinds together, propagation, persistence, removal."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import typing as t

import pytest
from host_state import host_state
from named_namespaces import (
    BASE,
    KINDS,
    NewName,
    id_inside,
    ids_of,
    netns_list,
    outlived,
    own_id,
    owner_of,
    present,
    record_of,
    refused,
)
from processes_inside import inside, living
from results import Converge, Result, RunModule
from waiting import has_ended, wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import (
    enter,
    pid_holder,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace.target import Target
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
    mounts,
    namespaces,
)


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
    assert not pathlib.Path(definitions.DIRECTORY).exists()


def test_all_kinds_together(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    found = present(converge, name, kinds=list(KINDS))
    ids = ids_of(found)
    assert sorted(ids) == sorted(KINDS)
    joined = inside(name, lambda: proc.ids_of_process("self"))
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
    assert proc.ids_of_process(t.cast(int, pid_holder.pid_of(name)), ["mnt"]) == {
        "mnt": own_id("mnt")
    }
    assert sorted(ids_of(found)) == ["pid"]


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
        child = enter.spawn(deeper, joins=handles)
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
