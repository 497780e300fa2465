# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin `named`: hosts, and the named namespaces on them."""

from __future__ import annotations

import os
import pathlib
import typing as t

from inventories import PLUGIN, Inventory
from results import RunModule

NewName = t.Callable[[], str]


def test_from_variables(inventory: Inventory) -> None:
    ssh = {"ansible_port": "{{ base + 22 }}", "base": 2200, "ansible_user": "admin"}
    hosts = {
        "host1": {"namespaces": ["web", {"name": "shop", "kinds": ["net", "mnt"]}]},
        "host2": {"namespaces": "web", "ansible_host": "192.0.2.2", "ansible_become": True},
        "host-3": {"namespaces": ["web"], "ansible_connection": "local"},
        "none": {},
        "image": {"namespaces": ["web"], "ansible_connection": "community.docker.docker"},
    }
    inventory.write("hosts.yml", {"servers": {"hosts": hosts}})
    inventory.write("group_vars/servers.yml", ssh)
    more = {
        "keyed_groups": [{"key": "ns_kinds", "prefix": "with"}],
        "compose": {"ansible_python_interpreter": "'/opt/' ~ ns_name"},
        "groups": {"shops": "ns_name == 'shop'"},
    }
    inventory.write("namespaces.yml", {**PLUGIN, **more})
    variables, groups, warnings = inventory.read()
    assert warnings == ""
    web1, web2, web3 = (variables[f"web@{host}"] for host in ("host1", "host2", "host-3"))
    assert str(web1.pop("ansible_port")) == "2222"  # a text before ansible-core 2.19
    assert web1 == {
        "ansible_connection": "linux.namespaces.ssh",
        "ansible_host": "host1",
        "ansible_ns_namespace": "web",
        "ansible_pipelining": True,
        "ansible_python_interpreter": "/opt/web",
        "ansible_user": "admin",
        "ns_host": "host1",
        "ns_name": "web",
    }
    assert (web2["ansible_host"], web2["ansible_ns_escalation"]) == ("192.0.2.2", "sudo")
    assert "ansible_become" not in web2
    assert web3["ansible_connection"] == "linux.namespaces.local"
    assert sorted(groups["namespaces"]) == [
        "shop@host1",
        "web@host-3",
        "web@host1",
        "web@host2",
    ]
    assert sorted(groups["namespaces_on_host1"]) == ["shop@host1", "web@host1"]
    assert groups["namespaces_on_host_3"] == ["web@host-3"]
    assert len(groups["namespace_web"]) == 3
    assert groups["with_mnt"] == groups["with_net"] == groups["shops"] == ["shop@host1"]
    assert "web@host1" not in groups["servers"]


def test_asked_and_remembered(
    inventory: Inventory, run_module: RunModule, new_name: NewName, tmp_path: pathlib.Path
) -> None:
    name, transient = new_name(), new_name()
    assert run_module("ns_namespace", {"name": name, "kinds": ["uts", "mnt"]})["changed"]
    args = {"name": transient, "kinds": ["mnt"], "persistent": False}
    assert run_module("ns_namespace", args)["changed"]
    hosts = {
        "here": {"ansible_connection": "local"},
        "told": {"ansible_connection": "local", "namespaces": []},
        "away": {"ansible_host": "127.0.0.1", "ansible_port": 1},
    }
    inventory.write("hosts.yml", {"all": {"hosts": hosts}})
    cached = {"cache": True, "cache_plugin": "jsonfile", "cache_connection": str(tmp_path / "kept")}
    key = {"keyed_groups": [{"key": "ns_state", "prefix": "are"}]}
    inventory.write("more.yml", {**PLUGIN, "ask": True, **cached, **key})
    variables, groups, warnings = inventory.read()
    assert "The namespaces of away are not known" in warnings
    assert sorted(groups["namespaces"]) == sorted([f"{name}@here", f"{transient}@here"])
    assert groups["are_up"] == groups["namespaces"]
    known = variables[f"{name}@here"]
    assert known["ns_kinds"] == ["mnt", "uts"]
    assert (known["ns_persistent"], known["ns_root"]) == (True, "/")
    done = inventory.run("ansible", f"{name}@*", "-m", "raw", "-a", "readlink /proc/self/ns/uts")
    assert done.returncode == 0, done.stdout
    assert os.readlink("/proc/self/ns/uts") not in done.stdout

    gone = {"name": name, "state": "absent", "force": True}
    assert run_module("ns_namespace", gone)["changed"]
    assert sorted(inventory.read()[1]["namespaces"]) == sorted(groups["namespaces"])
    done = inventory.run("ansible", f"{name}@*", "-m", "ping", "--flush-cache")
    assert f"{name}@here" not in done.stdout  # without nsctl as well


def test_what_names_no_namespace(inventory: Inventory) -> None:
    inventory.write("hosts.yml", {"all": {"hosts": {"host1": {"namespaces": ["a b"]}}}})
    inventory.write("namespaces.yml", PLUGIN)
    done = inventory.run("ansible-inventory", "--list")
    assert "among the namespaces of host1 is the name 'a b'" in done.stderr
