# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_definition: the services of namespaces, without systemd (the fleet has those that it keeps running)."""

from __future__ import annotations

import os
import pathlib
import signal
import typing as t

import pytest
from command import Nsctl
from named_namespaces import NewName
from processes_inside import living
from results import Converge, RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core.process import kill

Entry = dict[str, t.Any]
LATE = 'sleep .2; echo "$1" >> "$0/order"; touch "$0/$1"; exec sleep infinity #'
SLEEP = {"name": "x", "argv": ["/bin/sleep", "infinity"]}


@pytest.fixture
def name(new_name: NewName, run_module: RunModule) -> t.Iterator[str]:
    found = new_name()
    yield found
    gone = {"namespaces": [{"name": found}], "state": "absent", "force": True}
    assert not run_module("ns_definition", gone).get("failed")


def listed(name: str, *services: Entry, **more: t.Any) -> Entry:
    mounts = [{"path": "/mnt", "src": "t", "fstype": "tmpfs"}]
    return {"namespaces": [{"name": name, "mounts": mounts, "services": [*services]}], **more}


def actions_of(result: t.Mapping[str, t.Any]) -> list[str]:
    (found,) = result["namespaces"]
    return list(found["actions"])


def pid_of(nsctl: Nsctl, name: str, service: str = "x") -> int | None:
    (found,) = [each for each in nsctl.data("show", name)["services"] if each["name"] == service]
    pid: int | None = found["pid"]
    return pid


def test_one_that_has_ended_is_started_again(name: str, converge: Converge, nsctl: Nsctl) -> None:
    """Also where all else is as it should be."""
    converge("ns_definition", listed(name, SLEEP))
    os.kill(pid_of(nsctl, name) or 0, signal.SIGKILL)
    done = converge("ns_definition", listed(name, SLEEP))
    assert actions_of(done) == ["start service x"]


def test_those_that_are_not_listed_any_more_go_first(
    name: str, converge: Converge, nsctl: Nsctl
) -> None:
    other = {**SLEEP, "name": "y"}
    converge("ns_definition", listed(name, SLEEP, other))
    fewer = listed(name, other)
    fewer["namespaces"][0]["mounts"] = []
    done = converge("ns_definition", fewer)
    assert actions_of(done)[:3] == ["stop service x", "remove service x", "unmount /mnt"]
    assert [each["name"] for each in nsctl.data("show", name)["services"]] == ["y"]


def test_one_that_is_stopped_stays_so(name: str, converge: Converge, nsctl: Nsctl) -> None:
    converge("ns_definition", listed(name, SLEEP))
    done = converge("ns_definition", listed(name, {**SLEEP, "state": "stopped"}))
    assert actions_of(done) == ["stop service x"]
    assert pid_of(nsctl, name) is None


def test_down_up_and_absent(name: str, converge: Converge, nsctl: Nsctl) -> None:
    """Both ways the services end before the namespace, and check mode says so."""
    converge("ns_definition", listed(name, SLEEP))
    pid = pid_of(nsctl, name)
    done = converge("ns_definition", listed(name, SLEEP, state="down"))
    assert actions_of(done) == ["stop service x", f"take down namespace {name}"]
    assert pid is not None
    assert kill.has_ended(pid)
    converge("ns_definition", listed(name, state="up"))
    done = converge("ns_definition", listed(name, SLEEP))
    assert actions_of(done) == ["start service x"]
    done = converge("ns_definition", {"namespaces": [{"name": name}], "state": "absent"})
    assert actions_of(done)[:2] == ["stop service x", "remove service x"]
    assert name not in {each["name"] for each in nsctl.data("list")}


def test_others_are_still_in_the_way(name: str, run_module: RunModule, nsctl: Nsctl) -> None:
    assert not run_module("ns_definition", listed(name, SLEEP)).get("failed")
    with living(name) as pid:
        for state in ("down", "absent"):
            refused = run_module("ns_definition", listed(name, state=state), check=True)
            assert (
                f"processes live in namespace {name!r}: {pid} ("
                in refused["namespaces"][0]["reason"]
            )
            assert str(pid_of(nsctl, name)) not in refused["msg"]


def test_a_new_namespace_whose_service_fails_is_not_left(
    name: str, run_module: RunModule, nsctl: Nsctl
) -> None:
    broken = {
        "name": "y",
        "argv": ["/bin/sh", "-c", "echo gone wrong; exit 3"],
        "ready": {"port": 1},
    }
    refused = run_module("ns_definition", listed(name, SLEEP, broken))
    (found,) = refused["namespaces"]
    assert found["failed"]
    assert found["step"] == "start service y"
    assert "gone wrong" in found["msg"]
    assert (found["changed"], found["actions"]) == (False, [])
    assert name not in {each["name"] for each in nsctl.data("list")}
    assert not os.path.exists(f"/run/linux-namespaces/{name}")


def test_one_that_is_there_stays_when_its_service_fails(
    name: str, run_module: RunModule, nsctl: Nsctl
) -> None:
    assert not run_module("ns_definition", listed(name, SLEEP)).get("failed")
    pid = pid_of(nsctl, name)
    broken = {"name": "y", "argv": ["/bin/false"], "ready": {"port": 1}}
    assert run_module("ns_definition", listed(name, SLEEP, broken))["failed"]
    assert pid_of(nsctl, name) == pid


def test_made_anew_with_its_services(name: str, converge: Converge, nsctl: Nsctl) -> None:
    converge("ns_definition", listed(name, SLEEP))
    pid = pid_of(nsctl, name)
    other = listed(name, SLEEP, recreate=True)
    other["namespaces"][0]["propagation"] = "slave"
    done = converge("ns_definition", other)
    assert actions_of(done)[:2] == ["stop service x", "remove service x"]
    assert actions_of(done)[-1] == "start service x"
    assert pid_of(nsctl, name) not in (None, pid)


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        ({"name": "y", "argv": ["/bin/true"], "supervisor": "systemd"}, "systemd"),
        ({"name": "y", "argv": ["/bin/true"], "ready": {"notify": True}}, "nobody to notify"),
        ({"name": "y", "argv": ["/bin/true"], "enabled": True}, "nothing can be enabled"),
    ],
)
def test_what_no_supervisor_can_do_is_said_before_anything_changes(
    name: str, run_module: RunModule, nsctl: Nsctl, service: Entry, reason: str
) -> None:
    for check in (True, False):
        refused = run_module("ns_definition", listed(name, SLEEP, service), check=check)
        assert reason in refused["namespaces"][0]["reason"]
        assert not refused["changed"]
    assert name not in {each["name"] for each in nsctl.data("list")}


def test_in_the_order_of_the_list(name: str, converge: Converge, tmp_path: pathlib.Path) -> None:
    """Each is up before the next one starts."""
    services = [
        {
            "name": each,
            "argv": ["/bin/sh", "-c", f"{LATE} {each}", str(tmp_path), each],
            "ready": {"file": f"{tmp_path}/{each}"},
        }
        for each in ("c", "a", "b")
    ]
    converge("ns_definition", listed(name, *services))
    assert (tmp_path / "order").read_text().split() == ["c", "a", "b"]
