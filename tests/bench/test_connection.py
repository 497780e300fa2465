# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task inside costs over ssh, as a ratio of the same task on the host over Ansible's own ssh."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import statistics
import sys
import typing as t

import pytest
import timed

from ansible_collections.linux.namespaces.plugins.module_utils._core import install, named

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "integration"))

from remote_host import ADMIN, remote_host

INTEGRATION = pathlib.Path(__file__).parents[1] / "integration"


def _of_integration_tests(name: str) -> t.Any:
    spec = importlib.util.spec_from_file_location("of_integration", INTEGRATION / "conftest.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


# A mount namespace of its own, so that this machine gets neither sshd nor users.
own_host = _of_integration_tests("own_host")

ROUNDS = 15
NAME = "bench-connection"
MOST = 1.15
Variables = dict[str, t.Any]


@pytest.fixture(scope="module")
def hosts(own_host: None) -> t.Iterator[dict[str, Variables]]:  # noqa: ARG001
    """The host and a namespace on it, as root and as a user with sudo."""
    try:
        with remote_host() as remote:
            named.present(named.Wanted(NAME, kinds=("mnt", "uts")), check=False, timeout=10)
            install.present(check=False)
            common = {**remote, "ansible_pipelining": True}
            common["ansible_python_interpreter"] = "/usr/bin/python3"
            inside = {"ansible_connection": "linux.namespaces.ssh", "ansible_ns_namespace": NAME}
            admin = {"ansible_user": ADMIN}
            sudo = {**admin, **inside, "ansible_ns_escalation": "sudo"}
            yield {
                "root-host": {**common, "ansible_connection": "ssh"},
                "root-inside": {**common, **inside},
                "user-host": {**common, **admin, "ansible_connection": "ssh"},
                "user-inside": {**common, **sudo},
            }
    finally:
        named.absent(NAME, check=False, force=True, timeout=10)
        install.absent(check=False)


def measure(hosts: dict[str, Variables], where: pathlib.Path) -> dict[str, float]:
    """The median duration in seconds of a task on each host; they take turns, so that load hits all."""
    inventory = where / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    turn = [
        {
            "hosts": host,
            "gather_facts": False,
            "tasks": [{"name": host, "ansible.builtin.ping": None}],
        }
        for host in hosts
    ]
    found = timed.durations(turn * ROUNDS, where, "--inventory", str(inventory))
    return {name: statistics.median(times[1:]) for name, times in found.items()}


def test_a_task_inside(hosts: dict[str, Variables], tmp_path: pathlib.Path) -> None:
    took = measure(hosts, tmp_path)
    print()
    for who in ("root", "user"):
        host, inside = took[f"{who}-host"], took[f"{who}-inside"]
        print(
            f"{who}: {inside:.3f} s inside, {host:.3f} s on the host, {inside / host:.2f} ≤ {MOST}"
        )
    # The user has a plain shell: what root's own one does when it starts hides what entering costs.
    assert took["user-inside"] <= MOST * took["user-host"]
