# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces as a part of a named namespace: in its definition, after a reboot, mended, and gone with it."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import network
import pytest
from command import Nsctl
from host_state import host_state
from module_server import KILL_AT
from named_namespaces import NewName, record_of
from reboots import reboot
from results import Converge, RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core.actions import (
    KILL_VARIABLE as KILL_BEFORE,
)

BRIDGE = {"name": "br0", "kind": "bridge", "addresses": ["10.9.0.1/24"]}


def linked(name: str, number: int = 2) -> dict[str, t.Any]:
    """A namespace with an interface on the bridge, as ns_namespace and ns_definition take it."""
    link = {
        "name": "eth0",
        "kind": "veth",
        "peer": {"name": f"ve{number}", "bridge": "br0"},
        "addresses": [f"10.9.0.{number}/24"],
        "routes": [{"to": "default", "via": "10.9.0.1"}],
        "rules": [{"priority": 100, "from": "10.9.0.0/24", "table": 254}],
    }
    return {"name": name, "kinds": ["mnt", "net"], "links": [link]}


@pytest.fixture
def bridge(converge: Converge) -> t.Iterator[None]:
    converge("ns_link", BRIDGE)
    yield
    converge("ns_link", {"name": "br0", "state": "absent"})


@pytest.fixture
def defined(
    converge: Converge, new_name: NewName, bridge: None
) -> t.Iterator[tuple[str, dict[str, t.Any]]]:
    assert bridge is None
    options = linked(new_name())
    converge("ns_namespace", options)
    yield options["name"], options
    converge("ns_namespace", {"name": options["name"], "state": "absent", "force": True})
    assert network.interfaces().keys() == {"br0"}


def is_whole(name: str) -> bool:
    rules = [each["priority"] for each in network.shown("rule show", inside=name)]
    return (
        network.addresses("eth0", name) == ["10.9.0.2/24"]
        and network.routes(name) == ["default via 10.9.0.1"]
        and network.interfaces()["ve2"]["master"] == "br0"
        and 100 in rules
        and network.reaches("10.9.0.1", inside=name)
    )


def test_namespace_with_interfaces(
    converge: Converge, defined: tuple[str, dict[str, t.Any]]
) -> None:
    name, options = defined
    assert is_whole(name)
    assert json.loads(record_of(name).read_text())["version"] == 3
    # Without a word of them they stay.
    converge("ns_namespace", {key: value for key, value in options.items() if key != "links"})
    assert is_whole(name)
    converge("ns_namespace", {**options, "links": []})
    assert network.interfaces(name) == {}
    assert network.interfaces().keys() == {"br0"}
    converge("ns_namespace", options)
    converge("ns_namespace", {**options, "kinds": ["mnt"], "links": []})
    assert network.interfaces().keys() == {"br0"}


def test_after_a_reboot(
    nsctl: Nsctl, defined: tuple[str, dict[str, t.Any]], run_module: RunModule
) -> None:
    name, options = defined
    network.ip("link del br0")
    reboot()
    assert nsctl.data("list")[0]["state"] == "down"
    nsctl("up", name)
    assert is_whole(name)
    assert nsctl.data("list")[0]["state"] == "up"
    assert run_module("ns_namespace", options)["actions"] == []


def test_drift_is_shown_and_mended(nsctl: Nsctl, defined: tuple[str, dict[str, t.Any]]) -> None:
    name, _options = defined
    network.ip("addr del 10.9.0.2/24 dev eth0", inside=name)
    network.ip("link set ve2 nomaster")
    network.ip("rule del priority 100", inside=name)
    network.ip("link add name odd type bridge", inside=name)
    shown = nsctl.data("show", name)
    assert {each["name"]: each["state"] for each in shown["links"]} == {
        "eth0": "differs",
        "odd": "surplus",
    }
    assert "add address 10.9.0.2/24 to eth0" in shown["changes"]
    assert "put ve2 into br0" in nsctl("show", name).stdout
    nsctl("up", name)
    assert is_whole(name)
    assert nsctl.data("show", name)["changes"] == []
    network.ip("link del eth0", inside=name)
    assert nsctl.data("show", name)["links"][0]["state"] == "missing"
    nsctl("up", name)
    assert is_whole(name)


def test_down_and_up(nsctl: Nsctl, defined: tuple[str, dict[str, t.Any]]) -> None:
    name, _options = defined
    nsctl("down", name)
    assert network.interfaces().keys() == {"br0"}
    nsctl("up", name)
    assert is_whole(name)


def test_what_is_missing_keeps_it_closed(
    nsctl: Nsctl, run_module: RunModule, defined: tuple[str, dict[str, t.Any]]
) -> None:
    name, options = defined
    nsctl("down", name)
    network.ip("link set br0 name br1")
    network.ip("link add name br0 type veth peer name br9")
    assert "br0" in nsctl("up", name, code=1).stderr
    assert nsctl.data("list")[0]["state"] != "up"
    assert nsctl("exec", name, "true", code=None).returncode != 0
    assert run_module("ns_namespace", options)["failed"]
    network.ip("link del br0")
    network.ip("link set br1 name br0")
    nsctl("up", name)
    assert is_whole(name)


def test_a_definition_has_them(
    converge: Converge, nsctl: Nsctl, new_name: NewName, bridge: None, tmp_path: pathlib.Path
) -> None:
    assert bridge is None
    names = [new_name() for _each in range(3)]
    listed = [linked(name, number) for number, name in enumerate(names, start=2)]
    # One has its other end in another one, which so comes first.
    peer = {"name": "eth1", "namespace": names[1], "addresses": ["10.9.5.1/30"]}
    link = {"name": "eth9", "kind": "veth", "peer": peer, "addresses": ["10.9.5.2/30"]}
    listed[0]["links"].append(link)
    converge("ns_definition", {"namespaces": listed})
    assert is_whole(names[0])
    assert network.reaches("10.9.5.1", inside=names[0])
    assert network.reaches("10.9.0.4", inside=names[0])
    exported = json.loads(nsctl("export", *names).stdout)
    (link, other) = exported["namespaces"][0]["links"]
    assert (link["addresses"], link["peer"]) == (["10.9.0.2/24"], {"name": "ve2", "bridge": "br0"})
    assert other == listed[0]["links"][1]
    file = tmp_path / "all.json"
    file.write_text(json.dumps(exported))
    assert nsctl("diff", str(file)).stdout == ""
    drop_in = pathlib.Path(f"/etc/systemd/system/linux-namespaces@{names[0]}.service.d")
    assert not drop_in.exists()  # nothing here is run by systemd
    converge("ns_definition", {"namespaces": [{"name": name} for name in names], "state": "absent"})
    assert network.interfaces().keys() == {"br0"}


def test_many_are_made_as_the_host_is_by_then(
    converge: Converge, run_module: RunModule, new_name: NewName, bridge: None
) -> None:
    assert bridge is None
    names = [new_name() for _each in range(3)]
    first, second, third = (linked(name, number) for number, name in enumerate(names, start=2))
    converge("ns_definition", {"namespaces": [first]})
    # What stands against it when the task begins goes with the one that it is made anew of.
    first["kinds"] = ["mnt", "net", "user"]
    first["id_map"] = {"uid": [{"inside": 0, "outside": 0, "count": 1000}]}
    first["id_map"]["gid"] = first["id_map"]["uid"]
    converge("ns_definition", {"namespaces": [first, second], "recreate": True})
    assert is_whole(names[0])
    assert network.reaches("10.9.0.3", inside=names[0])
    third["links"][0]["peer"]["name"] = "ve3"
    before = host_state()
    failed = run_module("ns_definition", {"namespaces": [first, third]})
    assert "the host has an interface ve3" in failed["namespaces"][1]["reason"]
    assert host_state() == before
    gone = [{"name": name} for name in names]
    converge("ns_definition", {"namespaces": gone, "state": "absent"})


@pytest.mark.parametrize(("how", "stride"), [(KILL_BEFORE, 1), (KILL_AT, 29)])
def test_killed_wherever(
    run_module: RunModule,
    converge: Converge,
    new_name: NewName,
    bridge: None,
    how: str,
    stride: int,
) -> None:
    assert bridge is None
    name = new_name()
    options, gone = linked(name), {"name": name, "state": "absent"}
    link = {**options["links"][0], "addresses": ["10.9.0.7/24"], "rules": []}
    other = {**options, "links": [link]}
    before = host_state()
    for wanted, last in ((options, gone), (other, options), (gone, options)):
        number = 0
        while True:
            number += stride
            run_module("ns_namespace", last)
            try:
                run_module("ns_namespace", wanted, env={how: str(number)})
            except AssertionError:
                assert not run_module("ns_namespace", wanted).get("failed")
                assert run_module("ns_namespace", wanted)["actions"] == []
                assert wanted is not options or is_whole(name)
                continue
            break
        assert number > stride
    converge("ns_namespace", gone)
    assert host_state() == before
    assert network.interfaces().keys() == {"br0"}


def test_moved(converge: Converge, run_module: RunModule, new_name: NewName) -> None:
    network.ip("link add name up0 type veth peer name up1")
    network.ip("addr add 10.9.9.1/24 dev up0")
    network.ip("link set up0 up")
    network.ip("link set up1 up")
    network.ip("route add default via 10.9.9.2")
    name = new_name()
    converge("ns_namespace", {"name": name, "kinds": ["net"]})
    moved = {"namespace": name, "name": "wan", "kind": "moved", "parent": "up0"}
    failed = run_module("ns_link", moved)
    assert "the interface of the default route" in failed["reason"]
    assert "force" in failed["hint"]
    result = converge("ns_link", {**moved, "addresses": ["10.9.9.3/24"], "force": True})
    assert result["actions"][:1] == ["move up0 of the host inside as wan"]
    assert network.interfaces(name)["wan"]["addr_info"][0]["local"] == "10.9.9.3"
    converge("ns_link", {"namespace": name, "name": "wan", "state": "absent"})
    assert network.interfaces().keys() == {"up0", "up1"}
    converge("ns_link", moved)
    # Its name is taken meanwhile: it comes back under another one rather than not at all.
    network.ip("link add name up0 type bridge")
    failed = run_module("ns_link", {"namespace": name, "name": "wan", "state": "absent"})
    assert "another interface has that name" in failed["reason"]
    converge("ns_namespace", {"name": name, "state": "absent"})
    assert network.interfaces().keys() == {"up0", "up1", "up0.2"}
    for each in ("up0", "up1"):
        network.ip(f"link del {each}")


def test_ssh_is_a_way_in(converge: Converge, run_module: RunModule, new_name: NewName) -> None:
    network.ip("link add name br5 type bridge")
    network.ip("link add name up0 type veth peer name up1")
    network.ip("link set up0 master br5")
    network.ip("addr add 10.9.9.1/24 dev br5")
    name = new_name()
    converge("ns_namespace", {"name": name, "kinds": ["net"]})
    env = {"SSH_CONNECTION": "10.9.9.2 50000 10.9.9.1 22"}
    moved = {"namespace": name, "name": "up0", "kind": "moved"}
    failed = run_module("ns_link", moved, env=env)
    assert "ssh" in str(failed["reason"])
    assert os.environ.get("SSH_CONNECTION") is None
    network.ip("link del br5")
    network.ip("link del up0")
