# SPDX-License-Identifier: GPL-3.0-or-later
"""Each cause of a failed write to uid_map, named; and that what is refused is what the kernel refuses."""

from __future__ import annotations

import errno
import os
import typing as t

import pytest
from failed_calls import NOBODY, map_all
from programs import in_child, run_program

from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import (
    KernelError,
    Refused,
    StepFailed,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import id_map
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import run
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.program import Program
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
    namespaces,
    processes,
)

# uid_map and its kind


def run_in_user_namespace(**request: t.Any) -> run.RunResult:
    program = Program(("true",), environment=dict(os.environ))
    return run.run(run.RunRequest(program, creates=("user",), **request), check=False)


def map_failure(function: t.Callable[[], t.Any]) -> StepFailed:
    with pytest.raises(StepFailed) as failed:
        in_child(function)
    assert failed.value.step == "map ids"
    return failed.value


def test_uid_map_eperm_without_the_right_to_map_root() -> None:
    def without_setfcap() -> None:
        effective, permitted, inheritable = processes.get_capabilities()
        without = ~(1 << 31)
        processes.set_capabilities(
            effective=effective & without, permitted=permitted & without, inheritable=inheritable
        )
        run_in_user_namespace()

    failed = map_failure(without_setfcap)
    assert "CAP_SETFCAP to map root" in failed.reason


def test_uid_map_eacces_after_a_change_of_user_without_exec() -> None:
    def as_nobody() -> None:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        run_in_user_namespace()

    failed = map_failure(as_nobody)
    assert "without execve(2)" in failed.reason
    assert "sudo" in failed.hint


def test_uid_map_einval_ids_that_the_parent_does_not_have() -> None:
    def from_a_small_one() -> None:
        namespaces.unshare(kinds.flags_of(["user"]))
        map_all()
        numbers = [{"inside": 0, "outside": 7, "count": 1}]
        run_in_user_namespace(id_map={"uid": numbers, "gid": numbers})

    failed = map_failure(from_a_small_one)
    assert failed.cause.errno in (errno.EINVAL, errno.EPERM)
    assert failed.reason


def test_newuidmap_that_is_missing_is_named() -> None:
    def without_a_path() -> None:
        os.environ["PATH"] = "/no/such"
        os.setresuid(NOBODY, NOBODY, NOBODY)
        processes.prctl(processes.PR_SET_DUMPABLE, 1)
        ranges = [{"inside": 0, "outside": 100000, "count": 10}]
        run_in_user_namespace(id_map={"uid": ranges, "gid": ranges})

    failed = map_failure(without_a_path)
    assert "newgidmap is missing" in failed.reason
    assert "uidmap" in failed.hint


@pytest.mark.parametrize("number", [1, 5, 6, 340])
def test_the_kernel_takes_as_many_ranges_as_are_let_through(number: int) -> None:
    ranges = [{"inside": each, "outside": each * 2, "count": 1} for each in range(number)]
    outcome = run_in_user_namespace(id_map={"uid": ranges, "gid": ranges})
    assert outcome.status == 0


def test_the_kernel_takes_all_ids_at_once() -> None:
    last = (1 << 32) - 1
    ranges = [{"inside": 0, "outside": 0, "count": last}]
    assert run_in_user_namespace(id_map={"uid": ranges, "gid": ranges}).status == 0


def test_what_is_refused_the_kernel_would_refuse() -> None:
    """The checks are no stricter than the kernel's own."""
    refused = [
        (id_map.Range(0, 0, 2), id_map.Range(1, 5, 1)),
        (id_map.Range(0, 5, 2), id_map.Range(7, 6, 1)),
        (id_map.Range(0, 0, 1 << 32),),
        (id_map.Range((1 << 32) - 1, 0, 1),),
        (id_map.Range(0, 0, 0),),
        tuple(id_map.Range(each, each * 2, 1) for each in range(341)),
    ]
    for ranges in refused:
        value = [vars(each) for each in ranges]
        caller = id_map.Caller(0, 0, "root")
        with pytest.raises(Refused):
            id_map.parse({"uid": value, "gid": value}, caller)
        with pytest.raises(StepFailed) as failed:
            maps = id_map.IdMaps(ranges, ranges)
            run_program("true", options={"creates": ["user"], "prepare": maps.write})
        assert isinstance(failed.value.cause, KernelError)
        assert failed.value.cause.errno_name == "EINVAL"
