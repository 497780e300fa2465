# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_rootfs on the host: what is unpacked and kept of an archive, and what is refused."""

from __future__ import annotations

import os
import pathlib
import shutil
import stat
import subprocess

import pytest
from reach import let_everyone_reach
from results import Converge, Result, RunModule
from trees import (
    COMPRESSIONS,
    Roots,
    archives,
    digest_of,
    facts_of,
    failed,
    make_tree,
    pack,
    roots,
)

# What no older kernel has.
OLDER_KERNELS = {"newest": {}, "no renameat2": {"LINUX_NAMESPACES_ABSENT_CALLS": "renameat2"}}
__all__ = ["archives", "roots"]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_everything_is_kept(compression: str, tmp_path: pathlib.Path, converge: Converge) -> None:
    tree = make_tree(tmp_path / "tree")
    archive = pack(tree, tmp_path / f"a.tar{compression}", program=COMPRESSIONS[compression])
    path = tmp_path / "root"
    done = converge("ns_rootfs", {"path": str(path), "archive": archive})
    assert done["actions"] == [f"unpack {archive} to {path}"]
    assert done["digest"] == digest_of(archive)
    assert facts_of(path) == facts_of(tree)


def test_it_is_what_tar_makes_by_hand(tmp_path: pathlib.Path, run_module: RunModule) -> None:
    archive = pack(make_tree(tmp_path / "tree"), tmp_path / "a.tar")
    by_hand = tmp_path / "by-hand"
    by_hand.mkdir()
    words = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "--same-owner", "-p"]
    subprocess.run(["tar", "-x", *words, "-C", by_hand, "-f", archive], check=True)
    assert run_module("ns_rootfs", {"path": str(tmp_path / "root"), "archive": archive})["changed"]
    assert facts_of(tmp_path / "root") == facts_of(by_hand)


def test_entries_without_their_directories_and_names_that_come_twice(
    tmp_path: pathlib.Path, converge: Converge
) -> None:
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/b/file").write_text("old")
    archive = tmp_path / "a.tar"
    subprocess.run(["tar", "-cf", archive, "-C", tree, "a/b/file"], check=True)
    (tree / "a/b/file").write_text("new")
    subprocess.run(["tar", "-rf", archive, "-C", tree, "a/b/file"], check=True)
    path = tmp_path / "root"
    converge("ns_rootfs", {"path": str(path), "archive": str(archive)})
    assert (path / "a/b/file").read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_what_the_directory_above_hands_down_is_not_taken(roots: Roots, converge: Converge) -> None:
    """A setgid directory hands down its group."""
    os.chown(roots.top, 0, 55)
    os.chmod(roots.top, 0o2755)
    converge("ns_rootfs", {"path": str(roots.path), "archive": roots.first})
    assert (roots.path / "version").stat().st_gid == 0
    assert stat.S_IMODE((roots.path / "etc").stat().st_mode) == 0o755


def test_directories_above_are_made(roots: Roots, converge: Converge) -> None:
    path = roots.top / "a/b/root"
    converge("ns_rootfs", {"path": str(path), "archive": roots.first})
    assert (path / "version").read_text() == "first"


def test_an_unchanged_archive_is_not_read(
    roots: Roots, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    """Its digest is that of the marker, whatever that is."""
    archive = tmp_path / "a.tar"
    shutil.copy(roots.first, archive)
    args = {"path": str(roots.path), "archive": str(archive)}
    assert run_module("ns_rootfs", args)["changed"]
    marker = os.getxattr(roots.path, "trusted.linux_namespaces.digest")
    os.setxattr(roots.path, "trusted.linux_namespaces.digest", b"sha256:" + b"0" * 64)
    assert run_module("ns_rootfs", args)["digest"] == "sha256:" + "0" * 64
    os.setxattr(roots.path, "trusted.linux_namespaces.digest", marker)
    os.utime(archive)
    assert run_module("ns_rootfs", args)["digest"] == marker.decode()


def test_a_touched_archive_is_no_change_and_a_changed_one_is(
    roots: Roots, tmp_path: pathlib.Path, run_module: RunModule, converge: Converge
) -> None:
    archive = shutil.copy(roots.first, str(tmp_path / "a.tar"))
    args = {"path": str(roots.path), "archive": archive}
    converge("ns_rootfs", args)
    os.utime(archive)
    inode = roots.path.stat().st_ino
    assert run_module("ns_rootfs", args)["changed"] is False
    assert roots.path.stat().st_ino == inode
    shutil.copy(roots.second, archive)
    done = converge("ns_rootfs", args)
    assert done["actions"][1:] == [f"remove the old root of {roots.path}"]
    assert roots.content() == "second"
    assert roots.beside() == ["root"]


def test_the_digest_pins(roots: Roots, run_module: RunModule, converge: Converge) -> None:
    args = {"path": str(roots.path), "archive": roots.first}
    wrong = run_module("ns_rootfs", {**args, "digest": digest_of(roots.second)})
    failed(wrong, digest_of(roots.first), "not the one asked for")
    assert roots.beside() == []
    converge("ns_rootfs", {**args, "digest": digest_of(roots.first).upper().replace("SHA", "sha")})
    wrong = run_module("ns_rootfs", {**args, "digest": digest_of(roots.second)})
    failed(wrong, "not the one asked for")
    assert roots.content() == "first"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"digest": "md5:1"}, ["digest must be sha256:"]),
        ({"path": "relative"}, ["absolute path"]),
        ({"path": "/"}, ["must not be / itself"]),
        ({"path": "/srv/../etc"}, ["'..'"]),
        ({"size_limit": "much"}, ["size_limit"]),
        ({"size_limit": "0"}, ["more than nothing"]),
        ({"archive": "/missing.tar"}, ["No such file", "copy it there"]),
        ({"archive": "/etc"}, ["is not a file"]),
        ({"archive": "a.tar"}, ["absolute path"]),
        ({"persistent": True}, ["cannot be persistent"]),
        ({"bootstrap": {"suite": "x"}}, ["mutually exclusive"]),
        ({"namespace": "missing"}, ["there is no namespace"]),
    ],
)
def test_bad_arguments_are_refused(
    args: Result, words: list[str], roots: Roots, run_module: RunModule
) -> None:
    args = {"path": str(roots.path), "archive": roots.first, **args}
    result = run_module("ns_rootfs", args)
    failed(result)
    for word in words:
        assert word.lower() in result["msg"].lower()
    assert roots.beside() == []


def test_check_mode_waits_for_an_archive_that_is_to_come(
    roots: Roots, run_module: RunModule
) -> None:
    args = {"path": str(roots.path), "archive": str(roots.top / "to-come.tar")}
    assert run_module("ns_rootfs", args, check=True)["changed"]


def test_a_directory_of_others_is_refused_unless_forced(
    roots: Roots, run_module: RunModule, converge: Converge
) -> None:
    roots.path.mkdir()
    (roots.path / "precious").write_text("data")
    args: Result = {"path": str(roots.path), "archive": roots.first}
    for extra in ({}, {"state": "absent", "archive": None}):
        result = run_module("ns_rootfs", {**args, **extra})
        failed(result, "not made by linux.namespaces.ns_rootfs", "force")
        assert os.listdir(roots.path) == ["precious"]
    converge("ns_rootfs", {**args, "force": True})
    assert not (roots.path / "precious").exists()


def test_an_empty_directory_is_filled(roots: Roots, converge: Converge) -> None:
    roots.path.mkdir()
    converge("ns_rootfs", {"path": str(roots.path), "archive": roots.first})
    assert roots.content() == "first"


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_directory_is_refused(kind: str, roots: Roots, run_module: RunModule) -> None:
    if kind == "file":
        roots.path.write_text("")
    else:
        roots.path.symlink_to("/")
    for args in ({"archive": roots.first}, {"state": "absent"}):
        result = run_module("ns_rootfs", {"path": str(roots.path), "force": True, **args})
        failed(result, "is no directory")


@pytest.mark.parametrize("kernel", OLDER_KERNELS)
def test_a_root_is_replaced(kernel: str, roots: Roots, converge: Converge) -> None:
    env = OLDER_KERNELS[kernel]
    converge("ns_rootfs", {"path": str(roots.path), "archive": roots.first}, env=env)
    converge("ns_rootfs", {"path": str(roots.path), "archive": roots.second}, env=env)
    assert roots.content() == "second"
    assert roots.beside() == ["root"]


def test_absent_removes_it(roots: Roots, run_module: RunModule, converge: Converge) -> None:
    converge("ns_rootfs", {"path": str(roots.path), "archive": roots.first})
    converge("ns_rootfs", {"path": str(roots.path), "state": "absent"})
    assert roots.beside() == []
    result = run_module("ns_rootfs", {"path": str(roots.top / "a/b"), "state": "absent"})
    assert result["changed"] is False


def test_a_plain_user_is_told_to_be_root(
    roots: Roots, run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    shutil.copy(roots.first, tmp_path / "a.tar")
    let_everyone_reach(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    args = {"path": str(home / "root"), "archive": str(tmp_path / "a.tar")}
    failed(run_module("ns_rootfs", args, user=65534), "takes root", "become: true")
    assert os.listdir(home) == []


def test_a_missing_program_is_named_with_its_package(
    roots: Roots, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    archive = tmp_path / "a.tar.zst"
    archive.write_bytes(
        subprocess.run(["zstd", "-c", roots.first], check=True, capture_output=True).stdout
    )
    env = {"PATH": str(tmp_path)}
    args: Result = {"path": str(roots.path), "archive": str(archive)}
    failed(run_module("ns_rootfs", args, env=env), "zstd", "Debian package zstd")
    args = {"path": str(roots.path), "bootstrap": {"suite": "bookworm"}}
    failed(run_module("ns_rootfs", args, env=env), "Debian package mmdebstrap")
    assert roots.beside() == []


@pytest.mark.parametrize("compression", [".gz", ".xz", ".bz2"])
def test_python_reads_what_no_program_is_there_for(
    compression: str, roots: Roots, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    archive = tmp_path / "a.tar"
    command = [*COMPRESSIONS[compression], "-c", roots.first]
    archive.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    args = {"path": str(roots.path), "archive": str(archive)}
    result = run_module("ns_rootfs", args, env={"PATH": str(tmp_path)})
    assert result["changed"], result
    assert roots.content() == "first"


def test_progress_is_told_with_v(
    roots: Roots, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "zeros").write_bytes(bytes(70_000_000))
    archive = tmp_path / "a.tar"
    subprocess.run(["tar", "-cf", archive, "-C", tree, "."], check=True)
    args = {"path": str(roots.path), "archive": str(archive)}
    assert run_module("ns_rootfs", {**args, "_ansible_verbosity": 1})["progress"]
