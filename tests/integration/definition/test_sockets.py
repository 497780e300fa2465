# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_definition: sockets of services, without systemd (the fleet has those that it holds)."""

from __future__ import annotations

import json
import os
import typing as t

import pytest
from command import Nsctl
from named_namespaces import NewName
from results import Converge, RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import service_note

SOCKETS = [
    {"listen": "127.0.0.1:8080", "name": "web"},
    {"listen": "/mnt/shop/app.sock", "mode": "0600", "owner": "nobody"},
]


@pytest.fixture
def name(new_name: NewName, run_module: RunModule) -> t.Iterator[str]:
    found = new_name()
    yield found
    gone = {"namespaces": [{"name": found}], "state": "absent", "force": True}
    assert not run_module("ns_definition", gone).get("failed")
    assert not os.path.lexists(host_paths.SOCKETS)


def listed(name: str, *words: str, sockets: t.Any = None) -> dict[str, t.Any]:
    argv = ["/bin/sleep", "infinity", *words]
    service = {"name": "x", "argv": argv, "sockets": SOCKETS if sockets is None else sockets}
    mounts = [{"path": "/mnt", "src": "t", "fstype": "tmpfs"}]
    entry = {"name": name, "kinds": ["mnt", "net"], "mounts": mounts, "services": [service]}
    return {"namespaces": [entry]}


def test_they_are_a_part_of_it(name: str, converge: Converge, nsctl: Nsctl) -> None:
    done = converge("ns_definition", listed(name))
    assert "start service x" in done["namespaces"][0]["actions"]
    exported = nsctl("export", name).stdout
    (service,) = json.loads(exported)["namespaces"][0]["services"]
    assert service["sockets"] == SOCKETS
    assert nsctl("diff", "-", input=exported).stdout == ""
    assert nsctl("apply", "-", input=exported).stdout == f"{name}: as it should be\n"
    # What is mounted for them is no drift.
    assert "surplus" not in nsctl("show", name).stdout
    made = service_note.read(name, "x")
    changed = converge("ns_definition", listed(name, "1"))
    (found,) = changed["namespaces"]
    assert found["actions"] == ["stop service x", "start service x"]
    again = service_note.read(name, "x")
    assert made is not None and again is not None
    assert (again.sockets, again.process == made.process) == (made.sockets, False)
    changed = converge("ns_definition", listed(name, "1", sockets=SOCKETS[:1]))
    assert "/mnt/shop/app.sock" in str(changed["diff"]["before"])
    assert "/mnt/shop/app.sock" not in str(changed["diff"]["after"])


def test_what_is_wrong_says_where_it_stands(name: str, run_module: RunModule) -> None:
    failure = run_module("ns_definition", listed(name, sockets=[{"listen": "8080"}]))
    assert f"amespaces[0] ('{name}'): services[0] ('x'): listen is '8080'" in failure["msg"]
    assert "neither an address with a port nor a path" in failure["msg"]
