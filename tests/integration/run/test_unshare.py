# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_unshare_run: new namespaces, and that nothing of them is left after timeouts and kills."""

from __future__ import annotations

import os
import pathlib
import shlex
import subprocess
import time

import fork_bombs
import pytest
from results import RunModule
from run_modules import ALL_KINDS, OLDER, Run, living, timed_out
from unshare_run import MODULE, USR, failure, run, small_root
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc

__all__ = ["failure", "run", "small_root"]


def test_tutorial_row_5_a_tmpfs_that_the_host_does_not_see(run: Run) -> None:
    result = run(
        "sh",
        "-c",
        "echo secret >/mnt/file; cat /mnt/file; grep ' /mnt ' /proc/mounts",
        mounts=[{"path": "/mnt", "src": "tmpfs", "fstype": "tmpfs", "opts": "size=10m"}],
    )
    assert result["stdout"].splitlines()[0] == "secret"
    assert "size=10240k" in result["stdout"]
    assert not os.path.exists("/mnt/file")
    assert " /mnt " not in pathlib.Path("/proc/mounts").read_text()
    assert result["changed"] is True
    assert result["actions"] == ["mount tmpfs on /mnt", "run sh"]


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_each_kind_alone_is_new_for_the_program_and_the_others_are_the_host_s(
    run: Run, kind: str
) -> None:
    result = run("readlink", *(f"/proc/self/ns/{name}" for name in ALL_KINDS), kinds=[kind])
    seen = dict(zip(ALL_KINDS, map(proc.parse_link, result["stdout_lines"])))
    assert result["namespaces"] == seen
    own = proc.ids_of_process("self")
    assert [name for name in ALL_KINDS if own[name] != seen[name]] == [kind]


@pytest.mark.parametrize("env", [{}, OLDER], ids=["newest", "older"])
def test_all_kinds_together(run: Run, env: dict[str, str]) -> None:
    script = "echo $$; hostname; cat /sys/class/net/lo/operstate; ps ax --no-headers | wc -l"
    result = run("sh", "-c", script, kinds=ALL_KINDS, hostname="inside", env=env)
    assert result["stdout_lines"][0:2] == ["1", "inside"]
    assert int(result["stdout_lines"][3]) <= 4
    own = proc.ids_of_process("self")
    assert all(result["namespaces"][kind] != own[kind] for kind in ALL_KINDS)


def test_without_kinds_the_mount_namespace_is_new(run: Run) -> None:
    own = proc.ids_of_process("self")
    seen = run("true")["namespaces"]
    assert [kind for kind in ALL_KINDS if own[kind] != seen[kind]] == ["mnt"]


def test_the_pid_namespace_ends_with_the_program(run: Run) -> None:
    marker = f"sleep 98{os.getpid()}"
    started = time.monotonic()
    run("sh", "-c", f"{marker} & setsid {marker} & true", kinds=["pid"])
    assert time.monotonic() - started < 30
    assert living(marker) == []


@pytest.mark.parametrize("wanted", [None, True, False])
def test_loopback(run: Run, wanted: bool | None) -> None:
    result = run("ip", "-o", "link", "show", "lo", kinds=["net"], loopback=wanted)
    assert ("LOOPBACK,UP" in result["stdout"]) == (wanted is not False)


def test_hostname_is_the_host_s_still(run: Run) -> None:
    before = os.uname().nodename
    assert run("hostname", kinds=["uts"], hostname="other")["stdout"] == "other"
    assert os.uname().nodename == before


def test_time_offsets(run: Run) -> None:
    offsets = {"monotonic": 1000000, "boottime": 2000000}
    result = run("cat", "/proc/uptime", kinds=["time"], time_offsets=offsets)
    assert float(result["stdout"].split()[0]) > 2000000
    shown = run("cat", "/proc/self/timens_offsets", kinds=["time", "user"], time_offsets=offsets)
    words = [line.split() for line in shown["stdout_lines"]]
    assert words == [["monotonic", "1000000", "0"], ["boottime", "2000000", "0"]]


def test_a_time_offset_that_is_impossible_is_explained(failure: Run) -> None:
    result = failure("true", kinds=["time"], time_offsets={"monotonic": -(1 << 40)})
    assert result["errno"] == "ERANGE"
    assert "below zero" in result["msg"]


def test_cgroup_root_is_shown_as_slash(run: Run) -> None:
    result = run("cat", "/proc/self/cgroup", kinds=["cgroup"])
    assert {line.split(":")[2] for line in result["stdout_lines"]} == {"/"}


def test_ipc_sees_no_queue_of_the_host(run: Run) -> None:
    queue = subprocess.run(["ipcmk", "-Q"], check=True, capture_output=True, text=True).stdout
    number = queue.split()[-1]
    try:
        assert number in run("ipcs", "-q", kinds=["uts"])["stdout"]
        assert number not in run("ipcs", "-q", kinds=["ipc"])["stdout"].split()
    finally:
        subprocess.run(["ipcrm", "-q", number], check=True)


# Timeouts.


def test_a_timeout_returns_what_was_written_until_then(failure: Run) -> None:
    begun = time.monotonic()
    script = "echo err >&2; echo begun; sleep 60; echo after"
    result = timed_out(failure, "sh", "-c", script)
    assert time.monotonic() - begun < 20
    assert result["timed_out"] is True
    assert (result["rc"], result["signal"]) == (-9, "SIGKILL")
    assert (result["stdout"], result["stderr"]) == ("begun", "err")
    words = f"timed out after {result['timeout']} seconds; everything it started was killed"
    assert result["msg"] == words
    assert result["changed"] is True


def test_a_timeout_that_is_not_reached(run: Run) -> None:
    result = run("echo", "in time", timeout=60)
    assert result["stdout"] == "in time"
    assert "timed_out" not in result


@pytest.mark.parametrize("wanted", [["mnt"], ["pid"], ["mnt", "pid", "time"]])
@pytest.mark.parametrize(
    "script",
    [
        "{marker} & {marker} & echo begun; wait",
        "setsid {marker} & trap '' TERM HUP INT; echo begun; {marker}",
        "(setsid sh -c '{marker} & {marker} & echo begun' &) ; {marker}",
        "echo begun; kill -STOP $$; {marker}",
        "setsid /usr/bin/python3 -c '{line}' {marker} & {marker}",
    ],
    ids=["children", "sessions", "daemons", "stopped", "outrunning"],
)
def test_a_timeout_kills_everything_that_was_started(
    failure: Run, script: str, wanted: list[str]
) -> None:
    mark = f"96{os.getpid()}"
    text = script.format(marker=f"sleep {mark}", line=fork_bombs.LINE)
    result = timed_out(failure, "sh", "-c", text, kinds=wanted)
    try:
        assert result["timed_out"] is True, result
        assert result["stdout"] == "begun"
    finally:
        assert fork_bombs.ended(mark) == []


@pytest.mark.parametrize("form", fork_bombs.FORMS)
@pytest.mark.parametrize("wanted", [["mnt"], ["pid"]], ids="+".join)
def test_a_timeout_kills_what_keeps_forking(failure: Run, wanted: list[str], form: str) -> None:
    mark = f"bomb-{os.getpid()}-{form}"
    bombs = shlex.join(fork_bombs.words(50, form, mark))
    result = timed_out(failure, "sh", "-c", f"{bombs}; sleep 60", kinds=wanted)
    try:
        assert result["timed_out"] is True, result
        assert result["stdout"] == "begun"
    finally:
        assert fork_bombs.ended(mark) == []


def test_what_is_left_running_without_a_timeout_is_left_alone(run: Run) -> None:
    marker = f"sleep 95{os.getpid()}"
    run("sh", "-c", f"{marker} >/dev/null 2>&1 & true")
    (left,) = living(marker)
    os.kill(left, 9)
    assert wait_until(lambda: living(marker) == [])


# Killed runs.


def test_a_run_that_is_killed_before_any_step_leaves_nothing(
    run_module: RunModule, small_root: pathlib.Path
) -> None:
    marker = f"0.94{os.getpid()}"
    args = {
        "argv": ["sleep", marker],
        "kinds": ["mnt", "pid", "uts", "net"],
        "root": str(small_root),
        "mounts": [USR],
        "hostname": "killed",
    }
    for number in range(1, 100):
        try:
            env = {"LINUX_NAMESPACES_KILL_BEFORE": str(number)}
            result = run_module(MODULE, args, env=env)
        except AssertionError:
            result = {"failed": True}  # it had no time to answer
        if not result.get("failed"):
            break
        assert living(marker) == []
    assert number > 8
    assert wait_until(lambda: living(marker) == [])
