# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host passes on, as a part of a named namespace: after a reboot, mended, killed, and gone with it."""

from __future__ import annotations

import os
import pathlib
import typing as t

import network
import pytest
from command import Nsctl
from host_state import host_state
from module_server import KILL_AT
from named_namespaces import NewName
from network import kept_net
from reboots import reboot
from results import Converge, RunModule, is_failure
from traffic import answering, other_host, seen_by

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.actions import (
    KILL_VARIABLE as KILL_BEFORE,
)

WAN = "ipv4/conf/wan0/forwarding"


@pytest.fixture
def client() -> t.Iterator[str]:
    with other_host("wan0", ["192.0.2.2/24"]) as where:
        network.ip("addr add 192.0.2.1/24 dev wan0")
        network.ip("link set wan0 up")
        yield where


def published(name: str, number: int = 0, **more: t.Any) -> dict[str, t.Any]:
    """A namespace with a port of the host, as ns_namespace and ns_definition take it."""
    link = {
        "name": "eth0",
        "kind": "veth",
        "peer": {"name": f"ve{number}", "addresses": [f"10.9.{number}.1/24"]},
        "addresses": [f"10.9.{number}.2/24"],
        "routes": [{"to": "default", "via": f"10.9.{number}.1"}],
        "masquerade": True,
        "publish": [f"80{number}:80"],
    }
    return {"name": name, "kinds": ["net"], "links": [{**link, **more}]}


def is_whole(name: str, client: str, number: int = 0) -> bool:
    with answering(80, where=kept_net(name)), answering(99, where=client):
        return (
            seen_by("192.0.2.1", int(f"80{number}"), where=client) == "192.0.2.2"
            and seen_by("192.0.2.2", 99, where=kept_net(name)) == "192.0.2.1"
        )


def is_left(name: str) -> bool:
    """Whether anything is left of the namespace on the host."""
    is_open = network.forwarding()[WAN] != "0"
    return is_open or bool(network.tables()) or name in os.listdir("/run")


def test_after_a_reboot(
    converge: Converge, run_module: RunModule, nsctl: Nsctl, new_name: NewName, client: str
) -> None:
    name = new_name()
    options = published(name)
    converge("ns_namespace", options)
    for table in network.tables():
        network.nft(f"delete table inet {table}")
    pathlib.Path("/proc/sys/net", WAN).write_text("0")
    pathlib.Path(host_paths.FORWARDING).unlink()
    reboot()
    nsctl("up", name)
    assert is_whole(name, client)
    assert run_module("ns_namespace", options)["actions"] == []
    nsctl("down", name)
    assert not is_left(name)
    nsctl("up", name)
    assert is_whole(name, client)
    converge("ns_namespace", {"name": name, "state": "absent"})
    assert not is_left(name)


def test_drift_is_shown_and_mended(
    converge: Converge, nsctl: Nsctl, new_name: NewName, client: str
) -> None:
    name = new_name()
    converge("ns_namespace", published(name))
    table = f"linux-namespaces-{name}"
    network.nft(f"flush chain inet {table} incoming")
    (link,) = nsctl.data("show", name)["links"]
    assert link["state"] == "differs"
    assert f"write the table inet {table}" in nsctl.data("show", name)["changes"]
    nsctl("up", name)
    assert nsctl.data("show", name)["links"][0]["state"] == "ok"
    assert is_whole(name, client)
    converge("ns_namespace", {"name": name, "kinds": ["mnt"]})
    assert not is_left(name)


def test_of_a_definition(
    converge: Converge, run_module: RunModule, new_name: NewName, client: str
) -> None:
    names = [new_name(), new_name()]
    listed = [published(name, number) for number, name in enumerate(names)]
    converge("ns_definition", {"namespaces": listed})
    assert is_whole(names[0], client, 0)
    assert is_whole(names[1], client, 1)
    clash = [listed[0], published(names[1], 1, publish=["800:80"])]
    before = network.state()
    for check in (True, False):
        failed = run_module("ns_definition", {"namespaces": clash}, check=check)
        is_failure(failed, "one port of the host", "own")
    assert network.state() == before
    converge("ns_definition", {"namespaces": [{"name": each} for each in names], "state": "absent"})
    assert not is_left(names[0])


def test_a_damaged_note(converge: Converge, run_module: RunModule, new_name: NewName) -> None:
    name = new_name()
    converge("ns_namespace", published(name))
    note = pathlib.Path(host_paths.FORWARDING)
    kept = note.read_text()
    for damaged in ("", "{", "[]", '{"namespaces": 5}', kept.replace('"before"', '"after"')):
        note.write_text(damaged)
        is_failure(run_module("ns_namespace", published(name)), "is damaged", "Remove it")
    note.write_text(kept)
    converge("ns_namespace", {"name": name, "state": "absent"})


# The first one, and how many times as far the next one is.
@pytest.mark.parametrize(("how", "first", "times"), [(KILL_BEFORE, 3, 1), (KILL_AT, 19, 2)])
def test_killed_wherever(
    run_module: RunModule,
    converge: Converge,
    new_name: NewName,
    client: str,
    how: str,
    first: int,
    times: int,
) -> None:
    name = new_name()
    options, gone = published(name), {"name": name, "state": "absent"}
    other = published(name, publish=["127.0.0.1:800:80"], masquerade=False)
    before = host_state()
    for wanted, last in ((options, gone), (other, options), (gone, options)):
        number = 0
        while True:
            number = number * times + first
            run_module("ns_namespace", last)
            try:
                run_module("ns_namespace", wanted, env={how: str(number)})
            except AssertionError:
                assert not run_module("ns_namespace", wanted).get("failed")
                assert run_module("ns_namespace", wanted)["actions"] == []
                if wanted is gone:
                    assert not is_left(name)
                continue
            break
        assert number > first
        assert wanted is not options or is_whole(name, client)
    converge("ns_namespace", gone)
    assert host_state() == before
    assert not is_left(name)
