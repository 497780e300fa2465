# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting a program: its capabilities, users, groups and limits."""

from __future__ import annotations

import os
import pathlib
import resource

import pytest
from launched import capability_sets, status_with
from programs import in_child, run_program, status_of

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import (
    Refused,
    StepFailed,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.launch import setup
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import capabilities
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import processes

NOBODY = 65534
ALL = (1 << 64) - 1


# CVE-2022-29162: capabilities were inherited that nobody had asked for.


def test_inheritable_capabilities_of_the_caller_do_not_reach_the_program() -> None:
    def with_inheritable() -> dict[str, str]:
        effective, permitted, _inheritable = processes.get_capabilities()
        processes.set_capabilities(effective=effective, permitted=permitted, inheritable=permitted)
        processes.prctl(processes.PR_CAP_AMBIENT, processes.PR_CAP_AMBIENT_RAISE, 13)
        own = capability_sets(status_of(pathlib.Path("/proc/self/status").read_text()))
        assert own["Inh"] and own["Amb"]
        return status_with()

    found = capability_sets(in_child(with_inheritable))
    assert found["Inh"] == found["Amb"] == 0
    assert found["Eff"] == found["Prm"] == found["Bnd"] != 0


def bits(*names: str) -> int:
    return capabilities.mask_of(names)


@pytest.mark.parametrize(
    ("user", "kept", "wanted"),
    [
        # (inheritable, permitted, effective, bounding, ambient); ALL is what the caller has
        (None, None, (0, ALL, ALL, ALL, 0)),
        (None, (), (0, 0, 0, 0, 0)),
        (None, ("net_raw",), (0, bits("net_raw"), bits("net_raw"), bits("net_raw"), 0)),
        ("0", ("CAP_CHOWN", "kill"), (0, *(bits("chown", "kill"),) * 3, 0)),
        ("nobody", None, (0, 0, 0, ALL, 0)),
        ("nobody", (), (0, 0, 0, 0, 0)),
        ("nobody", ("net_bind_service",), (bits("net_bind_service"),) * 5),
        ("nobody", ("setuid", "setgid", "setpcap"), (bits("setuid", "setgid", "setpcap"),) * 5),
    ],
)
def test_all_five_sets(
    user: str | None, kept: tuple[str, ...] | None, wanted: tuple[int, ...]
) -> None:
    own = capability_sets(status_of(pathlib.Path("/proc/self/status").read_text()))["Bnd"]
    found = capability_sets(status_with(user=user, capabilities=kept))
    assert tuple(found.values()) == tuple(own if value == ALL else value for value in wanted)


def test_a_capability_that_the_caller_lacks_is_refused_by_name() -> None:
    def without() -> None:
        processes.prctl(processes.PR_CAPBSET_DROP, capabilities.NAMES.index("sys_boot"))
        run_program("true", capabilities=("chown", "sys_boot"))

    with pytest.raises(StepFailed) as failed:
        in_child(without)
    assert failed.value.step == "become the program's user"
    assert "to be kept: sys_boot" in failed.value.reason


def test_an_unknown_capability_is_refused_before_anything_is_started() -> None:
    with pytest.raises(Refused, match="'net_brew' is not a capability"):
        run_program("true", capabilities=("net_brew",))


@pytest.mark.parametrize("wanted", [True, False])
def test_no_new_privs(wanted: bool) -> None:
    assert status_with(no_new_privs=wanted)["NoNewPrivs"] == str(int(wanted))


def test_no_new_privs_and_ambient_capabilities_go_together() -> None:
    found = status_with(user="nobody", capabilities=("net_raw",), no_new_privs=True)
    assert found["NoNewPrivs"] == "1"
    assert int(found["CapEff"], 16) == bits("net_raw")


# CVE-2026-30892: the user "1" became root.


@pytest.mark.parametrize("host_users", [True, False])
@pytest.mark.parametrize(
    ("user", "uid", "gid", "groups"),
    [
        ("1", 1, 1, "1"),
        ("1:1", 1, 1, "1"),
        ("daemon", 1, 1, "1"),
        ("1:nogroup", 1, 65534, "65534"),
        ("4000000000", 4000000000, 4000000000, "4000000000"),
        ("0", 0, 0, "0"),
        ("root", 0, 0, "0"),
    ],
)
def test_the_ids_are_those_asked_for(
    user: str, uid: int, gid: int, groups: str, host_users: bool
) -> None:
    found = status_with(user=user, host_users=host_users)
    assert found["Uid"].split() == [str(uid)] * 4
    assert found["Gid"].split() == [str(gid)] * 4
    assert found["Groups"] == groups


@pytest.mark.parametrize("user", ["", "-1", "4294967295", "01", "no-such-user", "root:"])
def test_a_user_that_is_none_is_refused(user: str) -> None:
    with pytest.raises(Refused):
        run_program("true", user=user)


def test_group_and_groups() -> None:
    found = status_with(user="daemon", group="mail", groups=("1000", "adm"))
    assert found["Gid"].split() == ["8"] * 4
    assert found["Groups"] == "4 1000"
    assert status_with(user="daemon", groups=())["Groups"] == ""


def test_groups_of_the_caller_are_dropped_with_its_user() -> None:
    def with_groups() -> dict[str, str]:
        os.setgroups([4, 27, 1000])
        return status_with(user="4321")

    assert in_child(with_groups)["Groups"] == "4321"


def test_a_hostile_passwd_is_no_trap(tmp_path: pathlib.Path) -> None:
    for name in ("bin", "lib", "lib64", "usr"):
        if os.path.islink(f"/{name}"):
            (tmp_path / name).symlink_to(os.readlink(f"/{name}"))
        else:
            (tmp_path / name).mkdir()
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    mount = setup.WantedMount
    inside = setup.Surroundings(
        propagation="private",
        root=str(tmp_path),
        mounts=(mount("/usr", src="/usr", words=("bind", "ro")),),
    )
    with pytest.raises(Refused, match="not a file that lists users"):
        run_program("true", user="nobody", options={"creates": ("mnt",), "surroundings": inside})


def test_its_outputs_belong_to_its_user() -> None:
    ended = run_program("sh", "-c", "echo out >/dev/stdout; echo err >/dev/stderr", user="nobody")
    assert (ended.stdout, ended.stderr) == ("out\n", "err\n")


def test_limits_and_umask() -> None:
    limits = {"nofile": (100, 200), "RLIMIT_CORE": (0, 0), "as": (1 << 30, 1 << 30)}
    ended = run_program("sh", "-c", "umask; cat /proc/self/limits", limits=limits, umask=0o027)
    lines = ended.stdout.splitlines()
    assert lines[0] == "0027"
    found = {line[:26].strip(): line[26:].split()[:2] for line in lines[2:]}
    assert found["Max open files"] == ["100", "200"]
    assert found["Max core file size"] == ["0", "0"]
    assert found["Max address space"] == [str(1 << 30)] * 2


@pytest.mark.parametrize(
    ("limit", "reason"),
    [((5, 4), "the soft limit of nofile is above the hard one"), (None, "CAP_SYS_RESOURCE")],
)
def test_a_limit_that_cannot_be_set(limit: tuple[int, int] | None, reason: str) -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def start() -> None:
        os.setresuid(NOBODY, NOBODY, NOBODY)
        run_program("true", limits={"nofile": limit or (hard + 1, hard + 1)})

    with pytest.raises(StepFailed) as failed:
        in_child(start)
    assert failed.value.step == "set the limit nofile"
    assert reason in failed.value.reason


def test_an_unknown_limit_is_refused() -> None:
    with pytest.raises(Refused, match="'files' is not a resource limit"):
        run_program("true", limits={"files": (1, 1)})
