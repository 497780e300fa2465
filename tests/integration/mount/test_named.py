# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_mount in a named namespace: what is recorded, what that is good for, and two at once."""

from __future__ import annotations

import concurrent.futures
import json
import pathlib
import subprocess
import typing as t

import pytest
from command import Nsctl
from results import Converge, RunModule
from tasks import RunTasks, examples_of

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins

NAME = "test-mount"
RECORD = pathlib.Path(f"/etc/linux-namespaces/{NAME}.json")
STATE = pathlib.Path(f"/run/linux-namespaces/{NAME}/state.json")


@pytest.fixture(params=[True, False], ids=["persistent", "volatile"])
def persistent(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def web(run_module: RunModule) -> t.Iterator[dict[str, t.Any]]:
    """A named namespace; the options that name it."""
    assert run_module("ns_namespace", {"name": NAME})["changed"]
    yield {"namespace": NAME}
    run_module("ns_namespace", {"name": NAME, "state": "absent", "force": True})


def recorded(path: pathlib.Path) -> list[dict[str, t.Any]]:
    return list(json.loads(path.read_text())["steps"])


def mounted_on(path: str) -> list[str]:
    argv = ["nsenter", f"--mount={pins.path(NAME, 'mnt')}", "cat", "/proc/self/mountinfo"]
    table = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return [line for line in table.splitlines() if line.split(" ")[4] == path]


def test_what_is_nested_is_unmounted_together(converge: Converge, web: dict[str, str]) -> None:
    """Where the inner one was is looked at again when the outer one is gone."""
    paths = ["/mnt", "/mnt/a", "/mnt/a/in"]
    tmpfs = {"src": "x", "fstype": "tmpfs", "opts": "X-mount.mkdir"}
    converge("ns_mount", {**web, "mounts": [{"path": path, **tmpfs} for path in paths]})
    gone = [{"path": path, "state": "unmounted"} for path in reversed(paths)]
    done = converge("ns_mount", {**web, "mounts": gone})
    assert done["actions"][:3] == [f"unmount {path}" for path in reversed(paths)]
    assert recorded(RECORD) == []


def test_what_goes_with_a_mount_is_not_recorded_any_more(
    converge: Converge, web: dict[str, str], nsctl: Nsctl
) -> None:
    """After a reboot it would lie on what is beneath."""
    tmpfs = {"src": "x", "fstype": "tmpfs", "opts": "X-mount.mkdir"}
    paths = ["/mnt", "/mnt/a", "/mnt/a/in", "/mnt/b"]
    tree = {**web, "mounts": [{"path": path, **tmpfs} for path in paths]}
    converge("ns_mount", tree)
    done = converge("ns_mount", {**web, "path": "/mnt/a", "state": "unmounted"})
    assert done["actions"] == [
        "unmount /mnt/a",
        "forget the mount on /mnt/a",
        "forget the mount on /mnt/a/in",
    ]
    assert [step["path"] for step in recorded(RECORD)] == ["/mnt", "/mnt/b"]
    converge("ns_mount", tree)
    kept = {"exclusive_below": "/mnt", "mounts": [{"path": path, **tmpfs} for path in paths[:2]]}
    done = converge("ns_mount", {**web, **kept})
    assert sorted(done["actions"]) == [
        "forget the mount on /mnt/a/in",
        "forget the mount on /mnt/b",
        "unmount /mnt/a/in",
        "unmount /mnt/b",
    ]
    assert [step["path"] for step in recorded(RECORD)] == ["/mnt", "/mnt/a"]
    assert nsctl.data("show", NAME)["changes"] == []
    # What is not mounted any more is forgotten as well.
    converge("ns_mount", tree)
    umount = ["nsenter", f"--mount={pins.path(NAME, 'mnt')}", "umount", "/mnt/b"]
    subprocess.run(umount, check=True)
    done = converge("ns_mount", {**web, **kept})
    assert "forget the mount on /mnt/b" in done["actions"]
    assert [step["path"] for step in recorded(RECORD)] == ["/mnt", "/mnt/a"]


def test_a_mount_is_recorded(converge: Converge, web: dict[str, str], persistent: bool) -> None:
    args = {**web, "path": "/mnt", "src": "x", "fstype": "tmpfs", "opts": ["size=1m", "nosuid"]}
    if not persistent:
        args["persistent"] = False
    step = {"do": "mount", "path": "/mnt", "src": "x", "fstype": "tmpfs",
            "opts": ["size=1m", "nosuid"]}  # fmt: skip
    done = converge("ns_mount", args)
    assert done["actions"] == ["mount tmpfs on /mnt", "record the mount on /mnt"]
    assert done["persistent"] is persistent
    expected = ([step], []) if persistent else ([], [step])
    assert (recorded(RECORD), recorded(STATE)) == expected
    # It is changed in its place, and forgotten when it goes.
    done = converge("ns_mount", {**args, "opts": "size=2m"})
    assert done["actions"][-1] == "record the mount on /mnt"
    assert [len(recorded(path)) for path in (RECORD, STATE)] == [len(each) for each in expected]
    done = converge("ns_mount", {**web, "path": "/mnt", "state": "unmounted"})
    assert done["actions"] == ["unmount /mnt", "forget the mount on /mnt"]
    assert (recorded(RECORD), recorded(STATE)) == ([], [])


def test_a_mount_that_somebody_else_made_is_recorded_without_being_touched(
    converge: Converge, web: dict[str, str]
) -> None:
    mnt = pins.path(NAME, "mnt")
    argv = ["nsenter", f"--mount={mnt}", "mount", "-t", "tmpfs", "x", "/mnt"]
    subprocess.run(argv, check=True)
    before = mounted_on("/mnt")
    done = converge("ns_mount", {**web, "path": "/mnt", "src": "x", "fstype": "tmpfs"})
    assert done["actions"] == ["record the mount on /mnt"]
    assert mounted_on("/mnt") == before


def test_a_step_changes_from_one_file_to_the_other(converge: Converge, web: dict[str, str]) -> None:
    args = {**web, "path": "/mnt", "src": "x", "fstype": "tmpfs"}
    converge("ns_mount", args)
    done = converge("ns_mount", {**args, "persistent": False})
    assert done["actions"] == ["record the mount on /mnt"]
    assert (len(recorded(RECORD)), len(recorded(STATE))) == (0, 1)
    converge("ns_mount", args)
    assert (len(recorded(RECORD)), len(recorded(STATE))) == (1, 0)


def test_an_option_that_the_kernel_does_not_show_is_taken_from_the_record(
    converge: Converge, web: dict[str, str], tmp_path: pathlib.Path
) -> None:
    for name in ("lower1", "lower2"):
        (tmp_path / name).mkdir()
    lower = f"lowerdir={tmp_path}/lower1:{tmp_path}/lower2"
    args = {**web, "path": "/mnt", "src": "o", "fstype": "overlay"}
    shown = "uuid=auto"  # the default, of which the mount table says nothing
    converge("ns_mount", {**args, "opts": [lower, shown]})
    (line,) = mounted_on("/mnt")
    assert "uuid" not in line


def test_what_is_in_the_record_is_what_was_asked_for(
    converge: Converge, web: dict[str, str], tmp_path: pathlib.Path
) -> None:
    (tmp_path / "src").mkdir()
    mounts = [
        {"path": "/srv", "src": f"{tmp_path}/src", "opts": "rbind,ro", "propagation": "rslave"},
        {"path": "/mnt", "src": "/srv", "opts": "bind", "src_in": "namespace"},
    ]
    converge("ns_mount", {**web, "mounts": mounts})
    first, second = recorded(RECORD)
    assert (first["opts"], first["propagation"]) == (["rbind", "ro"], "rslave")
    assert "src_in" not in first
    assert second["src_in"] == "namespace"
    # The order is that of the list, and stays.
    converge("ns_mount", {**web, "mounts": list(reversed(mounts))})
    assert [step["path"] for step in recorded(RECORD)] == ["/srv", "/mnt"]


def test_check_mode_before_the_namespace_is_there(run_module: RunModule) -> None:
    """In check mode of a whole play the task that makes it was only announced."""
    args = {"namespace": "not-yet", "path": "/new", "fstype": "tmpfs", "src": "/not/yet"}
    predicted = run_module("ns_mount", args, check=True)
    assert predicted["actions"] == ["mount tmpfs on /new"]
    bind = {**args, "fstype": "", "opts": "bind"}
    assert run_module("ns_mount", bind, check=True)["changed"]
    for task in (args, bind):
        refused = run_module("ns_mount", task)
        assert "not-yet" in refused["reason"] or "/not/yet" in refused["reason"]


def test_the_hosts_pins_are_not_seen_inside(web: dict[str, str]) -> None:
    argv = [
        "nsenter",
        f"--mount={pins.path(web['namespace'], 'mnt')}",
        "cat",
        "/proc/self/mountinfo",
    ]
    table = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert "nsfs" not in table


@pytest.mark.parametrize("rounds", [20])
def test_eight_at_once(run_module: RunModule, web: dict[str, str], rounds: int) -> None:
    """They leave what one of them asked for: one mount, and a record of just that."""
    sizes = [f"size={number}m" for number in range(1, 9)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _round in range(rounds):
            wanted = [
                {**web, "path": "/mnt", "src": "x", "fstype": "tmpfs", "opts": size}
                for size in sizes
            ]
            results = list(pool.map(lambda args: run_module("ns_mount", args), wanted))
            assert not [each for each in results if each.get("failed")]
            (line,) = mounted_on("/mnt")
            (step,) = recorded(RECORD)
            megabytes = int(step["opts"][0][5:-1])
            assert f"size={megabytes * 1024}k" in line
            # Another one that wants the same has nothing to do.
            again = run_module("ns_mount", {**wanted[0], "opts": step["opts"][0]})
            assert again["actions"] == []


def test_mounting_and_unmounting_at_once(run_module: RunModule, web: dict[str, str]) -> None:
    args = {**web, "path": "/mnt", "src": "x", "fstype": "tmpfs"}
    tasks = [args, {**web, "path": "/mnt", "state": "unmounted"}] * 4
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _round in range(5):
            results = list(pool.map(lambda task: run_module("ns_mount", task), tasks))
            assert not [each for each in results if each.get("failed")]
            assert len(mounted_on("/mnt")) == len(recorded(RECORD)) <= 1


def test_the_examples_run(run_tasks: RunTasks) -> None:
    web = {"name": "web", "kinds": ["mnt"]}
    before = [{"linux.namespaces.ns_namespace": web}]
    after = [{"linux.namespaces.ns_namespace": {**web, "state": "absent"}}]
    run_tasks([*before, *examples_of("ns_mount")], cleanup=after)
