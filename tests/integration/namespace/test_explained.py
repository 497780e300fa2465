# SPDX-License-Identifier: GPL-3.0-or-later
"""Each cause of a failed unshare(2), setns(2) or uid_map that can be had on this kernel, named.

Those that take no more than an option of a module are in test_ns_unshare_run.py and
test_ns_setns_run.py.
"""

from __future__ import annotations

import ctypes
import errno
import os
import pathlib
import platform
import struct
import threading
import typing as t

import pytest
from programs import in_child, run_program
from unshared_process import UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import (
    KernelError,
    Refused,
    StepFailed,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import (
    explain,
    id_map,
    target,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import run
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.execute import Program
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
    namespaces,
    processes,
)

NOBODY = 65534
Answer = tuple[str, str, str]


def unshare_answer(*creates: str) -> Answer:
    """The errno of an unshare(2) that fails, with reason and hint."""
    try:
        namespaces.unshare(kinds.flags_of(creates))
    except KernelError as error:
        return (error.errno_name, *explain.unshare(error, creates))
    raise AssertionError(f"unshare of {creates} did not fail")


def join_answer(handles: target.Handles) -> Answer:
    """The errno of a setns(2) that fails, with reason and hint."""
    try:
        handles.join()
    except KernelError as error:
        return (error.errno_name, *explain.birth(error, joins=handles, creates=()))
    raise AssertionError("setns did not fail")


def with_a_thread(function: t.Callable[[], t.Any]) -> t.Any:
    """Call it in a process that has a second thread."""

    def threaded() -> t.Any:
        done = threading.Event()
        thread = threading.Thread(target=done.wait)
        thread.start()
        try:
            return function()
        finally:
            done.set()
            thread.join()

    return in_child(threaded)


def handle_on(kind: str, path: str) -> target.Handles:
    return target.Handles({kind: os.open(path, os.O_RDONLY | os.O_CLOEXEC)})


def map_all() -> None:
    """In a new user namespace: be root there."""
    pathlib.Path("/proc/self/setgroups").write_text("deny")
    for which in ("uid", "gid"):
        pathlib.Path(f"/proc/self/{which}_map").write_text("0 0 1")


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


# uid_map and its kind


def run_in_user_namespace(**request: t.Any) -> run.Outcome:
    program = Program(("true",), environment=dict(os.environ))
    return run.run(run.Request(program, creates=("user",), **request), check=False)


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

    with pytest.raises(Refused) as refused:
        in_child(without_a_path)
    assert "newgidmap is missing" in refused.value.reason
    assert "uidmap" in refused.value.hint


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
