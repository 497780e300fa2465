# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_pivot_root: nothing of the host changes, and each way to be refused."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from host_state import host_state
from pivots import Web, make_directory, mounted, new_root, refused, root_of, web, with_tmpfs
from processes_inside import inside
from results import Converge, Result, RunModule

__all__ = ["new_root", "web"]


# --- nothing of the host


def test_letting_go_does_not_reach_the_host(
    converge: Converge, run_module: RunModule, web: Web
) -> None:
    """An unmount below a mount that the host shares would unmount the host's as well."""
    name = web(propagation="unchanged")
    table = host_state()["mounts"]
    assert any(" - cgroup" in line or " - devpts" in line for line in table)
    failure = refused(run_module, {"namespace": name, "new_root": "/proc"})
    assert "new_root is a shared mount: /proc" in failure["reason"]
    private = {"namespace": name, "path": "/", "state": "remounted", "propagation": "private"}
    converge("ns_mount", private)
    with_tmpfs(converge, name, pathlib.Path("/mnt"))
    converge("ns_pivot_root", {"namespace": name, "new_root": "/mnt"})
    assert mounted(name) == {"/": "tmpfs"}
    assert host_state()["mounts"] == table
    kept = web(propagation="unchanged")
    table = host_state()["mounts"]
    converge("ns_mount", {**private, "namespace": kept})
    with_tmpfs(converge, kept, pathlib.Path("/mnt"))
    make_directory(kept, "/mnt/old")
    pivot = {"namespace": kept, "new_root": "/mnt"}
    converge("ns_pivot_root", {**pivot, "put_old": "/mnt/old"})
    converge("ns_pivot_root", pivot)
    assert mounted(kept) == {"/": "tmpfs"}
    assert host_state()["mounts"] == table


def test_a_hostile_root(
    converge: Converge, web: Web, new_root: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Links in the new root lead nowhere outside of it, whatever they are called."""
    lower = tmp_path / "hostile"
    lower.mkdir()
    for link in ("proc", "dev", "sys", "old"):
        (lower / link).symlink_to(f"{tmp_path}/canary")
    canary = tmp_path / "canary"
    canary.mkdir()
    name = web()
    bind = {"namespace": name, "path": str(new_root), "src": str(lower), "opts": "bind"}
    converge("ns_mount", bind)
    converge("ns_pivot_root", {"namespace": name, "new_root": str(new_root)})
    assert root_of(name) == ["dev", "old", "proc", "sys"]
    assert list(mounted(name)) == ["/"]
    assert list(canary.iterdir()) == []


# --- refused


def test_new_roots_that_cannot_be(
    run_module: RunModule, converge: Converge, web: Web, new_root: pathlib.Path
) -> None:
    name = web()
    (new_root / "file").touch()

    def failure_of(path: t.Any, **options: t.Any) -> Result:
        return refused(run_module, {"namespace": name, "new_root": str(path), **options})

    # EBUSY: on the mount of the root, as /tmp need not be
    failure = failure_of("/usr")
    assert "lies on the current root mount and is not a mount point of its own" in failure["reason"]
    assert (failure["syscall"], failure["errno"]) == ("pivot_root", "EBUSY")
    assert "Mount something on /usr first" in failure["hint"]
    # ENOENT, ENOTDIR
    assert "does not exist" in failure_of(new_root / "none")["reason"]
    assert failure_of(new_root / "none")["errno"] == "ENOENT"
    failure = failure_of(new_root / "file")
    assert "is not a directory" in failure["reason"]
    assert failure["errno"] == "ENOTDIR"
    # EINVAL: no mount point, but on another mount than the root
    with_tmpfs(converge, name, new_root)
    make_directory(name, f"{new_root}/inner")
    failure = failure_of(f"{new_root}/inner")
    assert "is not a mount point" in failure["reason"]
    assert failure["errno"] == "EINVAL"
    # EINVAL: it, or what it is mounted on, is shared
    with_tmpfs(converge, name, new_root / "inner")
    shared = {"namespace": name, "state": "remounted", "propagation": "shared"}
    private = {**shared, "propagation": "private"}
    converge("ns_mount", {**shared, "path": f"{new_root}/inner"})
    failure = failure_of(f"{new_root}/inner")
    assert f"new_root is a shared mount: {new_root}/inner" in failure["reason"]
    assert f"path={new_root}/inner state=remounted propagation=private" in failure["hint"]
    converge("ns_mount", {**private, "path": f"{new_root}/inner"})
    converge("ns_mount", {**shared, "path": str(new_root)})
    failure = failure_of(f"{new_root}/inner")
    assert f"what new_root is mounted on is a shared mount: {new_root}" in failure["reason"]
    # That the current root is shared is all the same: only what it is mounted on matters.
    converge("ns_mount", {**private, "path": str(new_root)})
    converge("ns_mount", {**shared, "path": "/"})
    assert not run_module(
        "ns_pivot_root", {"namespace": name, "new_root": f"{new_root}/inner"}, check=True
    ).get("failed")


def test_places_for_the_old_root_that_cannot_be(
    run_module: RunModule, converge: Converge, web: Web, new_root: pathlib.Path
) -> None:
    name = web()
    with_tmpfs(converge, name, new_root)
    inside(name, lambda: pathlib.Path(new_root, "file").touch(), ["mnt"])

    def failure_of(put_old: t.Any) -> Result:
        pivot = {"namespace": name, "new_root": str(new_root), "put_old": str(put_old)}
        return refused(run_module, pivot)

    for outside in ("/mnt", new_root, f"{new_root}2"):
        assert "does not lie below new_root" in failure_of(outside)["reason"]
    failure = failure_of(new_root / "none")
    assert "does not exist" in failure["reason"]
    assert failure["errno"] == "ENOENT"
    failure = failure_of(new_root / "file")
    assert "is not a directory" in failure["reason"]
    assert failure["errno"] == "ENOTDIR"
    with_tmpfs(converge, name, new_root / "shared", opts="X-mount.mkdir", propagation="shared")
    failure = failure_of(new_root / "shared")
    assert f"put_old is a shared mount: {new_root}/shared" in failure["reason"]
    assert failure["errno"] == "EINVAL"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"namespace": None, "new_root": "/mnt"}, "does not change the root of the host"),
        ({"new_root": "/"}, "new_root is / already"),
        ({"new_root": "mnt"}, "must be an absolute path"),
        ({"new_root": "/mnt/../mnt"}, "must not hold '..'"),
        ({"new_root": "/mnt", "put_old": "old"}, "must be an absolute path"),
        ({"namespace": "no-such-namespace", "new_root": "/mnt"}, "there is no namespace"),
        ({"namespace": None, "pid": 1, "new_root": "/mnt", "persistent": True}, "persistent"),
        ({"namespace": None, "pid": 2**22, "new_root": "/mnt"}, "there is no process"),
        (
            {"namespace": None, "namespace_path": "/proc/self/ns/net", "new_root": "/mnt"},
            "has no mnt namespace",
        ),
        ({"pid": 1, "new_root": "/mnt"}, "mutually exclusive"),
        ({"namespace": None, "pid": os.getpid(), "new_root": "/run"}, "the host's own mount"),
        (
            {"namespace": None, "namespace_path": "/proc/self/ns/mnt", "new_root": "/run"},
            "the host's own mount",
        ),
    ],
)
def test_bad_input_is_refused(
    options: dict[str, t.Any], reason: str, run_module: RunModule, web: Web
) -> None:
    args = {"namespace": web(), **options}
    before = host_state()
    failure = run_module("ns_pivot_root", {key: args[key] for key in args if args[key] is not None})
    assert failure["failed"]
    assert reason in failure.get("reason", failure["msg"])
    assert host_state() == before


def test_a_namespace_without_mnt_is_refused(run_module: RunModule, web: Web) -> None:
    failure = refused(run_module, {"namespace": web(kinds=["uts"]), "new_root": "/mnt"})
    assert "has no mnt namespace (it has: uts)" in failure["reason"]
