# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_rootfs inside namespaces: on a tmpfs that only exists there, before and after a pivot."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pathlib
import shutil
import subprocess
import typing as t

import pytest
from results import Converge, Result, RunModule
from trees import facts_of, failed, make_tree, pack
from unshared_process import Unshared, UnsharedProcess


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    made = []
    for version in ("first", "second"):
        top = tmp_path_factory.mktemp(version)
        tree = make_tree(top / "tree")
        (tree / "dev/null").unlink()
        (tree / "version").write_text(version)
        made.append(pack(tree, top / f"{version}.tar"))
    return made[0], made[1]


@pytest.fixture
def inside(unshared_process: UnsharedProcess) -> Unshared:
    process = unshared_process()
    process.run("mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", "/mnt")
    return process


def test_the_tutorials_tmpfs(
    inside: Unshared, archives: tuple[str, str], converge: Converge
) -> None:
    args = {"pid": inside.pid, "path": "/mnt"}
    first, second = archives
    done = converge("ns_rootfs", {**args, "archive": first})
    assert done["actions"] == [f"unpack {first} to /mnt"]
    assert inside.run("cat", "/mnt/version") == "first"
    assert "version" not in os.listdir("/mnt")
    tree = pathlib.Path(first).parent / "tree"
    shown, wanted = facts_of(pathlib.Path(f"/proc/{inside.pid}/root/mnt")), facts_of(tree)
    for facts in (shown, wanted):  # a tmpfs takes other numbers of blocks
        for path, values in facts.items():
            facts[path] = (*values[:4], *values[5:])
    assert shown == wanted
    done = converge("ns_rootfs", {**args, "archive": second})
    assert done["actions"] == [f"unpack {second} to /mnt"]
    assert inside.run("cat", "/mnt/version") == "second"
    converge("ns_rootfs", {**args, "state": "absent"})
    assert inside.run("ls", "-A", "/mnt") == ""


def test_a_directory_on_it(inside: Unshared, archives: tuple[str, str], converge: Converge) -> None:
    args = {"pid": inside.pid, "path": "/mnt/srv/root"}
    for archive in archives:
        converge("ns_rootfs", {**args, "archive": archive})
    assert inside.run("cat", "/mnt/srv/root/version") == "second"
    assert inside.run("ls", "-A", "/mnt/srv") == "root\n"
    converge("ns_rootfs", {**args, "state": "absent"})
    assert inside.run("ls", "-A", "/mnt/srv") == ""


def test_by_the_path_of_a_namespace(
    inside: Unshared, archives: tuple[str, str], converge: Converge
) -> None:
    path = f"/proc/{inside.pid}/ns/mnt"
    converge("ns_rootfs", {"namespace_path": path, "path": "/mnt", "archive": archives[0]})
    assert inside.run("cat", "/mnt/version") == "first"


def test_in_a_user_namespace(
    archives: tuple[str, str], run_module: RunModule, converge: Converge
) -> None:
    """Owners are those inside; the marker is one that root of a user namespace may set."""
    name = "rootfs-user"
    ids = [{"inside": 0, "outside": 100_000, "count": 65_536}]
    id_map = {"uid": ids, "gid": ids}
    try:
        kinds = {"name": name, "kinds": ["user", "mnt"], "id_map": id_map}
        created = run_module("ns_namespace", kinds)
        assert not created.get("failed"), created
        mount = {"namespace": name, "path": "/mnt", "src": "tmpfs", "fstype": "tmpfs"}
        assert run_module("ns_mount", mount)["changed"]
        path = f"/run/linux-namespaces/{name}"
        enter = ["nsenter", f"--mount={path}/mnt", f"--user={path}/user"]
        for archive in archives:
            converge("ns_rootfs", {"namespace": name, "path": "/mnt", "archive": archive})
            command = [*enter, "stat", "-c", "%u:%g %a", "/mnt/etc/shadow"]
            shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            assert shown == "0:42 640\n"
    finally:
        run_module("ns_namespace", {"name": name, "state": "absent", "force": True})


def test_on_a_file_system_without_attributes(
    inside: Unshared, archives: tuple[str, str], tmp_path: pathlib.Path, converge: Converge,
    run_module: RunModule,
) -> None:  # fmt: skip
    """As a tmpfs in a user namespace is before Linux 6.6: a file holds the marker."""
    inside.run("mount", "-t", "ramfs", "ramfs", "/mnt")
    args: Result = {"pid": inside.pid, "path": "/mnt", "archive": archives[0]}
    failed(run_module("ns_rootfs", args), "'usr/bin/ping' has file capabilities")
    made = []
    for version in ("first", "second"):
        tree = make_tree(tmp_path / version)
        os.removexattr(tree / "bin/ping", "security.capability")
        (tree / "version").write_text(version)
        made.append(pack(tree, tmp_path / f"{version}.tar"))
    for path in ("/mnt", "/mnt/below/root"):
        args = {"pid": inside.pid, "path": path}
        done = converge("ns_rootfs", {**args, "archive": made[0]})
        assert "user.note' could not be kept" in str(done["warnings"])
        converge("ns_rootfs", {**args, "archive": made[1]})
        assert inside.run("cat", f"{path}/version") == "second"
    gone = run_module("ns_rootfs", {"pid": inside.pid, "path": "/mnt", "state": "absent"})
    assert gone["changed"]
    assert inside.run("ls", "-A", "/mnt") == ""


@pytest.mark.parametrize("path", ["/mnt", "/mnt/root"])
def test_what_is_no_file_in_place_of_the_marker_holds_nothing_up(
    path: str, inside: Unshared, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    """Whoever is root inside may leave a fifo there, which somebody would have to write to."""
    inside.run("mount", "-t", "ramfs", "ramfs", "/mnt")
    inside.run("mkdir", "-p", path)
    inside.run("mkfifo", f"{path}/.linux-namespaces.digest")
    (tmp_path / "tree").mkdir()
    args = {"pid": inside.pid, "path": path, "archive": pack(tmp_path / "tree", tmp_path / "a.tar")}
    done = run_module("ns_rootfs", args)
    assert done["changed"], done
    assert run_module("ns_rootfs", args)["changed"] is False


@pytest.mark.parametrize("step", ["unpack", "put"])
def test_killed_on_a_mount_point_the_next_run_converges(
    step: str, inside: Unshared, archives: tuple[str, str], run_module: RunModule
) -> None:
    args: Result = {"pid": inside.pid, "path": "/mnt", "archive": archives[0]}
    with contextlib.suppress(AssertionError):
        run_module("ns_rootfs", args, env={"LINUX_NAMESPACES_KILL_BEFORE": step})
    assert "version" not in inside.run("ls", "-A", "/mnt")
    assert run_module("ns_rootfs", args)["changed"]
    assert inside.run("cat", "/mnt/version") == "first"
    assert ".linux-namespaces.new" not in inside.run("ls", "-A", "/mnt")


def test_half_moved_up_the_next_run_converges(
    inside: Unshared, archives: tuple[str, str], run_module: RunModule
) -> None:
    """As a run leaves it that is killed while it moves the entries of the new root up."""
    args: Result = {"pid": inside.pid, "path": "/mnt", "archive": archives[0]}
    assert run_module("ns_rootfs", args)["changed"]
    top = pathlib.Path(f"/proc/{inside.pid}/root/mnt")
    hidden = top / ".linux-namespaces.new/root"
    hidden.mkdir(parents=True)
    for name in ("etc", "usr"):
        (top / name).rename(hidden / name)
    for name in os.listxattr(top):
        os.setxattr(hidden, name, os.getxattr(top, name))
        os.removexattr(top, name)
    predicted = run_module("ns_rootfs", args, check=True)
    done = run_module("ns_rootfs", args)
    assert predicted["actions"] == done["actions"] == [f"unpack {archives[0]} to /mnt"]
    assert "half made" in done["diff"]["before"]
    assert inside.run("ls", "-A", "/mnt/etc") == "shadow\n"
    assert not hidden.parent.exists()


def test_a_mount_point_with_something_on_it_is_refused(
    inside: Unshared, archives: tuple[str, str], run_module: RunModule
) -> None:
    inside.run("touch", "/mnt/precious")
    args: Result = {"pid": inside.pid, "path": "/mnt", "archive": archives[0]}
    failed(run_module("ns_rootfs", args), "not made by")
    assert inside.run("ls", "-A", "/mnt") == "precious\n"
    assert run_module("ns_rootfs", {**args, "force": True})["changed"]
    assert "precious" not in inside.run("ls", "-A", "/mnt")


def test_a_mount_point_that_is_too_small(
    inside: Unshared, archives: tuple[str, str], run_module: RunModule
) -> None:
    inside.run("mount", "-o", "remount,size=100k", "/mnt")
    args: Result = {"pid": inside.pid, "path": "/mnt", "archive": archives[0]}
    failed(run_module("ns_rootfs", args), "No space left")
    assert inside.run("ls", "-A", "/mnt") == ""


def test_what_is_mounted_below_is_never_touched(
    inside: Unshared, archives: tuple[str, str], run_module: RunModule
) -> None:
    args: Result = {"pid": inside.pid, "path": "/mnt", "archive": archives[0]}
    assert run_module("ns_rootfs", args)["changed"]
    inside.run("mount", "-t", "tmpfs", "tmpfs", "/mnt/tmp")
    for extra in ({"archive": archives[1]}, {"archive": None, "state": "absent", "force": True}):
        failed(run_module("ns_rootfs", {**args, **extra}), "/mnt/tmp is mounted below it")
    assert run_module("ns_rootfs", args)["changed"] is False


@pytest.fixture
def web(run_module: RunModule) -> t.Iterator[str]:
    """A named namespace with a tmpfs for a root."""
    name = "rootfs-web"
    created = run_module("ns_namespace", {"name": name, "kinds": ["mnt"]})
    assert not created.get("failed"), created
    mount = {"namespace": name, "path": "/mnt", "src": "tmpfs", "fstype": "tmpfs"}
    mounted = run_module("ns_mount", mount)
    assert not mounted.get("failed"), mounted
    yield name
    run_module("ns_namespace", {"name": name, "state": "absent", "force": True})


def recorded(name: str) -> list[Result]:
    record = json.loads(pathlib.Path(f"/etc/linux-namespaces/{name}.json").read_text())
    return [step for step in record["steps"] if step["do"] == "unpack"]


def test_it_is_recorded_in_the_definition(
    web: str, archives: tuple[str, str], run_module: RunModule, converge: Converge
) -> None:
    args: Result = {"namespace": web, "path": "/mnt", "archive": archives[0]}
    done = run_module("ns_rootfs", args)
    assert done["actions"] == [f"unpack {archives[0]} to /mnt", "record the root at /mnt"]
    assert done["persistent"] is True
    step = {"do": "unpack", "path": "/mnt", "archive": archives[0], "digest": done["digest"]}
    assert recorded(web) == [step]
    converge("ns_rootfs", {**args, "persistent": False})
    assert recorded(web) == []
    converge("ns_rootfs", args)
    assert recorded(web) == [step]
    gone = run_module("ns_rootfs", {"namespace": web, "path": "/mnt", "state": "absent"})
    assert gone["actions"] == ["remove the root at /mnt", "forget the root at /mnt"]
    assert recorded(web) == []


def test_the_same_task_after_the_pivot_changes_nothing(
    web: str, archives: tuple[str, str], run_module: RunModule
) -> None:
    args: Result = {"namespace": web, "path": "/mnt", "archive": archives[0]}
    assert run_module("ns_rootfs", args)["changed"]
    pivoted = run_module("ns_pivot_root", {"namespace": web, "new_root": "/mnt"})
    assert not pivoted.get("failed"), pivoted
    again = run_module("ns_rootfs", args)
    assert again["changed"] is False, again
    for extra in ({"archive": archives[1]}, {"archive": None, "state": "absent"}):
        failed(run_module("ns_rootfs", {**args, **extra}), "is the root of namespace", "Remove")


def test_what_reads_a_source_has_no_terminal_of_ours(
    inside: Unshared, archives: tuple[str, str], run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    """It works with what others have made, and would have the caller's through /dev/tty."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("gzip", "tar"):
        tool = tools / name
        tool.write_text(
            f"#!/bin/sh\nps -o sid= -p $$ >{tool}.session\necho $$ >{tool}.pid\n"
            f'exec {shutil.which(name)} "$@"\n'
        )
        tool.chmod(0o755)
    packed = tmp_path / "a.tar.gz"
    packed.write_bytes(gzip.compress(pathlib.Path(archives[0]).read_bytes()))
    env = {"PATH": f"{tools}:{os.environ['PATH']}"}
    for source in ({"archive": str(packed)}, {"directory": str(make_tree(tmp_path / "tree"))}):
        done = run_module("ns_rootfs", {"pid": inside.pid, "path": "/mnt/root", **source}, env=env)
        assert done["changed"], done
    for name in ("gzip", "tar"):
        leader, pid = ((tools / f"{name}.{what}").read_text() for what in ("session", "pid"))
        assert int(leader) == int(pid)
