# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_net_info: what there is in a network, and where the other ends are."""

from __future__ import annotations

import os
import typing as t

import network
from named_namespaces import NewName
from results import Converge, RunModule, is_failure
from traffic import other_host

NOBODY = 65534


def by_name(found: dict[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    return {each["name"]: each for each in found["interfaces"]}


def test_where_the_other_ends_are(
    converge: Converge, run_module: RunModule, new_name: NewName
) -> None:
    shop, db = new_name(), new_name()
    for name in (shop, db):
        converge("ns_namespace", {"name": name, "kinds": ["net"]})
    converge("ns_link", {"name": "br0", "kind": "bridge"})
    links = [
        {"name": "eth0", "kind": "veth", "peer": {"name": "ve0", "bridge": "br0"}, "mtu": 1400,
         "addresses": ["10.9.0.2/24"],
         "routes": [{"to": "default", "via": "10.9.0.1"}, {"to": "10.5.0.0/16", "blackhole": True}],
         "rules": [{"priority": 9, "table": 7, "from": "10.0.0.0/8"}]},
        {"name": "eth1", "kind": "veth", "peer": {"name": "up", "namespace": db}},
        {"name": "mac0", "kind": "macvlan", "parent": "eth0", "parent_in": "namespace"},
    ]  # fmt: skip
    converge("ns_link", {"namespace": shop, "links": links})
    found = run_module("ns_net_info", {"namespace": shop})
    assert not found["changed"]
    seen = by_name(found)
    assert seen.keys() == {"lo", "eth0", "eth1", "mac0"}
    eth0 = seen["eth0"]
    assert (eth0["kind"], eth0["mtu"], eth0["up"], eth0["parent"]) == ("veth", 1400, True, None)
    assert eth0["addresses"] == ["10.9.0.2/24"]
    host = os.stat("/proc/self/ns/net").st_ino
    assert (eth0["peer"]["interface"], eth0["peer"]["net"]) == ("ve0", host)
    assert (seen["eth1"]["peer"]["interface"], seen["eth1"]["peer"]["namespace"]) == ("up", db)
    assert seen["mac0"]["parent"]["interface"] == "eth0"
    assert seen["mac0"]["parent"]["here"]
    assert seen["lo"]["kind"] == "loopback"
    assert seen["lo"]["peer"] is seen["lo"]["parent"] is None
    routes = {(each["to"], each["type"]): each for each in found["routes"]}
    assert routes["default", "unicast"]["via"] == "10.9.0.1"
    assert ("10.5.0.0/16", "blackhole") in routes
    (rule,) = [each for each in found["rules"] if each["priority"] == 9]
    assert (rule["family"], rule["table"], rule["from"], rule["to"]) == (4, 7, "10.0.0.0/8", None)
    # From the other sides.
    outside = by_name(run_module("ns_net_info", {}))
    assert outside["ve0"]["peer"]["namespace"] == shop
    assert outside["ve0"]["peer"]["interface"] == "eth0"
    assert (outside["ve0"]["master"], outside["ve0"]["alias"]) == (
        "br0",
        f"linux-namespaces:{shop}",
    )
    beside = by_name(run_module("ns_net_info", {"namespace_path": network.kept_net(db)}))
    assert beside["up"]["peer"]["namespace"] == shop
    with other_host("wan0", []) as where:
        pid = int(where.split("/")[2])
        assert by_name(run_module("ns_net_info", {}))["wan0"]["peer"]["pid"] == pid
        there = by_name(run_module("ns_net_info", {"pid": pid}))
        assert there["wan0"]["peer"]["interface"] == "wan0"
        # Who may not look there is told what may be seen.
        told = run_module("ns_net_info", {}, user=NOBODY)
        assert not told.get("failed"), told
        plain = by_name(told)
        assert plain["wan0"]["peer"]["interface"] is None
    for name in (shop, db):
        converge("ns_namespace", {"name": name, "state": "absent"})
    converge("ns_link", {"name": "br0", "state": "absent"})


def test_what_is_not_there(run_module: RunModule, converge: Converge, new_name: NewName) -> None:
    name = new_name()
    converge("ns_namespace", {"name": name, "kinds": ["mnt"]})
    is_failure(run_module("ns_net_info", {"namespace": name}), "has no net namespace", "kind")
    is_failure(run_module("ns_net_info", {"pid": 2**22}), "no process", "")
