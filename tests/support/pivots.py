# SPDX-License-Identifier: GPL-3.0-or-later
"""A named namespace, the place of its new root, and what is inside after the pivot."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from host_state import host_state
from processes_inside import inside, mounts_inside
from results import Converge, Result, RunModule

NewName = t.Callable[[], str]
Web = t.Callable[..., str]


@pytest.fixture
def web(run_module: RunModule, new_name: NewName) -> Web:
    """A named namespace with a mount namespace, and what else is asked for; its name."""

    def make(**options: t.Any) -> str:
        name = new_name()
        done = run_module("ns_namespace", {"name": name, "kinds": ["mnt"], **options})
        assert not done.get("failed"), done
        return name

    return make


@pytest.fixture
def new_root(tmp_path: pathlib.Path) -> pathlib.Path:
    """The mount point of what is to become the root."""
    path = tmp_path / "root"
    path.mkdir()
    return path


def refused(run_module: RunModule, args: dict[str, t.Any]) -> Result:
    """The failure of a task that changes nothing, in check mode neither."""
    before = host_state()
    results = [run_module("ns_pivot_root", args, check=check) for check in (True, False)]
    assert host_state() == before
    for result in results:
        assert result["failed"], result
        assert "defect" not in result["msg"]
        assert result["reason"][1:] in result["msg"]
        assert result["hint"] in result["msg"]
    assert results[0]["reason"] == results[1]["reason"]
    return results[1]


def root_of(name: str) -> list[str]:
    return sorted(inside(name, lambda: os.listdir("/"), ["mnt"]))


def mounted(name: str) -> dict[str, str]:
    """The types of the file systems inside, by the path they are mounted on."""
    return {mount.path: mount.fstype for mount in mounts_inside(name)}


def make_directory(name: str, path: str) -> None:
    inside(name, lambda: os.makedirs(path), ["mnt"])


def with_tmpfs(converge: Converge, name: str, path: pathlib.Path, **options: t.Any) -> None:
    mount = {"namespace": name, "path": str(path), "src": "root", "fstype": "tmpfs", **options}
    converge("ns_mount", mount)
