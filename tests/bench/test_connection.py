# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task inside costs over ssh, as a ratio of the same task on the host over Ansible's own ssh."""

from __future__ import annotations

import json
import pathlib
import re
import statistics
import typing as t

import own_host
import pytest
import timed
from remote_host import ADMIN, remote_host

from ansible_collections.linux.namespaces.plugins.module_utils._core import nsctl
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.properties import (
    Properties,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.install import host_command
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import (
    namespace,
    namespace_removal,
)

ROUNDS = 25
NAME = "bench-connection"
# By how the namespaces are known. Ansible loads a collection's connection plugin, with all its
# options, in each process that runs a task; the inventory plugin has loaded it before those begin.
MOST = {"inventory plugin": 1.15, "variables alone": 1.25}
Variables = dict[str, t.Any]


@pytest.fixture(scope="module")
def hosts() -> t.Iterator[dict[str, Variables]]:
    """The host and a namespace on it, as root and as a user with sudo."""
    own_host.enter()  # so that this machine gets neither sshd nor users
    try:
        with remote_host() as remote:
            properties = Properties(kinds=("mnt", "uts"))
            namespace.present(namespace.NamespaceRequest(NAME, properties), check=False)
            host_command.present(nsctl, check=False)
            common = {**remote, "ansible_pipelining": True}
            common["ansible_python_interpreter"] = "/usr/bin/python3"
            # What root's own shell does when it starts would hide what entering costs.
            users = pathlib.Path("/etc/passwd")
            users.write_text(re.sub("(?m)^root:(.*):.*$", r"root:\1:/bin/sh", users.read_text()))
            sudo = {"ansible_user": ADMIN, "ansible_ns_escalation": "sudo"}
            yield {"root": common, "user": {**common, **sudo}}
    finally:
        namespace_removal.absent(NAME, check=False, force=True, lock_timeout=10)
        host_command.absent(check=False)


def measure(hosts: dict[str, Variables], how: str, where: pathlib.Path) -> dict[str, list[float]]:
    """The durations in seconds of a task on each host, and inside on it. They take turns."""
    static, inventory = where / "hosts.json", where / "named.yml"
    inside = {"ansible_connection": "linux.namespaces.ssh", "ansible_ns_namespace": NAME}
    if how == "inventory plugin":
        hosts = {name: {**hosts[name], "namespaces": [NAME]} for name in hosts}
        inventory.write_text(json.dumps({"plugin": "linux.namespaces.named"}))
    else:
        hosts = {**hosts, **{f"{NAME}@{name}": {**hosts[name], **inside} for name in hosts}}
        inventory.write_text(json.dumps({"all": {}}))
    static.write_text(json.dumps({"all": {"hosts": hosts}}))
    turn = [
        {
            "hosts": host,
            "gather_facts": False,
            # Who is not root there becomes it, as entering takes.
            "become": host == "user",
            "tasks": [{"name": host, "ansible.builtin.ping": None}],
        }
        for name in ("root", "user")
        for host in (name, f"{NAME}@{name}")
    ]
    arguments = (f"--inventory={static}", f"--inventory={inventory}")
    found = timed.durations(turn * ROUNDS, where, *arguments)
    return {name: times[1:] for name, times in found.items()}  # the first has logged in


@pytest.mark.parametrize("how", MOST)
def test_a_task_inside(hosts: dict[str, Variables], how: str, tmp_path: pathlib.Path) -> None:
    took = measure(hosts, how, tmp_path)
    ratios = {}
    print()
    for who in hosts:
        host, inside = took[who], took[f"{NAME}@{who}"]
        ratios[who] = timed.ratio(inside, host)
        print(
            f"{who}, {how}: {statistics.median(inside):.3f} s inside, "
            f"{statistics.median(host):.3f} s on the host, ratio {ratios[who]:.2f} ≤ {MOST[how]}"
        )
    assert max(ratios.values()) <= MOST[how]
