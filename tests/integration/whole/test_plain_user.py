# SPDX-License-Identifier: GPL-3.0-or-later
"""A plain user and named namespaces: refused, by each module, with the reason and what to do."""

from __future__ import annotations

import typing as t

import pytest
from host_state import host_state
from results import RunModule

NOBODY = 65534
Args = dict[str, t.Any]

# What each module is asked for; "{}" stands for the name of a namespace.
TASKS: dict[str, tuple[str, Args]] = {
    "create": ("ns_namespace", {"name": "{}"}),
    "create with user": ("ns_namespace", {"name": "{}", "kinds": ["user", "mnt"]}),
    "remove": ("ns_namespace", {"name": "{}", "state": "absent"}),
    "mount": ("ns_mount", {"namespace": "{}", "path": "/mnt", "fstype": "tmpfs"}),
    "pivot": ("ns_pivot_root", {"namespace": "{}", "new_root": "/mnt"}),
    "run": ("ns_setns_run", {"namespace": "{}", "argv": ["true"]}),
    "serve": ("ns_service", {"namespace": "{}", "name": "web", "argv": ["/bin/true"]}),
    "look at mounts": ("ns_mount_info", {"namespace": "{}"}),
    "unpack": ("ns_rootfs", {"namespace": "{}", "path": "/mnt", "archive": "/tmp/none.tar"}),
}


@pytest.mark.parametrize("check", [False, True], ids=["run", "check"])
@pytest.mark.parametrize("task", TASKS)
def test_a_namespace_that_is_there(
    task: str, check: bool, run_module: RunModule, new_name: t.Callable[[], str]
) -> None:
    name = new_name()
    assert not run_module("ns_namespace", {"name": name}).get("failed")
    module, args = TASKS[task]
    args = {key: name if value == "{}" else value for key, value in args.items()}
    before = host_state()
    result = run_module(module, args, user=NOBODY, check=check)
    assert result["failed"]
    assert "only root" in result["reason"]
    assert "become: true" in result["hint"]
    assert "ns_unshare_run" in result["hint"]
    assert "Traceback" not in str(result)
    assert "exception" not in result
    assert host_state() == before


@pytest.mark.parametrize("task", [task for task in TASKS if task != "remove"])
def test_a_namespace_that_is_not_there(task: str, run_module: RunModule) -> None:
    module, args = TASKS[task]
    args = {key: "plain-user" if value == "{}" else value for key, value in args.items()}
    before = host_state()
    result = run_module(module, args, user=NOBODY)
    assert result["failed"]
    assert "only root" in result["reason"]
    assert "become: true" in result["hint"]
    assert "Traceback" not in str(result)
    assert host_state() == before


def test_removing_what_is_not_there_takes_no_rights(run_module: RunModule) -> None:
    result = run_module("ns_namespace", {"name": "plain-user", "state": "absent"}, user=NOBODY)
    assert (result["changed"], result["actions"]) == (False, [])


def test_looking_is_not_refused(run_module: RunModule, new_name: t.Callable[[], str]) -> None:
    name = new_name()
    run_module("ns_namespace", {"name": name})
    result = run_module("ns_info", {"namespace": name}, user=NOBODY)
    assert [each["name"] for each in result["namespaces"]] == [name]


def test_what_runs_without_a_name(run_module: RunModule) -> None:
    """The other way that the hint names works for the same user."""
    argv = ["sh", "-c", "id -u; mount -t tmpfs none /mnt && echo mounted"]
    args = {"argv": argv, "kinds": ["user", "mnt"], "id_map": "root"}
    result = run_module("ns_unshare_run", args, user=NOBODY)
    assert result["stdout"].split() == ["0", "mounted"], result
