# SPDX-License-Identifier: GPL-3.0-or-later
"""A program has a session keyring of its own, as systemd-nspawn(1) gives one to a container."""

from __future__ import annotations

import errno
import os
import typing as t

import keyrings
import pytest
from command import Nsctl
from programs import in_child, run_program
from results import RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import (
    KernelError,
    StepFailed,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.launch import setup
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import processes

pytestmark = pytest.mark.skipif(not in_child(keyrings.works), reason="there are no keys here")
NAME = "secret-of-the-caller"
PYTHON = "/usr/bin/python3"
# Keys count for a while after their end: each user is for one test.
SOMEBODY, SOMEBODY_ELSE = 54399, 54398
USER: dict[str, t.Any] = {"options": {"creates": ("user",)}}
MOUNTS: dict[str, t.Any] = {
    "options": {"creates": ("mnt",), "surroundings": setup.Surroundings(propagation="private")}
}


def with_key(function: t.Callable[[str], str]) -> str:
    """What the function answers, given the number of a key in the session keyring of its process."""

    def call_it() -> str:
        processes.join_new_session_keyring()
        return function(str(keyrings.add("user", NAME, b"secret", keyrings.SESSION_KEYRING)))

    answer: str = in_child(call_it)
    return answer


def test_the_caller_has_the_key() -> None:
    argv = [PYTHON, "-c", keyrings.LOOK]
    words = with_key(lambda key: os.popen(f"exec {argv[0]} -c '{argv[2]}' {key} {NAME}").read())
    assert words == "yes yes\n"


@pytest.mark.parametrize("options", [{}, MOUNTS, USER, {"user": "nobody"}])
def test_a_program_of_the_modules_has_not(options: dict[str, t.Any]) -> None:
    argv = (PYTHON, "-c", keyrings.LOOK)
    if options is USER:
        prepare = {"prepare": map_root}
        options = {"options": {**USER["options"], **prepare}}
    found = with_key(lambda key: run_program(*argv, key, NAME, **options).stdout)
    assert found in ("ENOKEY EACCES\n", "ENOKEY ENOKEY\n")


def map_root(pid: int) -> None:
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{pid}/{name}", "w", encoding="utf-8") as file:
            file.write("0 0 1000")


@pytest.mark.parametrize("kinds", [["mnt"], ["mnt", "pid"]], ids="+".join)
def test_a_program_of_nsctl_has_not(
    nsctl: Nsctl, run_module: RunModule, new_name: t.Callable[[], str], kinds: list[str]
) -> None:
    name = new_name()
    run_module("ns_namespace", {"name": name, "kinds": kinds, "persistent": False})
    argv = ("exec", name, "--", PYTHON, "-c", keyrings.LOOK)
    assert with_key(lambda key: nsctl(*argv, key, NAME).stdout) == "ENOKEY EACCES\n"


def use_up_quota() -> None:
    """Of a user: as many keys as it may have."""
    with pytest.raises(OSError, match=f"Errno {errno.EDQUOT}"):
        for number in range(100000):
            keyrings.add("user", f"filler{number}", b"x", keyrings.PROCESS_KEYRING)


def test_the_quota_of_its_user_does_not_matter() -> None:
    """Others of the same id, in other namespaces as well, could keep it from starting."""

    def start() -> int:
        os.setresuid(SOMEBODY, SOMEBODY, 0)
        use_up_quota()
        os.setresuid(0, 0, 0)
        return run_program("true", user=str(SOMEBODY)).status

    assert in_child(start) == 0


def test_a_caller_without_quota_starts_nothing() -> None:
    """Else the program had the caller's keyring."""

    def start() -> None:
        os.setresuid(SOMEBODY_ELSE, SOMEBODY_ELSE, SOMEBODY_ELSE)
        processes.join_new_session_keyring()
        use_up_quota()
        run_program("true")

    with pytest.raises(StepFailed) as failed:
        in_child(start)
    assert failed.value.step == "leave the session keyring"
    assert f"the keys of uid {SOMEBODY_ELSE} use up what it may have" in failed.value.reason


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM, errno.EACCES])
def test_where_a_filter_forbids_it_programs_start_all_the_same(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden() -> None:
        raise KernelError("keyctl", number)

    monkeypatch.setattr(processes, "join_new_session_keyring", forbidden)
    assert run_program("true").status == 0
