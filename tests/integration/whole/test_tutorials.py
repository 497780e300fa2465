# SPDX-License-Identifier: GPL-3.0-or-later
"""The systems of two tutorials on Linux namespaces, each made with the collection.

One test for each row of their table: what a reader does there with unshare(1), mount(8), a C
program or `docker export` is done here with the modules, and seen to be the same.
"""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import subprocess
import typing as t

import lsns
import pytest
from command import Nsctl
from host_state import host_state
from module_server import CHECKOUT
from processes_inside import inside, living
from programs import in_child
from results import Converge, Result, RunModule
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
NewName = t.Callable[[], str]


def ok(result: Result) -> Result:
    assert not result.get("failed"), result
    return result


def id_of(path: str | pathlib.Path) -> int:
    return os.stat(path).st_ino


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


# --- nginx in a root of its own


class Nginx(t.NamedTuple):
    """The second tutorial's system. ``new_root`` as it was named before the pivot."""

    name: str
    new_root: str
    pid: int


@pytest.fixture(scope="module")
def archive() -> str:
    """What `docker export $(docker create nginx)` writes: a root file system as a tar."""
    path = CHECKOUT / ".build/cache/nginx-rootfs.tar"
    subprocess.run([CHECKOUT / "tests/nginx-archive", path], check=True)
    return str(path)


@pytest.fixture(scope="module")
def nginx(
    run_module: RunModule, archive: str, tmp_path_factory: pytest.TempPathFactory
) -> t.Iterator[Nginx]:
    new_root = str(tmp_path_factory.mktemp("tutorial") / "new-root")
    os.mkdir(new_root)
    name = f"tutorial{os.getpid()}"
    service = {"namespace": name, "name": "nginx", "supervisor": "none"}
    mounts = [
        {"path": f"{new_root}/proc", "src": "proc", "fstype": "proc", "opts": "X-mount.mkdir"},
        {"path": f"{new_root}/dev/null", "src": "/dev/null", "opts": "bind,X-mount.mkdir"},
    ]
    tasks = [
        ("ns_namespace", {"name": name, "kinds": ["mnt", "net"]}),
        ("ns_mount", {"namespace": name, "path": new_root, "src": "none", "fstype": "tmpfs"}),
        ("ns_rootfs", {"namespace": name, "path": new_root, "archive": archive}),
        ("ns_mount", {"namespace": name, "mounts": mounts}),
        ("ns_setns_run", {"namespace": name, "argv": ["mkdir", f"{new_root}/old-root"]}),
        (
            "ns_pivot_root",
            {"namespace": name, "new_root": new_root, "put_old": f"{new_root}/old-root"},
        ),
        (
            "ns_service",
            {**service, "argv": ["nginx", "-g", "daemon off;"], "ready": {"port": 80}},
        ),
    ]
    removal = [
        ("ns_service", {**service, "state": "absent"}),
        ("ns_namespace", {"name": name, "state": "absent", "force": True}),
    ]
    try:
        for module, args in tasks:
            result = ok(run_module(module, args))
        yield Nginx(name, new_root, result["service"]["pid"])
    finally:
        for module, args in removal:
            ok(run_module(module, args))


def fetched(name: str) -> str:
    """What a web server in the namespace answers."""

    def fetch() -> str:
        with socket.socket() as connection:
            connection.settimeout(10)
            connection.connect(("127.0.0.1", 80))
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
            return answer.decode("latin-1")

    answer: str = inside(name, fetch, ["net"])
    return answer


def test_row_09_a_root_file_system_from_an_image(
    run_module: RunModule, nginx: Nginx, archive: str
) -> None:
    """It is unpacked inside, on the tmpfs: the host has nothing of it."""
    root = f"/proc/{nginx.pid}/root"
    assert pathlib.Path(root, "etc/debian_version").read_text().startswith("12")
    assert os.access(f"{root}/usr/sbin/nginx", os.X_OK)
    assert os.listdir(nginx.new_root) == []
    # The same task again, by the name from before the pivot.
    again = {"namespace": nginx.name, "path": nginx.new_root, "archive": archive}
    assert ok(run_module("ns_rootfs", again))["changed"] is False


def test_row_10_nginx_after_pivot_root(run_module: RunModule, nginx: Nginx) -> None:
    assert "Welcome to nginx!" in fetched(nginx.name)
    status = pathlib.Path(f"/proc/{nginx.pid}/cmdline").read_text()
    assert "nginx: master process" in status
    assert "daemon off;" in status
    mounted = {line.split()[4] for line in mountinfo_of(nginx.pid)}
    assert {"/", "/proc", "/dev/null", "/old-root"} <= mounted
    kept = ok(
        run_module(
            "ns_setns_run",
            {"namespace": nginx.name, "argv": ["cat", "/old-root/proc/sys/kernel/ostype"]},
        )
    )
    assert kept["stdout"] == "Linux"
    pivot = {"namespace": nginx.name, "new_root": nginx.new_root}
    old = {**pivot, "put_old": f"{nginx.new_root}/old-root"}
    assert ok(run_module("ns_pivot_root", old))["changed"] is False
    # umount -l old-root: from here on nothing of the host can be reached.
    assert ok(run_module("ns_pivot_root", pivot))["changed"] is True
    assert {line.split()[4] for line in mountinfo_of(nginx.pid)} == {"/", "/proc", "/dev/null"}
    assert "Welcome to nginx!" in fetched(nginx.name)


def mountinfo_of(pid: int) -> list[str]:
    return pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines()


def test_row_11_from_the_pid_to_the_file_system(
    run_module: RunModule, nginx: Nginx, tmp_path: pathlib.Path
) -> None:
    """From the host: the pid, the id of its namespace, what is mounted there."""
    (mnt,) = ok(run_module("ns_info", {"pid": nginx.pid, "kinds": ["mnt"]}))["namespaces"]
    assert mnt["id"] == id_of(f"/proc/{nginx.pid}/ns/mnt") == id_of(pins.path(nginx.name, "mnt"))
    assert (mnt["name"], mnt["pid"]) == (nginx.name, nginx.pid)
    assert "nginx" in mnt["command"]
    found = ok(run_module("ns_mount_info", {"pid": nginx.pid}))["mounts"]
    root = next(mount for mount in found if mount["path"] == "/")
    assert root["fstype"] == "tmpfs"
    device = os.stat(f"/proc/{nginx.pid}/root/").st_dev
    assert root["device"] == f"{os.major(device)}:{os.minor(device)}"
    shown = Nsctl(tmp_path)("show", nginx.name).stdout
    for word in (str(mnt["id"]), str(nginx.pid), "nginx: master process", nginx.new_root, "tmpfs"):
        assert word in shown, word


def test_row_12_why(run_module: RunModule, nginx: Nginx) -> None:
    """A root of its own, apart from the host's, and free to change what is mounted."""
    # Libraries and configuration do not conflict: each has its own under the same name.
    for path in ("etc/passwd", "usr/lib/os-release", "usr/bin/bash"):
        theirs, ours = os.stat(f"/proc/{nginx.pid}/root/{path}"), os.stat(f"/{path}")
        assert (theirs.st_dev, theirs.st_ino) != (ours.st_dev, ours.st_ino)
    # It is separated: what is written in one is not in the other.
    mark = f"/var/tmp/mark-{nginx.name}"
    ok(run_module("ns_setns_run", {"namespace": nginx.name, "argv": ["touch", mark]}))
    assert os.path.exists(f"/proc/{nginx.pid}/root{mark}")
    assert not os.path.exists(mark)
    # It is free to change its mounts, which the host does not even see.
    table = host_state()["mounts"]
    mount = {"namespace": nginx.name, "path": "/var/www/html", "src": "own", "fstype": "tmpfs"}
    ok(run_module("ns_mount", {**mount, "persistent": False}))
    script = "echo mine > /var/www/html/index.html; mount -o remount,ro /var/www/html"
    ok(run_module("ns_setns_run", {"namespace": nginx.name, "argv": ["sh", "-c", script]}))
    assert fetched(nginx.name).endswith("mine\n")
    ok(run_module("ns_mount", {**mount, "state": "unmounted"}))
    assert "Welcome to nginx!" in fetched(nginx.name)
    assert host_state()["mounts"] == table
