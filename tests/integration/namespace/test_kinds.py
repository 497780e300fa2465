# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_namespace: what the kinds ipc, time, cgroup and user have of their own."""

from __future__ import annotations

import ctypes
import os
import pathlib
import time
import typing as t

import pytest
from host_state import host_state
from named_namespaces import (
    NewName,
    present,
    refused,
)
from processes_inside import inside
from results import Converge, RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)


def test_the_hosts_queues_are_not_seen(converge: Converge, new_name: NewName) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    queue = libc.msgget(0, 0o1600)  # IPC_PRIVATE, IPC_CREAT
    assert queue >= 0
    table = pathlib.Path("/proc/sysvipc/msg")
    try:
        name = new_name()
        present(converge, name, kinds=["ipc"])
        assert str(queue) in [line.split()[1] for line in table.read_text().splitlines()]
        assert len(inside(name, table.read_text).splitlines()) == 1  # the heading
    finally:
        libc.msgctl(queue, 0, None)  # IPC_RMID


def clocks() -> tuple[float, float]:
    return time.clock_gettime(time.CLOCK_MONOTONIC), time.clock_gettime(time.CLOCK_BOOTTIME)


def test_both_clocks_have_their_offsets(
    converge: Converge, run_module: RunModule, new_name: NewName
) -> None:
    name = new_name()
    offsets = {"monotonic": 7200, "boottime": 3600}
    present(converge, name, kinds=["time"], time_offsets=offsets)
    here, there = clocks(), inside(name, clocks)
    assert there[0] - here[0] == pytest.approx(7200, abs=5)
    assert there[1] - here[1] == pytest.approx(3600, abs=5)
    other = {"monotonic": 7200}
    failure = refused(run_module, name, kinds=["time"], time_offsets=other)
    assert "time_offsets is" in failure["reason"]
    present(converge, name, kinds=["time"], time_offsets=other, recreate=True)
    here, there = clocks(), inside(name, clocks)
    assert there[1] - here[1] == pytest.approx(0, abs=5)


def test_offsets_out_of_range_are_explained(run_module: RunModule, new_name: NewName) -> None:
    before = host_state()
    for seconds in (-int(clocks()[1]) - 1000, 5_000_000_000):
        args = {"name": new_name(), "kinds": ["time"], "time_offsets": {"boottime": seconds}}
        failure = run_module("ns_namespace", args)
        assert "would be below zero, or overflow" in failure["reason"]
        assert "step" not in failure  # it is known before anything is made
    assert host_state() == before


def test_the_root_of_cgroups_is_shown_as_slash(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    present(converge, name, kinds=["cgroup"])
    table = inside(name, lambda: pathlib.Path("/proc/self/cgroup").read_text()).splitlines()
    assert table
    assert {line.partition(":")[2].partition(":")[2] for line in table} == {"/"}


# --- user


def maps_inside(name: str) -> tuple[list[str], list[str]]:
    def read() -> tuple[list[str], list[str]]:
        texts = [pathlib.Path(f"/proc/self/{which}_map").read_text() for which in ("uid", "gid")]
        uid, gid = ([" ".join(line.split()) for line in text.splitlines()] for text in texts)
        return uid, gid

    found: tuple[list[str], list[str]] = inside(name, read)
    return found


@pytest.fixture
def subordinate_ids() -> t.Iterator[None]:
    """Ranges for root in /etc/subuid and /etc/subgid."""
    paths = [pathlib.Path(definitions.DIRECTORY).parent / name for name in ("subuid", "subgid")]
    before = [path.read_text() if path.exists() else None for path in paths]
    for path in paths:
        path.write_text("nobody:1:2\nroot:500000:65536\n")
    yield
    for path, text in zip(paths, before):
        if text is None:
            path.unlink()
        else:
            path.write_text(text)


@pytest.mark.usefixtures("subordinate_ids")
def test_id_maps(
    converge: Converge, run_module: RunModule, new_name: NewName, tmp_path: pathlib.Path
) -> None:
    def one(inside: int, outside: int, count: int) -> dict[str, int]:
        return {"inside": inside, "outside": outside, "count": count}

    explicit = {
        "uid": [one(0, 100000, 10), one(1000, 0, 1)],
        "gid": [one(0, 200000, 1)],
    }
    cases: list[tuple[t.Any, tuple[list[str], list[str]]]] = [
        (None, (["0 0 1"], ["0 0 1"])),
        ("root", (["0 0 1"], ["0 0 1"])),
        ("auto", (["0 500000 65536"], ["0 500000 65536"])),
        (explicit, (["0 100000 10", "1000 0 1"], ["0 200000 1"])),
    ]
    for value, expected in cases:
        name = new_name()
        options = {} if value is None else {"id_map": value}
        present(converge, name, kinds=["user", "mnt", "net"], **options)
        assert maps_inside(name) == expected, value
        # A named namespace is root's, so groups may be set in it.
        setgroups = inside(name, lambda: pathlib.Path("/proc/self/setgroups").read_text())
        assert setgroups.strip() == "allow"
        assert inside(name, lambda: (os.getuid(), os.getgid(), os.getgroups())) == (0, 0, [])
        other = "auto" if value != "auto" else "root"
        reason = refused(run_module, name, kinds=["user", "mnt", "net"], id_map=other)["reason"]
        assert "id_map is" in reason
    # Root inside is nobody outside: a directory of root's is closed.
    name = new_name()
    present(converge, name, kinds=["user", "mnt"], id_map="auto")
    assert inside(name, lambda: os.access(tmp_path, os.R_OK)) is False
