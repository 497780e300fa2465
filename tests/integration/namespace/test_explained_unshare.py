# SPDX-License-Identifier: GPL-3.0-or-later
"""Each cause of a failed unshare(2) that can be had on this kernel, named.

Those that take no more than an option of a module are in run/test_unshare_users.py.
"""

from __future__ import annotations

import ctypes
import errno
import os
import pathlib
import platform
import struct

import pytest
from failed_calls import NOBODY, Answer, map_all, with_a_thread
from programs import in_child, run_program
from unshared_process import UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import (
    KernelError,
    StepFailed,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import (
    explain,
    target,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
    namespaces,
    processes,
)


def unshare_answer(*creates: str) -> Answer:
    """The errno of an unshare(2) that fails, with reason and hint."""
    try:
        namespaces.unshare(kinds.flags_of(creates))
    except KernelError as error:
        return (error.errno_name, *explain.unshare(error, creates))
    raise AssertionError(f"unshare of {creates} did not fail")


# unshare(2)


def test_unshare_einval_a_kind_that_the_kernel_lacks() -> None:
    error = KernelError("unshare", errno.EINVAL)
    reason, hint = explain.unshare(error, ["mnt", "future"])
    assert reason == "this kernel has no namespaces of the kind future"
    assert hint


def test_unshare_einval_user_with_threads() -> None:
    name, reason, _hint = with_a_thread(lambda: unshare_answer("user"))
    assert name == "EINVAL"
    assert reason == "a process with several threads cannot get a user namespace of its own"


def test_unshare_einval_pid_twice() -> None:
    def twice() -> Answer:
        namespaces.unshare(kinds.flags_of(["pid"]))
        return unshare_answer("pid")

    name, reason, hint = in_child(twice)
    assert name == "EINVAL"
    assert "cannot be born into two pid namespaces" in reason
    assert "Leave pid out of kinds" in hint


def test_unshare_einval_pid_while_a_pid_namespace_is_joined(
    unshared_process: UnsharedProcess,
) -> None:
    inside = unshared_process(["pid"])
    with target.Target(pid=inside.pid).open() as handles, pytest.raises(StepFailed) as failed:
        run_program("true", options={"joins": handles, "creates": ["pid"]})
    assert failed.value.step == "join pid and create pid"
    assert isinstance(failed.value.cause, KernelError)
    assert failed.value.cause.errno_name == "EINVAL"
    assert "cannot be born into two pid namespaces" in failed.value.reason


def test_unshare_enospc_nested_too_deep() -> None:
    def nest() -> Answer:
        for _level in range(40):
            try:
                namespaces.unshare(kinds.flags_of(["user"]))
            except KernelError as error:
                return (error.errno_name, *explain.unshare(error, ["user"]))
            map_all()
        raise AssertionError("no limit was met")

    name, reason, _hint = in_child(nest)
    assert name == "ENOSPC"
    assert "nested 32 levels deep" in reason
    assert "user.max_user_namespaces=" in reason


def test_unshare_enospc_the_limit_is_reached() -> None:
    def use_up() -> Answer:
        namespaces.unshare(kinds.flags_of(["user"]))
        map_all()
        pathlib.Path("/proc/sys/user/max_uts_namespaces").write_text("1")
        namespaces.unshare(kinds.flags_of(["uts"]))
        return unshare_answer("uts")

    name, reason, hint = in_child(use_up)
    assert name == "ENOSPC"
    assert "(user.max_uts_namespaces=1)" in reason
    assert "ns_info" in hint


def test_unshare_eperm_without_the_right_to() -> None:
    def as_nobody() -> Answer:
        os.setresuid(NOBODY, NOBODY, NOBODY)
        return unshare_answer("net", "mnt")

    name, reason, hint = in_child(as_nobody)
    assert name == "EPERM"
    assert reason == "only root may create mnt, net without a user namespace (CAP_SYS_ADMIN)"
    assert "add user to kinds" in hint


def test_unshare_eperm_ids_that_are_not_mapped() -> None:
    def unmapped() -> Answer:
        namespaces.unshare(kinds.flags_of(["user"]))
        return unshare_answer("user")

    name, reason, _hint = in_child(unmapped)
    assert name == "EPERM"
    assert reason == "the uid of the caller has no counterpart in its own user namespace"


def test_unshare_eperm_in_a_chroot(tmp_path: pathlib.Path) -> None:
    def in_chroot() -> Answer:
        os.chroot(tmp_path)
        return unshare_answer("user")

    name, reason, hint = in_child(in_chroot)
    assert name == "EPERM"
    assert "chroot(2)" in reason
    assert "pivot_root(2)" in hint


UNSHARE_NUMBERS = {"x86_64": 272, "aarch64": 97}


@pytest.mark.skipif(
    platform.machine() not in UNSHARE_NUMBERS,
    reason=f"the number of unshare(2) on {platform.machine()} is not known to this test",
)
def test_unshare_eperm_by_a_filter() -> None:
    def filtered() -> Answer:
        # seccomp(2): load the number; is it unshare's? then EPERM, else allow.
        program = b"".join(
            struct.pack("=HBBI", *instruction)
            for instruction in (
                (0x20, 0, 0, 0),
                (0x15, 0, 1, UNSHARE_NUMBERS[platform.machine()]),
                (0x06, 0, 0, 0x00050000 | errno.EPERM),
                (0x06, 0, 0, 0x7FFF0000),
            )
        )
        code = ctypes.create_string_buffer(program)
        header = ctypes.create_string_buffer(struct.pack("=H6xQ", 4, ctypes.addressof(code)))
        processes.prctl(processes.PR_SET_NO_NEW_PRIVS, 1)
        processes.prctl(22, 2, ctypes.addressof(header))
        return unshare_answer("mnt")

    name, reason, _hint = in_child(filtered)
    assert name == "EPERM"
    assert "a system call filter forbids it" in reason


@pytest.mark.parametrize(
    ("settings", "named", "hint"),
    [
        ({}, "", ""),
        ({"kernel/unprivileged_userns_clone": "1"}, "", ""),
        (
            {"kernel/unprivileged_userns_clone": "0"},
            "kernel.unprivileged_userns_clone is 0",
            "kernel.unprivileged_userns_clone=1",
        ),
        ({"kernel/apparmor_restrict_unprivileged_userns": "0"}, "", ""),
        (
            {"kernel/apparmor_restrict_unprivileged_userns": "1"},
            "kernel.apparmor_restrict_unprivileged_userns is 1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ],
)
def test_switches_of_distributions_are_named(
    settings: dict[str, str], named: str, hint: str
) -> None:
    answer = explain.forbidding_switch(settings.get)
    assert (named in answer[0], bool(answer[0])) == (True, bool(named))
    assert hint in answer[1]
