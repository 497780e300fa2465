# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixtures themselves, where a mistake in them would hide others."""

from __future__ import annotations

import os

from results import RunModule
from unshared_process import UnsharedProcess

NOBODY = 65534


def test_the_tests_have_a_host_of_their_own() -> None:
    assert os.readlink("/proc/self/ns/mnt") != os.readlink(f"/proc/{os.getppid()}/ns/mnt")
    # The others are of mount(8), and of libblkid in other programs of the tests.
    assert set(os.listdir("/run")) <= {"tests", "mount", "blkid"}


def test_an_unshared_process_has_the_namespaces(unshared_process: UnsharedProcess) -> None:
    kinds = ("cgroup", "ipc", "mnt", "net", "pid", "time", "uts")
    process = unshared_process(kinds)
    for kind in kinds:
        theirs, ours = (os.readlink(f"/proc/{pid}/ns/{kind}") for pid in (process.pid, "self"))
        assert theirs != ours
    assert process.run("sh", "-c", "echo $PPID").strip() == "0"


def test_a_module_reads_its_environment_anew(
    run_module: RunModule, unshared_process: UnsharedProcess, tmp_path: os.PathLike[str]
) -> None:
    args = {"pid": unshared_process().pid, "path": str(tmp_path), "fstype": "tmpfs"}
    absent = {"LINUX_NAMESPACES_ABSENT_CALLS": "fsopen"}
    assert run_module("ns_mount", args, env=absent)["errno"] == "ENOSYS"
    assert run_module("ns_mount", args)["changed"]


def test_a_module_runs_as_a_user(run_module: RunModule, unshared_process: UnsharedProcess) -> None:
    args = {"pid": unshared_process().pid, "path": "/mnt", "fstype": "tmpfs"}
    assert run_module("ns_mount", args, user=NOBODY)["failed"]
