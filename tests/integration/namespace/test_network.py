# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_namespace: the network namespace, and its name for ip-netns(8)."""

from __future__ import annotations

import json
import os
import subprocess
import typing as t

from named_namespaces import (
    NewName,
    id_inside,
    ids_of,
    netns_list,
    present,
    refused,
)
from results import Converge, RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc


def lo_flags(*words: str) -> list[str]:
    argv = ["ip", *words, "-j", "link", "show", "lo"]
    shown = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    flags: list[str] = json.loads(shown)[0]["flags"]
    return flags


def test_lo_is_up_and_ip_netns_sees_it(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    present(converge, name, kinds=["net"])
    assert netns_list() == [name]
    assert "UP" in lo_flags("-n", name)
    executed = ["ip", "netns", "exec", name, "readlink", "/proc/self/ns/net"]
    link = subprocess.run(executed, check=True, capture_output=True, text=True).stdout
    assert proc.parse_link(link.strip()) == id_inside(name, "net")
    present(converge, name, kinds=["net"], loopback=False)
    assert "UP" not in lo_flags("-n", name)
    present(converge, name, kinds=["net"])
    assert "UP" in lo_flags("-n", name)
    other = new_name()
    present(converge, other, kinds=["net"], loopback=False)
    assert "UP" not in lo_flags("-n", other)
    assert sorted(netns_list()) == sorted([name, other])
    converge("ns_namespace", {"name": name, "state": "absent"})
    assert netns_list() == [other]


def test_a_name_that_ip_netns_has_is_refused(
    run_module: RunModule,
    converge: Converge,
    ip_netns: t.Callable[[str], str],
    new_name: NewName,
) -> None:
    name = new_name()
    path = ip_netns(name)
    number = os.stat(path).st_ino
    failure = refused(run_module, name, kinds=["mnt", "net"])
    assert "`ip netns` has a network namespace" in failure["reason"]
    assert path in failure["hint"]
    present(converge, name, kinds=["mnt"])
    refused(run_module, name, kinds=["mnt", "net"])
    converge("ns_namespace", {"name": name, "state": "absent"})
    assert os.stat(path).st_ino == number


def test_ip_netns_del_is_mended(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    args = {"name": name, "kinds": ["net", "uts"], "hostname": "blue"}
    before = ids_of(converge("ns_namespace", args)["namespace"])
    subprocess.run(["ip", "netns", "del", name], check=True)
    again = converge("ns_namespace", args)
    assert again["actions"] == ["create net", f"show {name} to ip netns"]
    after = ids_of(again["namespace"])
    assert after["uts"] == before["uts"]
    assert after["net"] == id_inside(name, "net")
    assert "UP" in lo_flags("-n", name)
