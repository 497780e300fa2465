# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_pivot_root: what killed runs leave is completed."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from host_state import host_state
from module_server import KILL_AT
from pivots import Web, make_directory, mounted, new_root, root_of, web, with_tmpfs
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


KILL = "LINUX_NAMESPACES_KILL_BEFORE"


def kept_old_root(
    converge: Converge, name: str, new_root: pathlib.Path
) -> tuple[dict[str, t.Any], str]:
    """Pivot with the old root kept; the same pivot without it, and where it is."""
    with_tmpfs(converge, name, new_root)
    make_directory(name, f"{new_root}/old")
    make_directory(name, f"{new_root}/older")
    pivot = {"namespace": name, "new_root": str(new_root)}
    converge("ns_pivot_root", {**pivot, "put_old": f"{new_root}/old"})
    return pivot, "/old"


def mount_own(name: str, path: str) -> None:
    """Mount a file system of the user's own inside, with something in it."""

    def mount() -> None:
        mounts.mount("own", path, fstype="tmpfs")
        pathlib.Path(path, "precious").touch()

    inside(name, mount, ["mnt"])


def own_is_there(name: str, path: str) -> bool:
    return "precious" in inside(name, lambda: os.listdir(path), ["mnt"])


@pytest.mark.parametrize("wanted", ["detached", "moved"])
def test_what_is_mounted_at_the_place_of_the_old_root_since_stays(
    wanted: str, converge: Converge, run_module: RunModule, web: Web, new_root: pathlib.Path
) -> None:
    """A run that was killed after its change had the next one take the user's own for the old root."""
    name = web()
    pivot, place = kept_old_root(converge, name, new_root)
    if wanted == "moved":
        pivot["put_old"] = f"{new_root}/older"
    with pytest.raises(AssertionError, match="status -9"):
        run_module("ns_pivot_root", pivot, env={KILL: "record the pivot"})
    mount_own(name, place)
    done = run_module("ns_pivot_root", pivot)
    assert done["actions"] == [f"record the pivot to {new_root}"]
    assert own_is_there(name, place)
    assert converge("ns_pivot_root", pivot)["changed"] is False
    assert ("usr" in inside(name, lambda: os.listdir("/older"), ["mnt"])) == (wanted == "moved")


@pytest.mark.parametrize("option", [{}, {"put_old": "older"}])
def test_an_old_root_beneath_the_users_own_is_said_to_be_there(
    option: dict[str, str],
    converge: Converge,
    run_module: RunModule,
    web: Web,
    new_root: pathlib.Path,
) -> None:
    name = web()
    pivot, place = kept_old_root(converge, name, new_root)
    wanted = {**pivot, **{key: f"{new_root}/{value}" for key, value in option.items()}}
    mount_own(name, place)
    failed = run_module("ns_pivot_root", wanted)
    assert f"beneath what was mounted on {place} since" in failed["reason"]
    assert own_is_there(name, place)
    inside(name, lambda: mounts.umount(place), ["mnt"])
    assert run_module("ns_pivot_root", wanted)["changed"]
    assert converge("ns_pivot_root", wanted)["changed"] is False


@pytest.mark.parametrize("covered", [False, True])
def test_a_note_of_an_earlier_version(
    covered: bool, converge: Converge, run_module: RunModule, web: Web, new_root: pathlib.Path
) -> None:
    """It does not say what the root was: only what shows the root of the host is taken for it."""
    name = web()
    pivot, place = kept_old_root(converge, name, new_root)
    path = pathlib.Path(host_paths.directory(name), "state.json")
    state = json.loads(path.read_text())
    assert state["pivoted"][0].pop("old")
    path.write_text(json.dumps(state))
    if covered:
        mount_own(name, place)
        failed = run_module("ns_pivot_root", pivot)
        assert "nothing tells whether" in failed["reason"]
        assert own_is_there(name, place)
        inside(name, lambda: mounts.umount(place), ["mnt"])
    assert run_module("ns_pivot_root", pivot)["actions"][0] == f"detach the old root from {place}"
    assert mounted(name) == {"/": "tmpfs"}


def test_what_covers_the_new_root_and_is_not_what_was_the_root_stays(
    converge: Converge, run_module: RunModule, web: Web, new_root: pathlib.Path
) -> None:
    name = web()
    with_tmpfs(converge, name, new_root)
    make_directory(name, f"{new_root}/old")
    half_pivoted(name, new_root)
    state = pathlib.Path(host_paths.directory(name), "state.json")
    noted = json.loads(state.read_text())
    noted["pivoted"][0]["old"] = "1 1 0:0 /"  # another mount was the root
    state.write_text(json.dumps(noted))
    assert run_module("ns_mount_info", {"namespace": name})["mounts"]
    assert "usr" in root_of(name)


def test_killed_at_any_instant_with_the_users_own_at_the_place_since(
    converge: Converge, run_module: RunModule, web: Web, new_root: pathlib.Path
) -> None:
    """Either it is said to lie on the old root, or it is all that is there."""
    name = web()
    pivot, place = kept_old_root(converge, name, new_root)
    predicted = run_module("ns_pivot_root", pivot, check=True)
    assert predicted["actions"][0] == f"detach the old root from {place}"
    kept_again = {**pivot, "put_old": f"{new_root}/old"}
    assert run_module("ns_pivot_root", kept_again)["actions"] == []
    number, outcomes = 1, []
    while True:
        before = inside(name, lambda: sorted(os.listdir(place)), ["mnt"])
        killed = False
        try:
            run_module("ns_pivot_root", pivot, env={KILL_AT: str(number)})
        except AssertionError as error:
            assert "status -9" in str(error)
            killed = True
        mount_own(name, place)
        done = run_module("ns_pivot_root", pivot)
        assert own_is_there(name, place), number
        if done.get("failed"):
            assert "beneath what was mounted" in done["reason"]
            assert before
        outcomes.append(bool(done.get("failed")))
        inside(name, lambda: mounts.umount(place), ["mnt"])
        if not killed or not outcomes[-1]:
            break
        number += 1
    assert run_module("ns_pivot_root", pivot)["changed"] is False
    assert mounted(name) == {"/": "tmpfs"}
    assert len(outcomes) > 2, outcomes
