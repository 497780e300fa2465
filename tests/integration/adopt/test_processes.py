# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl adopt --pid: a process with namespaces and mounts of its own."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from adoptions import Adopt, Applied, is_as_it_should_be
from command import Nsctl
from named_namespaces import NewName
from processes_inside import inside, mounts_inside
from unshared_process import UnsharedProcess
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins

EVERY = ("mnt", "uts", "ipc", "net", "pid", "cgroup", "user", "time")
PIVOT = """
set -e
mount --bind "$1" "$1"
mount --bind /usr "$1/usr"
mkdir "$1/old"
cd "$1"
pivot_root . old
mount -t proc proc /proc
mount -t tmpfs -o size=1m,mode=755 own /tmp
mkdir /tmp/below
mount -t tmpfs -o size=1m upper /tmp/below
umount -l /old
rmdir /old
"""


def ids_of(pid: int, kinds: t.Iterable[str]) -> dict[str, int]:
    return {kind: os.stat(f"/proc/{pid}/ns/{kind}").st_ino for kind in kinds}


@pytest.fixture
def root(tmp_path: pathlib.Path) -> str:
    """A directory with what a shell needs."""
    path = tmp_path / "root"
    for each in ("proc", "tmp", "usr", "dev"):
        (path / each).mkdir(parents=True)
    for each in ("bin", "sbin", "lib", "lib64"):
        (path / each).symlink_to(f"usr/{each}")
    return str(path)


def test_mounts_and_names(
    unshared_process: UnsharedProcess,
    adopt: Adopt,
    applied: Applied,
    nsctl: Nsctl,
    new_name: NewName,
    tmp_path: pathlib.Path,
) -> None:
    process = unshared_process(("mnt", "uts", "ipc"))
    (tmp_path / "file").write_text("text\n")
    process.run("hostname", "inner")
    process.run("domainname", "domain")
    process.run("mount", "-t", "tmpfs", "-o", "size=3m,nosuid,mode=700", "own", "/mnt")
    process.run("mkdir", "/mnt/below")
    process.run("mount", "-t", "tmpfs", "-o", "size=1m", "upper", "/mnt/below")
    process.run("mount", "--bind", "-o", "ro", str(tmp_path), "/media")
    process.run("mount", "--bind", str(tmp_path / "file"), "/etc/hostname")
    found = adopt(new_name(), "--pid", str(process.pid))
    assert found.left == []
    assert found.entry == {
        "name": found.entry["name"],
        "kinds": ["ipc", "mnt", "uts"],
        "hostname": "inner",
        "domainname": "domain",
        "mounts": [
            {
                "path": "/mnt",
                "src": "own",
                "fstype": "tmpfs",
                "opts": ["nosuid", "size=3072k", "mode=700"],
            },
            {"path": "/media", "src": str(tmp_path), "opts": ["bind", "ro"]},
            {"path": "/etc/hostname", "src": str(tmp_path / "file"), "opts": ["bind"]},
            {
                "path": "/mnt/below",
                "src": "upper",
                "fstype": "tmpfs",
                "opts": ["size=1024k", "X-mount.mkdir"],
            },
        ],
    }
    name = applied(found.entry)
    assert nsctl("exec", name, "--", "cat", "/etc/hostname").stdout == "text\n"
    kept = adopt(new_name(), "--pid", str(process.pid), "--keep")
    assert pins.pinned(kept.entry["name"]) == ids_of(process.pid, found.entry["kinds"])
    assert is_as_it_should_be(nsctl, kept.entry)
    (shown,) = json.loads(nsctl("export", kept.entry["name"]).stdout)["namespaces"]
    assert shown == kept.entry
    # What is made anew is what was there.
    nsctl("down", kept.entry["name"], "--force")
    nsctl("up", kept.entry["name"])
    assert is_as_it_should_be(nsctl, kept.entry)


def test_all_kinds(
    unshared_process: UnsharedProcess,
    adopt: Adopt,
    applied: Applied,
    new_name: NewName,
) -> None:
    process = unshared_process(EVERY, options=["--monotonic=-5", "--boottime=86400"])
    for which, first in (("uid", 100000), ("gid", 200000)):
        pathlib.Path(f"/proc/{process.pid}/{which}_map").write_text(f"0 {first} 1000")
    found = adopt(new_name(), "--pid", str(process.pid))
    assert found.entry["kinds"] == sorted(EVERY)
    assert found.entry["time_offsets"] == {"monotonic": -5, "boottime": 86400}
    maps = found.entry["id_map"]
    assert {which: rows[0]["count"] for which, rows in maps.items()} == {"uid": 1000, "gid": 1000}
    assert found.left[0] == "the pid namespace: it ends with its first process; a new one is made"
    name = applied(found.entry)
    text = pathlib.Path(f"/proc/{process.pid}/uid_map").read_text().split()
    assert inside(name, lambda: pathlib.Path("/proc/self/uid_map").read_text().split()) == text
    kept = adopt(new_name(), "--pid", str(process.pid), "--keep")
    assert kept.entry["kinds"] == sorted({*EVERY} - {"pid"})
    assert kept.left[0] == "the pid namespace: it ends with its first process, and cannot be kept"
    assert pins.pinned(kept.entry["name"]) == ids_of(process.pid, kept.entry["kinds"])


def test_a_user_namespace_without_a_map(
    unshared_process: UnsharedProcess, adopt: Adopt, new_name: NewName
) -> None:
    process = unshared_process(("user", "uts"))
    for words in ([], ["--keep"]):
        found = adopt(new_name(), "--pid", str(process.pid), *words)
        assert found.entry["kinds"] == ["uts"]
        assert found.left == ["the user namespace: it has no map that one could be given"]


def test_a_root_of_its_own(
    unshared_process: UnsharedProcess,
    adopt: Adopt,
    applied: Applied,
    nsctl: Nsctl,
    new_name: NewName,
    root: str,
) -> None:
    process = unshared_process()
    # It follows (pivot_root(2)).
    process.run("sh", "-c", PIVOT, "sh", root)
    found = adopt(new_name(), "--pid", str(process.pid))
    assert found.left == []
    home = f"/var/lib/linux-namespaces-{found.entry['name']}/root"
    steps = found.entry["steps"]
    assert steps[0] == {
        "do": "mount",
        "path": home,
        "src": root,
        "opts": ["bind", "X-mount.mkdir"],
    }
    assert steps[-1] == {"do": "pivot", "new_root": home}
    assert [each["path"] for each in steps[1:-1]] == [
        f"{home}{path}" for path in ("/usr", "/proc", "/tmp", "/tmp/below")
    ]
    name = applied(found.entry)
    there = {mount.path: mount.src for mount in mounts_inside(name)}
    assert there.keys() == {"/", "/usr", "/proc", "/tmp", "/tmp/below"}
    assert there["/tmp/below"] == "upper"
    kept = adopt(new_name(), "--pid", str(process.pid), "--keep").entry
    assert is_as_it_should_be(nsctl, kept)
    assert nsctl("exec", kept["name"], "--", "ls", "/tmp").stdout == "below\n"
    (shown,) = nsctl.data("list", kept["name"])
    assert shown["root"] == f"/var/lib/linux-namespaces-{kept['name']}/root"
    nsctl("down", kept["name"], "--force")
    nsctl("up", kept["name"])
    assert is_as_it_should_be(nsctl, kept)


def test_a_process_in_a_chroot(
    unshared_process: UnsharedProcess, adopt: Adopt, new_name: NewName, root: str
) -> None:
    process = unshared_process()
    process.run("mount", "--bind", "/usr", f"{root}/usr")
    process.run("mount", "--bind", "/dev", f"{root}/dev")
    process.run("mount", "-t", "tmpfs", "own", "/mnt")
    with process.started(["chroot", root, "sh", "-c", "echo; exec sleep infinity"]) as pid:
        found = adopt(new_name(), "--pid", str(pid))
    assert [each["path"] for each in found.entry["mounts"]] == [
        f"{root}/usr",
        f"{root}/dev",
        "/mnt",
    ]
    (left,) = found.left
    assert left.startswith(f"the root directory of process {pid}: ")


def test_propagation(unshared_process: UnsharedProcess, adopt: Adopt, new_name: NewName) -> None:
    for word, expected in (("private", None), ("slave", "slave"), ("unchanged", "unchanged")):
        process = unshared_process(options=[f"--propagation={word}"])
        assert adopt(new_name(), "--pid", str(process.pid)).entry.get("propagation") == expected


def test_what_was_unmounted(
    unshared_process: UnsharedProcess, adopt: Adopt, new_name: NewName
) -> None:
    process = unshared_process()
    process.run("umount", "/var/log")
    (left,) = adopt(new_name(), "--pid", str(process.pid)).left
    assert left.startswith("that the host's mount on /var/log is not there: ")


def test_one_that_lives_in_a_named_namespace(adopt: Adopt, nsctl: Nsctl, new_name: NewName) -> None:
    name = new_name()
    nsctl("apply", "-", input=json.dumps({"namespaces": [{"name": name, "kinds": ["uts"]}]}))
    with nsctl.start("exec", name, "--", "sleep", "60") as process:
        try:
            command = pathlib.Path(f"/proc/{process.pid}/comm")
            assert wait_until(lambda: command.read_text() == "sleep\n")
            pid = str(process.pid)
            assert adopt(new_name(), "--pid", pid).entry["kinds"] == ["uts"]
            done = nsctl("adopt", new_name(), "--pid", pid, "--keep", code=1)
        finally:
            process.kill()
    assert f"The uts namespace is that of namespace {name} already" in done.stderr
