# SPDX-License-Identifier: GPL-3.0-or-later
"""Each cause of a failed setns(2) that can be had on this kernel, named.

Those that take no more than an option of a module are in run/test_setns.py.
"""

from __future__ import annotations

import os

import pytest
from failed_calls import NOBODY, Answer, with_a_thread
from programs import in_child
from unshared_process import UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import KernelError
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import (
    explain,
    target,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import namespaces


def join_answer(handles: target.Handles) -> Answer:
    """The errno of a setns(2) that fails, with reason and hint."""
    try:
        handles.join()
    except KernelError as error:
        return (error.errno_name, *explain.birth(error, joins=handles, creates=()))
    raise AssertionError("setns did not fail")


def handle_on(kind: str, path: str) -> target.Handles:
    return target.Handles({kind: os.open(path, os.O_RDONLY | os.O_CLOEXEC)})


# setns(2)


def test_setns_einval_no_namespace_file() -> None:
    name, reason, _hint = in_child(lambda: join_answer(handle_on("net", "/etc/passwd")))
    assert (name, reason) == ("EINVAL", "what should be the net namespace is no namespace file")


def test_setns_einval_another_kind() -> None:
    name, reason, _hint = in_child(lambda: join_answer(handle_on("net", "/proc/self/ns/uts")))
    assert (name, reason) == ("EINVAL", "it is a uts namespace, not a net namespace")


def test_setns_einval_the_own_user_namespace() -> None:
    name, reason, _hint = in_child(lambda: join_answer(handle_on("user", "/proc/self/ns/user")))
    assert (name, reason) == ("EINVAL", "a process cannot join the user namespace it is in")


@pytest.mark.parametrize("kind", ["user", "mnt", "time"])
def test_setns_einval_with_threads(unshared_process: UnsharedProcess, kind: str) -> None:
    inside = unshared_process([kind], options=["--map-root-user"] if kind == "user" else [])
    path = f"/proc/{inside.pid}/ns/{kind}"
    name, reason, _hint = with_a_thread(lambda: join_answer(handle_on(kind, path)))
    # time_namespaces(7) says EUSERS for it.
    assert name == ("EUSERS" if kind == "time" else "EINVAL")
    assert reason == f"a process with several threads cannot join a {kind} namespace"


def test_setns_einval_a_pid_namespace_further_out() -> None:
    def from_below() -> Answer:
        outer = handle_on("pid", "/proc/self/ns/pid")
        namespaces.unshare(kinds.flags_of(["pid"]))
        return tuple(in_child(lambda: join_answer(outer)))  # type: ignore[return-value]

    name, reason, hint = in_child(from_below)
    assert name == "EINVAL"
    assert reason == "a pid namespace can only be joined from one that it lies below"
    assert hint


def test_setns_eperm_over_its_owner() -> None:
    def as_nobody() -> Answer:
        handles = handle_on("uts", "/proc/self/ns/uts")
        os.setresuid(NOBODY, NOBODY, NOBODY)
        return join_answer(handles)

    name, reason, hint = in_child(as_nobody)
    assert name == "EPERM"
    assert "no CAP_SYS_ADMIN over the uts namespace" in reason
    assert "whose owner has the uid 0" in reason
    assert "become: true" in hint


def test_setns_eperm_a_user_namespace_of_another(unshared_process: UnsharedProcess) -> None:
    inside = unshared_process(["user"])

    def as_nobody() -> Answer:
        handles = handle_on("user", f"/proc/{inside.pid}/ns/user")
        os.setresuid(NOBODY, NOBODY, NOBODY)
        return join_answer(handles)

    name, reason, _hint = in_child(as_nobody)
    assert name == "EPERM"
    assert "over the user namespace, which is the user namespace" in reason


def test_setns_eperm_from_a_user_namespace_that_cannot_see_the_owner() -> None:
    def from_below() -> Answer:
        handles = handle_on("net", "/proc/self/ns/net")
        namespaces.unshare(kinds.flags_of(["user"]))
        return join_answer(handles)

    name, reason, _hint = in_child(from_below)
    assert name == "EPERM"
    assert "belongs to a user namespace that the caller cannot see" in reason


@pytest.mark.newer_kernel  # which joins by the pidfd; open namespace files outlive the process
def test_setns_esrch_a_process_that_has_ended() -> None:
    def join_a_zombie() -> Answer:
        gate, open_gate = os.pipe()
        pid = os.fork()
        if not pid:
            namespaces.unshare(kinds.flags_of(["uts"]))
            os.close(open_gate)
            os.read(gate, 1)
            os._exit(0)
        while os.readlink(f"/proc/{pid}/ns/uts") == os.readlink("/proc/self/ns/uts"):
            pass
        with target.Target(pid=pid).open() as handles:
            os.close(open_gate)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            return join_answer(handles)

    name, reason, _hint = in_child(join_a_zombie)
    assert (name, reason) == ("ESRCH", "the process has ended")
