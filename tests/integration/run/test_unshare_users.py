# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_unshare_run: users, capabilities, user namespaces and plain users."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from programs import in_child, status_of
from results import Result
from run_modules import ALL_KINDS, Run, living, timed_out
from tasks import RunTasks, examples_of
from unshare_run import MODULE, NOBODY, USR, failure, run, small_root

from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds

__all__ = ["failure", "run", "small_root"]


# Users, capabilities, no_new_privs: more in test_launch_rights.py.


def test_user_and_rights(run: Run) -> None:
    result = run(
        "cat",
        "/proc/self/status",
        user="daemon",
        group="mail",
        groups=["adm", "1000"],
        capabilities=["CAP_NET_RAW"],
        no_new_privs=True,
    )
    status = status_of(result["stdout"])
    assert status["Uid"].split() == ["1"] * 4
    assert status["Gid"].split() == ["8"] * 4
    assert status["Groups"] == "4 1000"
    sets = {status[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}
    assert sets == {f"{1 << 13:016x}"}
    assert status["NoNewPrivs"] == "1"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"user": ""}, "neither the name nor the id"),
        ({"user": "no-such-user"}, "no user 'no-such-user' in the users and groups of this host"),
        ({"group": "no-such-group"}, "no group"),
        ({"capabilities": ["net_brew"]}, "not a capability"),
        ({"kinds": []}, "kinds is empty"),
        ({"kinds": ["mount"]}, "must be one or more of"),
        ({"kinds": ["pid"], "mounts": [{"path": "/mnt", "fstype": "tmpfs"}]}, "needs the kind mnt"),
        ({"kinds": ["pid"], "root": "/"}, "needs the kind mnt"),
        ({"mount_proc": True}, "needs the kind pid"),
        ({"hostname": "x"}, "needs the kind uts"),
        ({"loopback": True}, "needs the kind net"),
        ({"id_map": "root"}, "needs the kind user"),
        ({"time_offsets": {"monotonic": 1}}, "needs the kind time"),
        ({"kinds": ["uts"], "hostname": "x" * 65}, "more than 64 bytes"),
        ({"root": "/", "propagation": "shared"}, "exclude each other"),
        ({"timeout": 0}, "above zero"),
        ({"environment": {"A": None}}, "must be a text"),
        ({"cmd": "true"}, "mutually exclusive"),
    ],
)
def test_bad_options_are_refused_before_anything_is_done(
    failure: Run, tmp_path: pathlib.Path, options: dict[str, t.Any], reason: str
) -> None:
    result = failure("touch", str(tmp_path / "ran"), **options)
    assert reason.lower() in result["msg"].lower()
    assert "exception" not in result
    assert not (tmp_path / "ran").exists()


def test_without_a_command_it_is_refused(failure: Run) -> None:
    assert "one of the following is required: argv, cmd" in failure()["msg"]
    assert "No command given" in failure(argv=[])["msg"]
    assert "No closing quotation" in failure(cmd="echo 'x")["msg"]


# A user namespace.


def explicit(outside: int, count: int) -> dict[str, t.Any]:
    return {which: [{"inside": 0, "outside": outside, "count": count}] for which in ("uid", "gid")}


MAPS = ("cat", "/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/setgroups")


def test_id_map_root_and_current(run: Run) -> None:
    shown = run(*MAPS, kinds=["user"])["stdout_lines"]
    assert [line.split() for line in shown] == [["0", "0", "1"], ["0", "0", "1"], ["allow"]]
    shown = run(*MAPS, kinds=["user"], id_map="current", as_user=NOBODY)["stdout_lines"]
    own = ["65534", "65534", "1"]
    assert [line.split() for line in shown] == [own, own, ["deny"]]


def test_an_explicit_map_makes_root_inside_somebody_else_outside(run: Run) -> None:
    tmp_path = pathlib.Path("/run/tests/mapped")
    tmp_path.mkdir()
    tmp_path.chmod(0o777)
    options = {"kinds": ["user", "mnt"], "id_map": explicit(100000, 65536)}
    result = run("sh", "-c", f"id -u; touch {tmp_path}/root", **options)
    assert result["stdout"] == "0"
    run("touch", f"{tmp_path}/daemon", user="daemon", **options)
    owners = {path.name: path.stat().st_uid for path in tmp_path.iterdir()}
    assert owners == {"root": 100000, "daemon": 100001}


def test_id_map_auto_of_root_and_of_a_plain_user(run: Run) -> None:
    for name in ("subuid", "subgid"):
        pathlib.Path(f"/etc/{name}").write_text("root:500000:1000\nnobody:600000:2000\n")
    shown = run(*MAPS, kinds=["user"], id_map="auto")["stdout_lines"]
    own = ["0", "500000", "1000"]
    assert [line.split() for line in shown] == [own, own, ["allow"]]
    shown = run(*MAPS, kinds=["user"], id_map="auto", as_user=NOBODY)["stdout_lines"]
    own, others = ["0", "65534", "1"], ["1", "600000", "2000"]
    assert [line.split() for line in shown] == [own, others, own, others, ["allow"]]
    # Users and groups work as on a host of its own.
    result = run(
        "id", kinds=["user", "mnt"], id_map="auto", as_user=NOBODY, user="daemon", groups=["adm"]
    )
    assert result["stdout"] == "uid=1(daemon) gid=1(daemon) groups=1(daemon),4(adm)"


def test_id_map_auto_without_a_range_says_how_to_get_one(failure: Run) -> None:
    pathlib.Path("/etc/subuid").write_text("somebody:1:1\n")
    result = failure("true", kinds=["user"], id_map="auto", as_user=NOBODY)
    assert result["reason"] == "/etc/subuid has no range for nobody"
    assert "usermod --add-subuids" in result["hint"]


def test_ids_that_a_plain_user_may_not_map(failure: Run) -> None:
    result = failure("true", kinds=["user"], id_map=explicit(0, 10), as_user=NOBODY)
    assert "ewgidmap refused the map inside 0-9 = outside 0-9" in result["msg"]
    assert "/etc/subgid" in result["hint"]


def test_overlapping_ranges_are_refused_with_both_named(failure: Run) -> None:
    ranges = [{"inside": 0, "outside": 5, "count": 10}, {"inside": 20, "outside": 14, "count": 2}]
    result = failure("true", kinds=["user"], id_map={"uid": ranges, "gid": ranges})
    assert "5-14 and 14-15 outside overlap" in result["msg"]


def test_a_user_that_is_not_mapped_is_explained(failure: Run) -> None:
    result = failure("true", kinds=["user"], user="5")
    assert result["syscall"] == "setgroups"
    assert "no counterpart in the map" in result["reason"]


def test_groups_where_the_namespace_denies_them(run: Run, failure: Run) -> None:
    result = failure("true", kinds=["user"], groups=["0"], user="0", as_user=1000)
    assert result["syscall"] == "setgroups"
    assert "the user namespace denies it" in result["reason"]
    assert run("id", "-u", kinds=["user"], user="root", as_user=1000)["stdout"] == "0"


# A plain user: row 8 of the tutorials.


def test_tutorial_row_8_a_plain_user_has_an_environment_of_its_own(
    run: Run, small_root: pathlib.Path
) -> None:
    (small_root / "home").mkdir()
    os.chown(small_root / "home", NOBODY, NOBODY)
    script = (
        "id -u; hostname; mount -t tmpfs own /tmp && touch /tmp/x && ls /tmp; echo $$;"
        "ls -d /proc/[0-9]* | wc -l; touch /home/file; cat /proc/net/dev | wc -l;"
        "grep -c . /proc/self/mountinfo; touch /usr/x 2>/tmp/error || echo read-only;"
        "grep CapEff /proc/self/status; exec 3<>/dev/tcp/127.0.0.1/1 2>&1"
    )
    result = run(
        "bash",
        "-c",
        f"{script}; true",
        kinds=ALL_KINDS,
        root=str(small_root),
        mounts=[USR],
        hostname="mine",
        as_user=NOBODY,
    )
    lines = result["stdout_lines"]
    assert lines[:4] == ["0", "mine", "x", "1"]
    assert int(lines[4]) <= 3
    assert lines[6] == "5"  # /, /proc, /usr, /usr/local, /tmp
    assert lines[7] == "read-only"
    assert lines[8].endswith("f" * 8)
    # lo is up: somebody refuses, instead of there being no network.
    assert "Connection refused" in result["stderr"]
    status = (small_root / "home/file").stat()
    assert (status.st_uid, status.st_gid) == (NOBODY, NOBODY)


@pytest.mark.parametrize("kinds", [["user", "mnt"], ["user", "mnt", "cgroup"]])
def test_root_of_a_plain_user_cannot_change_cgroups_of_the_host(run: Run, kinds: list[str]) -> None:
    """runc CVE-2023-25809: with or without a cgroup namespace of its own."""
    script = (
        "id -u; for f in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do"
        ' [ -e "$f" ] || continue; { echo $$ >"$f"; } 2>/dev/null && echo "$f"; done; '
        "mkdir /sys/fs/cgroup/escaped 2>/dev/null && echo made; true"
    )
    result = run("sh", "-c", script, kinds=kinds, as_user=NOBODY)
    assert result["stdout_lines"] == ["0"]


def test_a_plain_user_without_a_user_namespace_is_told_what_to_do(failure: Run) -> None:
    result = failure("true", kinds=["mnt", "net"], as_user=NOBODY)
    assert (result["syscall"], result["errno"]) == ("unshare", "EPERM")
    assert (
        result["reason"] == "only root may create mnt, net without a user namespace (CAP_SYS_ADMIN)"
    )
    assert result["hint"] == "Run the task as root (become: true), or add user to kinds."


def test_the_timeout_of_a_plain_user_kills_as_well(failure: Run) -> None:
    marker = f"sleep 97{os.getpid()}"
    argv = ["sh", "-c", f"{marker} & setsid {marker} & echo begun; wait"]
    for wanted in (["user"], ["user", "pid"]):
        result = timed_out(failure, *argv, kinds=wanted, as_user=NOBODY)
        assert (result["timed_out"], result["stdout"]) == (True, "begun")
        assert living(marker) == []


# Where the system forbids namespaces, the switch is named.


@pytest.mark.parametrize("kind", ["user", "net", "mnt", "pid", "uts", "ipc", "cgroup", "time"])
def test_the_limit_that_forbids_a_kind_is_named(kind: str) -> None:
    def in_a_namespace_that_forbids_it() -> Result:
        from ansible_collections.linux.namespaces.plugins.module_utils._core import errors
        from ansible_collections.linux.namespaces.plugins.module_utils._core.launch import (
            start as launch,
        )
        from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import (
            run as running,
        )
        from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
            namespaces,
        )

        namespaces.unshare(kinds.KINDS["user"].flag)
        for name, text in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
            pathlib.Path(f"/proc/self/{name}").write_text(text)
        # It holds in this user namespace and below, not for the host.
        pathlib.Path(f"/proc/sys/user/max_{kind}_namespaces").write_text("0")
        program = launch.Program(("true",), environment=dict(os.environ))
        around = launch.NOTHING_AROUND
        try:
            running.run(
                running.RunRequest(program, creates=(kind,), surroundings=around), check=False
            )
        except errors.StepFailed as failed:
            return {"step": failed.step, "reason": failed.reason, "hint": failed.hint}
        return {}

    limit = pathlib.Path(f"/proc/sys/user/max_{kind}_namespaces")
    before = limit.read_text()
    failed = in_child(in_a_namespace_that_forbids_it)
    assert limit.read_text() == before
    switch = f"user.max_{kind}_namespaces"
    assert failed["step"] == f"create {kind}"
    assert failed["reason"] == f"this system allows no {kind} namespaces: {switch} is 0"
    assert f"sysctl -w {switch}=" in failed["hint"]


def test_the_examples_run(run_tasks: RunTasks) -> None:
    run_tasks(examples_of(MODULE), cleanup=[])
