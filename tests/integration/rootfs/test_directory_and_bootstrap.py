# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_rootfs from a directory and as a Debian bootstrap; owners that are shifted."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import time
import typing as t

import pytest
from reach import let_everyone_reach
from results import Converge, Result, RunModule
from trees import NET_BIND, facts_of, failed, make_tree, module_process, pack
from unshared_process import Unshared, UnsharedProcess
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import enter
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace.target import Target
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

IDS = [{"inside": 0, "outside": 100_000, "count": 65_536}]
ID_MAP = {"uid": IDS, "gid": IDS}
SMALL = {"suite": "bookworm", "variant": "extract", "packages": ["base-files"]}


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    return make_tree(tmp_path / "tree")


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "roots").mkdir()
    return tmp_path / "roots/root"


@pytest.fixture
def inside(unshared_process: UnsharedProcess) -> Unshared:
    process = unshared_process()
    process.run("mount", "-t", "tmpfs", "tmpfs", "/mnt")
    return process


def test_a_directory_is_copied(tree: pathlib.Path, path: pathlib.Path, converge: Converge) -> None:
    args = {"path": str(path), "directory": str(tree)}
    done = converge("ns_rootfs", args)
    assert done["actions"] == [f"copy {tree} to {path}"]
    assert facts_of(path) == facts_of(tree)
    assert os.listdir(path.parent) == ["root"]


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "etc/new").write_text(""),
        lambda tree: (tree / "etc/shadow").write_text("more than before"),
        lambda tree: os.chown(tree / "etc/shadow", 1, 1),
        lambda tree: os.chmod(tree / "bin/su", 0o755),
        lambda tree: os.setxattr(tree / "etc", "user.note", b"changed"),
        lambda tree: (tree / "bin/su").unlink(),
    ],
    ids=["added", "written", "owner", "mode", "attribute", "removed"],
)
def test_a_change_below_the_directory_is_one(
    change: t.Callable[[pathlib.Path], t.Any],
    tree: pathlib.Path,
    path: pathlib.Path,
    converge: Converge,
    run_module: RunModule,
) -> None:
    args = {"path": str(path), "directory": str(tree)}
    first = run_module("ns_rootfs", args)
    change(tree)
    done = converge("ns_rootfs", args)
    assert done["changed"]
    assert done["digest"] != first["digest"]
    assert facts_of(path) == facts_of(tree)


def test_what_is_mounted_in_the_directory_is_not_copied(
    tree: pathlib.Path, path: pathlib.Path, converge: Converge
) -> None:
    mounts.mount("tmpfs", str(tree / "tmp"), fstype="tmpfs")
    try:
        (tree / "tmp/precious").write_text("")
        converge("ns_rootfs", {"path": str(path), "directory": str(tree)})
        assert os.listdir(path / "tmp") == []
    finally:
        mounts.umount(str(tree / "tmp"))


def test_a_directory_is_copied_into_a_target(
    tree: pathlib.Path, inside: Unshared, converge: Converge
) -> None:
    args = {"pid": inside.pid, "path": "/mnt", "directory": str(tree)}
    converge("ns_rootfs", args)
    shown = facts_of(pathlib.Path(f"/proc/{inside.pid}/root/mnt"))
    wanted = facts_of(tree)
    for facts in (shown, wanted):  # a tmpfs takes other numbers of blocks
        for name, values in facts.items():
            facts[name] = (*values[:4], *values[5:])
    assert shown == wanted


def test_a_directory_that_is_none_is_refused(path: pathlib.Path, run_module: RunModule) -> None:
    args: Result = {"path": str(path), "directory": "/etc/passwd"}
    failed(run_module("ns_rootfs", args), "is no directory")
    args = {"path": str(path), "directory": "/missing"}
    failed(run_module("ns_rootfs", args), "is no directory")
    assert run_module("ns_rootfs", args, check=True)["changed"]


def shifted(facts: dict[str, t.Any]) -> dict[str, t.Any]:
    """What facts_of() a root are to be with ID_MAP."""
    found = {}
    for name, values in facts.items():
        xattrs = dict(values[8])
        if "security.capability" in xattrs:
            version_3 = b"\x01\0\0\x03" + NET_BIND[4:]
            xattrs["security.capability"] = version_3 + (100_000).to_bytes(4, "little")
        uid, gid = values[1]
        found[name] = (values[0], (uid + 100_000, gid + 100_000), *values[2:8], xattrs)
    return found


@pytest.mark.parametrize("source", ["archive", "directory"])
def test_owners_are_shifted(
    source: str, tree: pathlib.Path, path: pathlib.Path, tmp_path: pathlib.Path, converge: Converge
) -> None:
    named = str(tree) if source == "directory" else pack(tree, tmp_path / "a.tar")
    wanted = shifted(facts_of(tree))
    args = {"path": str(path), source: named, "id_map": ID_MAP}
    converge("ns_rootfs", args)
    assert facts_of(path) == wanted
    # Another map makes another root of the same source.
    done = converge("ns_rootfs", {"path": str(path), source: named})
    assert done["changed"]
    assert facts_of(path) == facts_of(tree)


def test_a_program_with_capabilities_has_them_in_its_user_namespace(
    tree: pathlib.Path, path: pathlib.Path, run_module: RunModule
) -> None:
    """The kernel takes the attribute as written, and shows it to the namespace as its own."""
    args = {"path": str(path), "directory": str(tree), "id_map": ID_MAP}
    assert run_module("ns_rootfs", args)["changed"]
    name = "rootfs-shifted"
    try:
        kinds = {"name": name, "kinds": ["user", "mnt"], "id_map": ID_MAP}
        assert run_module("ns_namespace", kinds)["changed"]
        let_everyone_reach(path)
        program = str(path / "bin/ping")
        with Target(namespace=name).open() as handles:
            shown = enter.run_inside(
                lambda: os.getxattr(program, "security.capability"), joins=handles
            )
        assert shown == NET_BIND
    finally:
        run_module("ns_namespace", {"name": name, "state": "absent", "force": True})


@pytest.mark.parametrize("source", ["archive", "directory"])
def test_an_owner_that_the_map_does_not_have_is_refused(
    source: str, tree: pathlib.Path, path: pathlib.Path, tmp_path: pathlib.Path,
    run_module: RunModule,
) -> None:  # fmt: skip
    os.chown(tree / "etc/shadow", 0, 70_000)
    named = str(tree) if source == "directory" else pack(tree, tmp_path / "a.tar")
    args = {"path": str(path), source: named, "id_map": ID_MAP}
    failed(run_module("ns_rootfs", args), "etc/shadow", "gid 70000", "id_map")
    assert os.listdir(path.parent) == []


def test_a_map_is_for_the_host(tree: pathlib.Path, inside: Unshared, run_module: RunModule) -> None:
    args = {"pid": inside.pid, "path": "/mnt", "directory": str(tree), "id_map": ID_MAP}
    failed(run_module("ns_rootfs", args), "id_map is for a root on the host")


def test_device_nodes_can_be_left_out(
    tree: pathlib.Path, path: pathlib.Path, tmp_path: pathlib.Path, converge: Converge
) -> None:
    archive = pack(tree, tmp_path / "a.tar")
    for source in ({"archive": archive}, {"directory": str(tree)}):
        converge("ns_rootfs", {"path": str(path), "device_nodes": "skip", **source})
        assert os.listdir(path / "dev") == ["pipe"]


# Each of them has the packages fetched, so they are few.


def test_a_bootstrap(path: pathlib.Path, converge: Converge, run_module: RunModule) -> None:
    before = pathlib.Path("/proc/self/mountinfo").read_text()
    done = converge("ns_rootfs", {"path": str(path), "bootstrap": SMALL})
    assert done["actions"] == [f"make Debian bookworm with base-files to {path}"]
    assert (path / "etc/debian_version").exists()
    assert path.stat().st_mode & 0o7777 == 0o755
    assert pathlib.Path("/proc/self/mountinfo").read_text() == before
    assert os.listdir(path.parent) == ["root"]
    same = {**SMALL, "packages": ["base-files", "base-files"], "components": []}
    assert run_module("ns_rootfs", {"path": str(path), "bootstrap": same})["changed"] is False
    other = {**SMALL, "mirror": "http://127.0.0.1:1/debian"}
    changed = run_module("ns_rootfs", {"path": str(path), "bootstrap": other}, check=True)
    assert changed["changed"]
    result = run_module("ns_rootfs", {"path": str(path), "bootstrap": other})
    failed(result, "could not make Debian bookworm with base-files: Failed to fetch")
    assert result["output"]
    assert (path / "etc/debian_version").exists()
    assert os.listdir(path.parent) == ["root"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"suite": "--help"}, ["'--help'", "suite of bootstrap"]),
        ({"packages": ["nginx;reboot"]}, ["packages of bootstrap"]),
        ({"packages": ["a,b"]}, ["packages of bootstrap"]),
        ({"mirror": "--dry-run"}, ["mirror of bootstrap"]),
        ({"variant": "../x"}, ["variant of bootstrap"]),
        ({"components": ["-x"]}, ["components of bootstrap"]),
    ],
)
def test_words_that_are_none_are_refused(
    changes: Result, words: list[str], path: pathlib.Path, run_module: RunModule
) -> None:
    args = {"path": str(path), "bootstrap": {**SMALL, **changes}}
    failed(run_module("ns_rootfs", args), *words)


def test_a_killed_bootstrap_leaves_nothing_running_and_nothing_mounted(
    path: pathlib.Path, run_module: RunModule
) -> None:
    before = pathlib.Path("/proc/self/mountinfo").read_text()
    process = module_process({"path": str(path), "bootstrap": SMALL})
    work = path.parent / ".root.new"

    def is_at_work() -> bool:
        return (work / "root/var/lib/apt/lists").is_dir()

    assert wait_until(is_at_work, seconds=30)
    time.sleep(1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    assert wait_until(lambda: not _processes_of("mmdebstrap", str(path)))
    assert pathlib.Path("/proc/self/mountinfo").read_text() == before
    assert not path.exists()
    gone = run_module("ns_rootfs", {"path": str(path), "state": "absent"})
    assert gone["changed"], gone
    assert os.listdir(path.parent) == []


def _processes_of(*words: str) -> list[str]:
    found = []
    for line in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            text = line.read_bytes().decode("utf-8", "replace")
            if all(word in text for word in words):
                found.append(text)
    return found


def test_a_bootstrap_inside_a_named_namespace(run_module: RunModule) -> None:
    """Its archive is kept, so that it is there again after a reboot without a mirror."""
    name = "rootfs-made"
    try:
        assert run_module("ns_namespace", {"name": name, "kinds": ["mnt"]})["changed"]
        mount = {"namespace": name, "path": "/mnt", "src": "tmpfs", "fstype": "tmpfs"}
        assert run_module("ns_mount", mount)["changed"]
        args = {"namespace": name, "path": "/mnt", "bootstrap": SMALL}
        done = run_module("ns_rootfs", args)
        assert done["changed"], done
        record = json.loads(pathlib.Path(f"/etc/linux-namespaces/{name}.json").read_text())
        (step,) = [step for step in record["steps"] if step["do"] == "unpack"]
        archive = pathlib.Path(step["archive"])
        assert archive.parent == pathlib.Path("/var/cache/linux-namespaces")
        assert step["digest"] == done["digest"]
        assert os.stat(archive.parent).st_mode & 0o777 == 0o700
        assert run_module("ns_rootfs", args)["changed"] is False
        assert run_module("ns_rootfs", {**args, "bootstrap": None, "state": "absent"})["changed"]
        assert not archive.exists()
    finally:
        run_module("ns_namespace", {"name": name, "state": "absent", "force": True})
