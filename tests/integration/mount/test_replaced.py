# SPDX-License-Identifier: GPL-3.0-or-later
"""A mount that is replaced under those who use it: the file is always there, and whole."""

from __future__ import annotations

import os
import pathlib
import subprocess
import typing as t

import pytest
from readers import reading
from results import RunModule
from unshared_process import Unshared
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.wanted import WantedMount
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace.target import Target
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import mount
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations.mount import (
    MountRequest,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import call

ROUNDS = int(os.environ.get("REPLACEMENTS", "100"))
BENEATH = "nothing is mounted"


@pytest.fixture
def place(tmp_path: pathlib.Path) -> pathlib.Path:
    found = tmp_path / "place"
    found.mkdir()
    (found / "file").write_text(BENEATH)
    return found


def replaced(target: Unshared, place: pathlib.Path, src: pathlib.Path, text: str) -> None:
    src.mkdir()
    (src / "file").write_text(text)
    wanted = WantedMount(str(place), str(src), words=("bind",)).checked()
    result = mount.run(MountRequest(Target(pid=target.pid), (wanted,)), check=False)
    assert len(result.actions) == 1, result.actions


def test_a_reader_sees_no_gap(
    target: Unshared, place: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    is_older = "move_mount_beneath" in call.absent_calls
    texts = [f"{number} " * 200 for number in range(ROUNDS)]
    replaced(target, place, tmp_path / "first", "first")
    with reading(target.pid, f"{place}/file") as readings:
        assert wait_until(lambda: readings.number() > 100)
        for number, text in enumerate(texts):
            replaced(target, place, tmp_path / str(number), text)
    print(readings.seen.total(), "readings of", len(readings.seen), "contents")
    # Before Linux 6.5 what is beneath the mount is seen in between, and nothing else.
    allowed = {"first", *texts} | ({BENEATH} if is_older else set())
    assert set(readings.seen) <= allowed
    assert readings.seen.total() > ROUNDS
    assert len(target.mounted_on(str(place))) == 1


def test_what_is_mounted_below_goes_with_it(
    run_module: RunModule, target: Unshared, place: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """And stays for who is in it. Those of the same list are mounted in the new one."""
    for name in ("old", "new"):
        for below in ("other", "listed"):
            (tmp_path / name / below).mkdir(parents=True)
    top = {"path": str(place), "src": f"{tmp_path}/old", "opts": "bind"}
    listed = {"path": f"{place}/listed", "src": "listed", "fstype": "tmpfs"}
    args: dict[str, t.Any] = {"pid": target.pid, "mounts": [top, listed]}
    assert run_module("ns_mount", args)["changed"]
    target.run("mount", "-t", "tmpfs", "other", f"{place}/other")
    target.run("touch", f"{place}/other/mark")
    argv = ["nsenter", f"--target={target.pid}", "--mount", f"--wdns={place}/other", "sh", "-c"]
    with subprocess.Popen(
        [*argv, "echo; read line; ls; pwd -P"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as user:
        assert user.stdin is not None and user.stdout is not None
        user.stdout.readline()
        top["src"] = f"{tmp_path}/new"
        done = run_module("ns_mount", args)
        assert done["actions"] == [
            f"replace with bind of {tmp_path}/new on {place} (differs: source)",
            f"mount tmpfs on {place}/listed",
        ]
        user.stdin.write("\n")
        user.stdin.close()
        assert user.stdout.read().startswith("mark\n")
    assert target.mounted_on(f"{place}/other") == []
    assert len(target.mounted_on(f"{place}/listed")) == 1
    assert not run_module("ns_mount", args)["changed"]
