# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_pivot_root: what killed runs leave is completed."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from host_state import host_state
from pivots import Web, mounted, new_root, root_of, web, with_tmpfs
from processes_inside import inside
from results import Converge, RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import files, mounts

__all__ = ["new_root", "web"]


def half_pivoted(name: str, new_root: pathlib.Path) -> None:
    """Do what a run does that is killed between its two system calls: note and pivot."""
    state = pathlib.Path(host_paths.directory(name), "state.json")

    def look() -> dict[str, t.Any]:
        fd = os.open(new_root, os.O_PATH)
        listed = files.place_of(fd).mount_id
        return {"new_root": str(new_root), "mount": files.unique_mount_id(fd), "listed": listed}

    noted = json.loads(state.read_text())
    noted["pivoted"] = [inside(name, look, ["mnt"])]
    state.write_text(json.dumps(noted))

    def pivot() -> None:
        os.chdir(new_root)
        mounts.pivot_root(".", ".")

    inside(name, pivot, ["mnt"])


@pytest.mark.parametrize("next_task", ["pivot", "mount", "namespace", "info"])
def test_half_a_pivot_is_completed(
    next_task: str,
    converge: Converge,
    run_module: RunModule,
    web: Web,
    new_root: pathlib.Path,
) -> None:
    name = web(propagation="slave")
    with_tmpfs(converge, name, new_root)
    table = host_state()["mounts"]
    half_pivoted(name, new_root)
    assert "usr" in root_of(name)  # the old root, which covers the new one
    pivot = {"namespace": name, "new_root": str(new_root)}
    if next_task == "mount":
        mount = {"namespace": name, "path": str(new_root), "src": "root", "fstype": "tmpfs"}
        assert run_module("ns_mount", mount)["actions"] == []
    elif next_task == "namespace":
        facts = run_module("ns_namespace", {"name": name, "propagation": "slave"})["namespace"]
        assert facts["root"] == str(new_root)
    elif next_task == "info":
        assert len(run_module("ns_mount_info", {"namespace": name})["mounts"]) == 1
    done = run_module("ns_pivot_root", pivot)
    assert done["actions"] == [f"record the pivot to {new_root}"]
    assert root_of(name) == []
    assert mounted(name) == {"/": "tmpfs"}
    assert converge("ns_pivot_root", pivot)["changed"] is False
    assert host_state()["mounts"] == table


def test_a_note_that_came_to_nothing(
    converge: Converge, run_module: RunModule, web: Web, new_root: pathlib.Path
) -> None:
    name = web()
    with_tmpfs(converge, name, new_root)
    pivot = {"namespace": name, "new_root": str(new_root)}
    killed = {"LINUX_NAMESPACES_KILL_BEFORE": "pivot to"}
    with pytest.raises(AssertionError, match="status -9"):
        run_module("ns_pivot_root", pivot, env=killed)
    noted = json.loads(pathlib.Path(host_paths.directory(name), "state.json").read_text())[
        "pivoted"
    ]
    assert [note["new_root"] for note in noted] == [str(new_root)]
    assert run_module("ns_namespace", {"name": name})["namespace"]["root"] == "/"
    assert "usr" in root_of(name)
    converge("ns_pivot_root", pivot)
    assert root_of(name) == []
