# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows from 9 on of the tutorials (test_tutorials.py has the others): nginx in a root of its own.

What a reader does there with `docker export`, mount(8) and pivot_root(8) is done here with the
modules.
"""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import typing as t

import pytest
from command import Nsctl
from host_state import host_state
from module_server import CHECKOUT
from processes_inside import inside
from readers import requesting
from results import RunModule
from tutorials import id_of, ok
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins


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


def test_no_request_fails_while_it_is_reloaded_and_its_page_changes(
    run_module: RunModule, nginx: Nginx, tmp_path: pathlib.Path
) -> None:
    """And each answer is one of the pages, whole."""
    rounds = int(os.environ.get("RELOADS", "12"))
    pages = [f"{number} " * 20_000 for number in range(rounds)]
    service = {"namespace": nginx.name, "name": "nginx", "supervisor": "none"}
    mount = {"namespace": nginx.name, "path": "/var/www/html", "opts": "bind", "persistent": False}

    def show(number: int) -> None:
        directory = tmp_path / str(number)
        directory.mkdir()
        (directory / "index.html").write_text(pages[number])
        assert ok(run_module("ns_mount", {**mount, "src": str(directory)}))["changed"]

    show(0)
    with requesting(nginx.pid, 80) as one, requesting(nginx.pid, 80) as other:
        for number in range(1, rounds):
            before = one.number()
            show(number)
            assert ok(run_module("ns_service", {**service, "state": "reloaded"}))["changed"]
            assert wait_until(lambda before=before: one.number() > before + 10)
    answers = one.seen + other.seen
    print(answers.total(), "requests")
    assert set(answers) <= set(pages), [text[:80] for text in answers if text not in pages]
    assert len(answers) > rounds / 2
    ok(run_module("ns_mount", {**mount, "state": "unmounted"}))
