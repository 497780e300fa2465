# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_definition and nsctl: what makes no sense on this host is refused before anything changes."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from command import Nsctl
from host_state import host_state
from named_namespaces import NewName
from processes_inside import mounts_inside
from results import Result, RunModule

Entry = dict[str, t.Any]
TMPFS = {"src": "test", "fstype": "tmpfs"}


def refused(run_module: RunModule, entry: Entry, **options: t.Any) -> Result:
    """The failure of the one namespace, which is the same in check mode; the host is as it was."""
    before = host_state()
    args = {"namespaces": [entry], **options}
    results = [run_module("ns_definition", args, check=check) for check in (True, False)]
    assert host_state() == before
    assert all(each["failed"] for each in results), results
    assert not any(each.get("changed") for each in results), results
    assert results[0]["msg"] == results[1]["msg"]
    found: Result = results[1]
    return found


@pytest.fixture
def others(tmp_path: pathlib.Path) -> pathlib.Path:
    """A directory that is somebody else's."""
    directory = tmp_path / "others"
    (directory / "inner").mkdir(parents=True)
    (directory / "inner/file").write_text("mine")
    os.chmod(directory, 0o755)
    return directory


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_a_directory_of_somebody_else_is_no_home(
    state: str, mode: int, others: pathlib.Path, new_name: NewName, run_module: RunModule
) -> None:
    """It would be closed to all others, and go with the namespace."""
    os.chmod(others, mode)
    root = {"directory": "/usr/share/doc/bash", "home": str(others)}
    failed = refused(run_module, {"name": new_name(), "rootfs": root}, state=state)
    assert f"{others} is there, and is no home of a root: it holds inner" in failed["msg"]
    assert others.stat().st_mode & 0o777 == mode
    assert (others / "inner/file").read_text() == "mine"


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        ({"enabled": True}, "Service b: without systemd nothing can be enabled"),
        ({"ready": {"notify": True}}, "Service b: without systemd there is nobody to notify"),
        ({"restart_policy": {}}, "Service b: without systemd nobody starts a service again"),
    ],
)
def test_a_service_that_no_supervisor_can_have(
    service: Entry, reason: str, new_name: NewName, run_module: RunModule
) -> None:
    """What was there stays, though a mount comes before the service."""
    name = new_name()
    there = {"name": name, "mounts": [{"path": "/mnt", **TMPFS}]}
    assert not run_module("ns_definition", {"namespaces": [there]}).get("failed")
    wanted = {
        "name": name,
        "mounts": [{"path": "/media", **TMPFS}],
        "services": [
            {"name": "a", "argv": ["/bin/sleep", "60"], "supervisor": "none"},
            {"name": "b", "argv": ["/bin/sleep", "60"], "supervisor": "none", **service},
        ],
    }
    assert reason in refused(run_module, wanted)["msg"]
    assert [each.path for each in mounts_inside(name) if each.src == "test"] == ["/mnt"]
    assert reason in refused(run_module, {**wanted, "name": new_name()})["msg"]


def test_credentials_need_mounts_of_their_own(new_name: NewName, run_module: RunModule) -> None:
    service = {"name": "a", "argv": ["/bin/true"], "supervisor": "none", "credentials": {"k": "v"}}
    failed = refused(run_module, {"name": new_name(), "kinds": ["net"], "services": [service]})
    assert "would be mounted on the host" in failed["msg"]


def test_a_mistake_in_the_last_one_leaves_the_first_undone(
    new_name: NewName, run_module: RunModule, nsctl: Nsctl, tmp_path: pathlib.Path
) -> None:
    before = host_state()
    listed = [{"name": new_name()}, {"name": new_name(), "mounts": [{"path": "mnt", **TMPFS}]}]
    told = "mounts[0]: path must be an absolute path, not 'mnt'"
    for check in (True, False):
        failed = run_module("ns_definition", {"namespaces": listed}, check=check)
        assert failed["reason"] == f"namespaces[1] ('{listed[1]['name']}'): {told}"
    file = tmp_path / "definition.json"
    file.write_text(json.dumps({"namespaces": listed}))
    for words in (["diff"], ["apply", "--check"], ["apply"]):
        said = nsctl(*words, str(file), code=1)
        assert said.stdout == ""
        assert said.stderr.endswith(f"{told}.\n")
        assert len(said.stderr.splitlines()) == 1
    assert host_state() == before


def test_what_ansible_itself_cannot_read_has_its_place(
    new_name: NewName, run_module: RunModule
) -> None:
    for options, place in (
        ({"time_offsets": 1.5}, "time_offsets is no object"),
        ({"mounts": [1.5]}, "mounts[0] is no object"),
        ({"services": [{"name": "a", "argv": ["a"], "ready": 7}]}, "services[0]: ready is no"),
        ({"kindz": ["mnt"]}, "has 'kindz', which is unknown"),
    ):
        listed = [{"name": new_name()}, {"name": new_name(), **options}]
        failed = run_module("ns_definition", {"namespaces": listed})
        assert failed["failed"]
        assert failed["reason"].startswith("namespaces[1]")
        assert place in failed["reason"]
        assert "Traceback" not in str(failed)
