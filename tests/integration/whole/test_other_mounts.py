# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs with mounts of their own, as in a unit with PrivateTmp=, work with those of the host."""

from __future__ import annotations

import os
import typing as t

import other_mounts
import pytest
from command import Nsctl
from named_namespaces import NewName
from other_mounts import OWN_RUN, Host

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.plugin_utils._entering import Way

LISTED = "ls /run/linux-namespaces 2>/dev/null"


@pytest.fixture(scope="module")
def private_host() -> t.Iterator[Host]:
    with other_mounts.host() as made:
        yield made


def test_what_they_make_and_remove_is_the_hosts(private_host: Host, new_name: NewName) -> None:
    name = new_name()
    args: dict[str, t.Any] = {"name": name, "kinds": ["mnt", "uts"], "persistent": False}
    mount = {"namespace": name, "path": "/srv", "src": "t", "fstype": "tmpfs"}
    made = private_host.run("ns_namespace", mounts="", **args)
    assert made["changed"], made
    assert sorted(made["namespace"]["kinds"]) == ["mnt", "uts"]
    # The host has both, and so have others with mounts of their own, which see one of them.
    for mounts in (None, ""):
        again = private_host.run("ns_namespace", mounts=mounts, **args)
        assert again["changed"] is False, again
        assert again["namespace"]["kinds"] == made["namespace"]["kinds"]
    assert private_host.run("ns_mount", mounts="", **mount)["changed"]
    assert private_host.run("ns_mount", **mount)["changed"] is False
    gone = private_host.run("ns_namespace", mounts="", name=name, state="absent")
    assert gone["changed"], gone
    assert private_host.shell(LISTED).stdout == ""


def test_nsctl(private_host: Host, new_name: NewName, nsctl: Nsctl) -> None:
    name = new_name()
    args = {"name": name, "kinds": ["mnt", "uts"], "hostname": "inside", "persistent": False}
    assert private_host.run("ns_namespace", **args)["changed"]
    apart = ["unshare", "--mount"]
    entered = private_host.shell(f"{nsctl.path} exec {name} -- uname -n", before=apart)
    assert entered.stdout == "inside\n", entered
    listed = private_host.shell(f"{nsctl.path} list {name}", before=apart)
    assert "mnt,uts" in listed.stdout, listed
    # What is not joined is the caller's own.
    script = f"mount -t tmpfs own /mnt; >/mnt/x; {nsctl.path} exec --kinds=uts {name} -- ls /mnt"
    assert private_host.shell(script, before=apart).stdout == "x\n"
    assert private_host.run("ns_namespace", name=name, state="absent")["changed"]


def test_connections_where_there_is_no_nsctl(private_host: Host, new_name: NewName) -> None:
    name = new_name()
    args = {"name": name, "kinds": ["mnt", "uts"], "hostname": "inside", "persistent": False}
    assert private_host.run("ns_namespace", **args)["changed"]
    assert not os.path.exists(host_paths.COMMAND)
    way = Way(namespace=name).around("uname -n; readlink /proc/self/ns/mnt")
    entered = private_host.shell(way, before=["unshare", "--mount"])
    assert entered.stdout == private_host.shell(way).stdout, entered
    assert entered.stdout.startswith("inside\n")
    assert private_host.run("ns_namespace", name=name, state="absent")["changed"]


def test_one_with_a_run_of_its_own_is_another_host(private_host: Host, new_name: NewName) -> None:
    args = {"name": new_name(), "kinds": ["uts"], "persistent": False}
    for _round in range(2):  # each time there was none
        assert private_host.run("ns_namespace", mounts=OWN_RUN, **args)["changed"]
    assert private_host.shell(LISTED).stdout == ""


def test_who_may_not_join_the_hosts_is_told(private_host: Host, new_name: NewName) -> None:
    args = {"name": new_name(), "kinds": ["uts"], "persistent": False}
    limit = "setpriv --bounding-set=-sys_admin"
    done = private_host.run("ns_namespace", mounts="", limit=limit, **args)
    assert done["failed"]
    assert "this run has mounts of its own" in done["reason"]
    assert "EPERM" in done["reason"]
    assert private_host.shell(LISTED).stdout == ""


def test_a_path_of_their_own_is_not_there(private_host: Host) -> None:
    source = "/mnt/of-a-task"
    done = private_host.run(
        "ns_mount", mounts=f">{source}", path="/srv", src=source, opts="bind", persistent=False
    )
    assert done["failed"]
    assert "paths name what they name there" in done["hint"]
    assert not os.path.exists(source)
