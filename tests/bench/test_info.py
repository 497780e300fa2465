# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_info with 2,000 processes in 1,000 namespaces, beside lsns(8) and beside an empty task."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import typing as t

import pytest
from conftest import TaskSeconds, best

from ansible_collections.linux.namespaces.plugins.module_utils._core import info

NAMESPACES, PROCESSES = 1000, 2000
COLUMNS = "NS,TYPE,NPROCS,PID,PPID,COMMAND,UID,USER,NETNSID,NSFS,PNS,ONS"


@pytest.fixture(scope="module")
def crowd() -> t.Iterator[None]:
    script = str(pathlib.Path(__file__).with_name("crowd.py"))
    argv = [sys.executable, script, str(NAMESPACES), str(PROCESSES // NAMESPACES)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
        process.kill()


def lsns() -> list[t.Any]:
    argv = ["lsns", "--json", "--list", "--output", COLUMNS]
    shown = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    return list(shown["namespaces"])


@pytest.mark.usefixtures("crowd")
def test_it_is_faster_than_lsns() -> None:
    assert len(info.namespaces()) >= len(lsns()) >= NAMESPACES
    own, theirs = best(info.namespaces), best(lsns)
    print(f"\nns_info's own part: {own * 1e3:.0f} ms, lsns: {theirs * 1e3:.0f} ms")
    assert own < theirs


@pytest.mark.usefixtures("crowd")
def test_it_costs_little_more_than_an_empty_task(task_seconds: TaskSeconds) -> None:
    ping, ours = task_seconds({"ansible.builtin.ping": {}}, {"linux.namespaces.ns_info": {}})
    print(f"\nping: {ping:.3f} s, ns_info: {ours:.3f} s, ratio {ours / ping:.2f}")
    # Ansible itself takes 0.4 of that to carry the 13,000 values of such a result.
    assert ours / ping <= 2.0
