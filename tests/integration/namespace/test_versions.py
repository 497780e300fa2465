# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of another version of the collection, while the namespace that they describe lives."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from command import Nsctl
from host_state import host_state
from named_namespaces import NewName
from results import RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)

_MOUNT = {"path": "/mnt", "src": "m", "fstype": "tmpfs"}


@pytest.fixture
def web(run_module: RunModule, new_name: NewName) -> str:
    name = new_name()
    service = {"namespace": name, "name": "idle", "supervisor": "none"}
    for module, args in (
        ("ns_namespace", {"name": name}),
        ("ns_mount", {"namespace": name, **_MOUNT}),
        ("ns_service", {**service, "argv": ["/usr/bin/sleep", "infinity"]}),
    ):
        assert run_module(module, args)["changed"]
    return name


def rewrite(path: str, **changes: t.Any) -> None:
    """Change fields of a file as another version would have it."""
    content = {**json.loads(pathlib.Path(path).read_text()), **changes}
    pathlib.Path(path).write_text(json.dumps(content))


@pytest.mark.parametrize("which", ["definition", "state", "note"])
def test_of_a_later_version(which: str, web: str, run_module: RunModule, nsctl: Nsctl) -> None:
    """It is refused with the word, nothing is changed, and it can be removed."""
    path = {
        "definition": definitions.path_of(web),
        "state": f"{host_paths.kept_in(web)}/state.json",
        "note": f"{host_paths.services(web)}/idle.json",
    }[which]
    rewrite(path, version=9, something={"new": True})
    text, before = pathlib.Path(path).read_text(), host_state()
    service = {"namespace": web, "name": "idle", "supervisor": "none"}
    tasks: list[tuple[str, dict[str, t.Any]]] = [("ns_service", {**service, "state": "stopped"})]
    if which != "note":
        tasks = [
            ("ns_namespace", {"name": web, "hostname": "other", "kinds": ["mnt", "uts"]}),
            ("ns_mount", {"namespace": web, **_MOUNT, "opts": ["ro"]}),
            ("ns_pivot_root", {"namespace": web, "new_root": "/mnt"}),
            ("ns_rootfs", {"namespace": web, "path": "/mnt", "directory": "/etc"}),
        ]
        shown = nsctl("up", web, code=1).stderr
        assert "has version 9" in shown
        assert "A later version of linux.namespaces wrote it" in shown
    for task in tasks:
        failed = run_module(*task)
        assert failed["failed"], failed
        assert "has version 9" in failed["reason"], failed
        assert which == "note" or "A later version of linux" in failed["hint"], failed
    assert nsctl("exec", web, "--", "/bin/true").returncode == 0
    assert host_state() == before
    assert pathlib.Path(path).read_text() == text
    assert run_module("ns_namespace", {"name": web, "state": "absent", "force": True})["changed"]
    assert not os.path.exists(path)


def test_of_version_0_1_0(web: str, run_module: RunModule, nsctl: Nsctl) -> None:
    """Its state had no word of what is missing, its notes no version: it goes on as it is."""
    state = pathlib.Path(f"{host_paths.kept_in(web)}/state.json")
    content = json.loads(state.read_text())
    content.pop("missing", None)
    state.write_text(json.dumps(content))
    note = pathlib.Path(f"{host_paths.services(web)}/idle.json")
    now = json.loads(note.read_text())
    spec = now["spec"]
    old = {
        "program": {"argv": ["/usr/bin/sleep", "infinity"]},
        "kinds": [],
        "reload_signal": "",
        "reload_argv": [],
        "stop_signal": spec.get("stop_signal", ""),
        "process": now["process"],
        "lives_in": now["lives_in"],
    }
    note.write_text(json.dumps(old))
    assert run_module("ns_namespace", {"name": web})["actions"] == []
    assert run_module("ns_mount", {"namespace": web, **_MOUNT})["actions"] == []
    nsctl("up", web)
    service = {"namespace": web, "name": "idle", "supervisor": "none"}
    assert (
        run_module("ns_service", {**service, "state": "started"})["service"]["pid"]
        == now["process"]["pid"]
    )
    assert run_module("ns_service", {**service, "state": "absent"})["changed"]
