# SPDX-License-Identifier: GPL-3.0-or-later
"""The systems of a tutorial on the API of Linux namespaces, each made with the collection.

One test for each row of their table: what a reader does there with unshare(1), mount(8) or a C
program is done here with the modules, and seen to be the same. The rows from 9 on are in
test_tutorials_nginx.py.
"""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import subprocess

import lsns
import pytest
from host_state import host_state
from processes_inside import inside, living
from programs import in_child
from results import Converge, RunModule
from tutorials import NewName, id_of, ok
from unshared_process import UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
    namespaces,
    processes,
)

NOBODY = 65534
KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")


@pytest.mark.newer_kernel
def test_row_01_three_calls_of_the_api(run_module: RunModule, new_name: NewName) -> None:
    """clone(2), unshare(2), setns(2): as functions, and as what the modules are made of."""
    uts = kinds.KINDS["uts"].flag

    def cloned() -> object:
        told, tell = os.pipe()
        child = processes.clone3(uts, exit_signal=signal.SIGCHLD)
        if child == 0:
            os.write(tell, str(id_of("/proc/self/ns/uts")).encode())
            os._exit(0)
        os.waitpid(child, 0)
        return int(os.read(told, 100))

    def unshared() -> object:
        namespaces.unshare(uts)
        return id_of("/proc/self/ns/uts")

    own = id_of("/proc/self/ns/uts")
    assert in_child(cloned) != own
    assert in_child(unshared) != own
    name = new_name()
    ok(run_module("ns_namespace", {"name": name, "kinds": ["uts"]}))
    pin = os.open(pins.path(name, "uts"), os.O_RDONLY)

    def joined() -> object:
        namespaces.setns(pin, uts)
        return id_of("/proc/self/ns/uts")

    assert in_child(joined) == os.fstat(pin).st_ino
    os.close(pin)
    link = ["readlink", "/proc/self/ns/uts"]
    new = ok(run_module("ns_unshare_run", {"argv": link, "kinds": ["uts"]}))
    assert new["namespaces"]["uts"] == proc.parse_link(new["stdout"]) != own
    there = ok(run_module("ns_setns_run", {"argv": link, "namespace": name}))
    assert proc.parse_link(there["stdout"]) == id_of(pins.path(name, "uts"))
    service = {"namespace": name, "name": "idle", "supervisor": "none"}
    started = ok(run_module("ns_service", {**service, "argv": ["sleep", "infinity"]}))
    assert id_of(f"/proc/{started['service']['pid']}/ns/uts") == id_of(pins.path(name, "uts"))
    ok(run_module("ns_service", {**service, "state": "absent"}))


def test_row_02_all_kinds_and_their_flags(run_module: RunModule, new_name: NewName) -> None:
    """The table of namespaces(7), and each kind in each module."""
    assert {name: kind.flag for name, kind in kinds.KINDS.items()} == {
        "cgroup": 0x02000000,
        "ipc": 0x08000000,
        "mnt": 0x00020000,
        "net": 0x40000000,
        "pid": 0x20000000,
        "time": 0x00000080,
        "user": 0x10000000,
        "uts": 0x04000000,
    }
    own = proc.ids_of_process("self")
    name = new_name()
    found = ok(run_module("ns_namespace", {"name": name, "kinds": list(KINDS)}))["namespace"]
    ids = {kind: pin["id"] for kind, pin in found["kinds"].items()}
    assert all(ids[kind] != own[kind] for kind in KINDS)
    everything = {"argv": ["true"], "kinds": list(KINDS)}
    new = ok(run_module("ns_unshare_run", {**everything, "id_map": "root"}))["namespaces"]
    assert all(new[kind] not in (own[kind], ids[kind]) for kind in KINDS)
    joined = ok(run_module("ns_setns_run", {**everything, "namespace": name}))["namespaces"]
    assert {kind: joined[kind] for kind in KINDS} == ids
    with living(name):
        for kind in KINDS:
            listed = ok(run_module("ns_info", {"kinds": [kind]}))["namespaces"]
            assert ids[kind] in [each["id"] for each in listed]


def test_row_03_magic_links_as_handles(
    run_module: RunModule, unshared_process: UnsharedProcess, new_name: NewName
) -> None:
    """readlink(1) says which namespace a process lives in; the same file leads into it."""
    process = unshared_process(("net", "uts"))
    read = subprocess.run(
        ["readlink", f"/proc/{process.pid}/ns/uts"], check=True, capture_output=True, text=True
    )
    uts = proc.parse_link(read.stdout.strip())
    link = {"argv": ["readlink", "/proc/self/ns/uts"]}
    targets = [{"pid": process.pid}, {"namespace_path": f"/proc/{process.pid}/ns/uts"}]
    name = new_name()
    ok(run_module("ns_namespace", {"name": name, "kinds": ["uts"]}))
    for target in targets:
        done = ok(run_module("ns_setns_run", {**link, **target}))
        assert proc.parse_link(done["stdout"]) == done["namespaces"]["uts"] == uts
    done = ok(run_module("ns_setns_run", {**link, "namespace": name}))
    assert proc.parse_link(done["stdout"]) == id_of(pins.path(name, "uts")) != uts
    (listed,) = ok(run_module("ns_info", {"pid": process.pid, "kinds": ["uts"]}))["namespaces"]
    assert (listed["id"], listed["pid"], listed["processes"]) == (uts, process.pid, 1)


def test_row_04_lsns(run_module: RunModule, unshared_process: UnsharedProcess) -> None:
    process = unshared_process(KINDS, options=["--map-root-user"])
    theirs = {
        row["ns"]: (row["type"], row["nprocs"], row["pid"], row["command"])
        for row in lsns.rows(["NS", "TYPE", "NPROCS", "PID", "COMMAND"])
        if row["ns"] in proc.ids_of_process(process.pid).values()
    }
    listed = ok(run_module("ns_info", {"pid": process.pid}))["namespaces"]
    ours = {
        each["id"]: (each["kind"], each["processes"], each["pid"], each["command"])
        for each in listed
    }
    assert ours == theirs
    assert len(ours) == 8
    user = next(each["id"] for each in listed if each["kind"] == "user")
    assert {each["owner"] for each in listed if each["kind"] != "user"} == {user}


def test_row_05_a_mount_that_only_the_namespace_sees(
    run_module: RunModule, converge: Converge, new_name: NewName, tmp_path: pathlib.Path
) -> None:
    """Files are shared with the host as long as the root is; mounts are not."""
    place = tmp_path / "mnt"
    place.mkdir()
    before = host_state()
    look = f"grep {place} /proc/mounts; touch {place}/file; ls {place}; touch {tmp_path}/shared"
    once = ok(
        run_module(
            "ns_unshare_run",
            {
                "argv": ["sh", "-c", look],
                "mounts": [{"path": str(place), "fstype": "tmpfs", "opts": "size=10m"}],
            },
        )
    )
    assert "size=10240k" in once["stdout"]
    assert once["stdout"].splitlines()[-1] == "file"
    assert host_state() == before
    assert list(place.iterdir()) == []
    assert (tmp_path / "shared").exists()

    name = new_name()
    ok(run_module("ns_namespace", {"name": name}))
    mount = {"namespace": name, "path": str(place), "fstype": "tmpfs", "opts": "size=10m"}
    assert "size=10240k" in converge("ns_mount", mount)["mounts"][0]["opts"]
    script = f"touch {place}/inside {tmp_path}/both; ls {place}"
    run = ok(run_module("ns_setns_run", {"namespace": name, "argv": ["sh", "-c", script]}))
    assert run["stdout"] == "inside"
    assert list(place.iterdir()) == []
    assert str(place) not in pathlib.Path("/proc/mounts").read_text()
    assert (tmp_path / "both").exists()


def test_row_06_the_mounts_of_another_process(
    run_module: RunModule, unshared_process: UnsharedProcess
) -> None:
    process = unshared_process()
    process.run("mount", "-t", "tmpfs", "-o", "size=1m", "seen", "/mnt")
    found = ok(run_module("ns_mount_info", {"pid": process.pid}))["mounts"]
    assert [f"{each['id']} {each['path']}" for each in found] == [
        f"{fields[0]} {fields[4]}" for fields in (line.split() for line in process.mountinfo())
    ]
    (seen,) = [each for each in found if each["path"] == "/mnt"]
    assert (seen["src"], seen["fstype"]) == ("seen", "tmpfs")
    assert "size=1024k" in seen["opts"]


def test_row_07_it_goes_with_the_namespace(
    run_module: RunModule, new_name: NewName, tmp_path: pathlib.Path
) -> None:
    name = new_name()
    mount = {"namespace": name, "path": str(tmp_path), "src": "gone", "fstype": "tmpfs"}

    def make() -> str:
        ok(run_module("ns_namespace", {"name": name}))
        return str(ok(run_module("ns_mount", mount))["mounts"][0]["device"])

    device = make()
    inside(name, lambda: (tmp_path / "content").write_text("x" * 4096), ["mnt"])
    for check, content in ((False, ["content"]), (True, [])):
        assert inside(name, lambda: os.listdir(tmp_path), ["mnt"]) == content
        if not check:
            ok(run_module("ns_namespace", {"name": name, "state": "absent"}))
            # No mount table on this host has the file system any more.
            for table in pathlib.Path("/proc").glob("[0-9]*/mountinfo"):
                try:
                    lines = table.read_text(errors="replace").splitlines()
                except OSError:
                    continue
                assert [
                    line for line in lines if line.split()[2] == device and "gone" in line
                ] == []
            make()


def test_row_08_a_plain_user_is_root_of_its_own(run_module: RunModule) -> None:
    """A whole environment of its own: ids, mounts, processes, network, host name."""
    script = """
        id -u; hostname; ls /proc | grep -c '^[0-9]'
        mount -t tmpfs -o size=10m own /mnt && touch /mnt/file && ls /mnt
        ip -o link show lo | grep -c '[<,]UP[,>]'
        grep ^CapEff /proc/self/status
    """
    done = ok(
        run_module(
            "ns_unshare_run",
            {
                "argv": ["sh", "-c", script],
                "kinds": ["user", "mnt", "pid", "net", "ipc", "uts"],
                "id_map": "root",
                "hostname": "mine",
            },
            user=NOBODY,
        )
    )
    uid, hostname, numbers, file, up, capabilities = done["stdout"].splitlines()
    assert (uid, hostname, file, up) == ("0", "mine", "file", "1")
    assert int(numbers) < 5
    assert int(capabilities.split()[1], 16) != 0
    assert "file" not in os.listdir("/mnt")
    assert socket.gethostname() != "mine"
