# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to start a program through nsctl, as a ratio of starting Python itself."""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import time
import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core import nsctl
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.properties import (
    Properties,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.install import host_command
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import (
    namespace,
    namespace_removal,
)

ROUNDS = 60
NAME = "bench-nsctl"
MOST = 2.5
# list, show and up read what there is to know: less than a second on a quiet machine.
MOST_OF_OTHERS = 60.0


@pytest.fixture(scope="module")
def python() -> t.Iterator[str]:
    """The interpreter that nsctl is installed with, beside a namespace to enter."""
    properties = Properties(kinds=("mnt", "uts", "net"))
    namespace.present(namespace.NamespaceRequest(NAME, properties), check=False)
    try:
        host_command.present(nsctl, check=False)
        yield pathlib.Path(host_command.COMMAND).read_text().split()[0][2:]
    finally:
        namespace_removal.absent(NAME, check=False, force=True, lock_timeout=10)
        host_command.absent(check=False)


def durations(commands: dict[str, list[str]]) -> dict[str, float]:
    """The median duration of each command in seconds; they take turns, so that load hits all."""
    found: dict[str, list[float]] = {title: [] for title in commands}
    for _round in range(ROUNDS):
        for title, argv in commands.items():
            before = time.perf_counter()
            subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            found[title].append(time.perf_counter() - before)
    return {title: statistics.median(times) for title, times in found.items()}


def test_starting_a_program(python: str) -> None:
    base = [python, "-I", "-S", "-c", "pass"]
    took = durations(
        {
            "python": base,
            "nsctl exec": [host_command.COMMAND, "exec", NAME, "--", "/bin/true"],
            "as nobody": [host_command.COMMAND, "exec", NAME, "--user=nobody", "--", "/bin/true"],
            "nsenter": ["nsenter", f"--mount={pins.path(NAME, 'mnt')}", "/bin/true"],
        }
    )
    print()
    for title, seconds in took.items():
        print(f"{title}: {seconds * 1000:.1f} ms, ratio {seconds / took['python']:.2f}")
    assert took["nsctl exec"] <= MOST * took["python"]


def test_list_and_show(python: str) -> None:
    took = durations(
        {
            "python": [python, "-I", "-S", "-c", "pass"],
            "list": [host_command.COMMAND, "list", "--json"],
            "show": [host_command.COMMAND, "show", NAME, "--json"],
            "up": [host_command.COMMAND, "up", "--all"],
        }
    )
    print()
    for title, seconds in took.items():
        print(f"{title}: {seconds * 1000:.0f} ms, ratio {seconds / took['python']:.1f}")
    listed = json.loads(subprocess.check_output([host_command.COMMAND, "list", "--json"]))
    assert [each["name"] for each in listed if each["name"] == NAME] == [NAME]
    assert max(took.values()) <= MOST_OF_OTHERS * took["python"]
