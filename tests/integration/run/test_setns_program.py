# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_setns_run: what the program is inside, and that it gets at nothing of the host."""

from __future__ import annotations

import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import typing as t

import pytest
from programs import status_of
from results import RunModule
from run_modules import Run, living, timed_out
from setns_run import MODULE, failure, run
from unshared_process import UnsharedProcess
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import enter
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace.target import Target
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

__all__ = ["failure", "run"]


# What the program is, and has.


def test_its_root_and_users_are_the_target_s(
    run: Run, unshared_process: UnsharedProcess, tmp_path: pathlib.Path
) -> None:
    inside = unshared_process(["mnt"])
    passwd, group = tmp_path / "passwd", tmp_path / "group"
    passwd.write_text("inside:x:1234:1235::/:/bin/sh\n")
    group.write_text("insiders:x:1235:\nothers:x:1300:inside\n")
    for path in (passwd, group):
        inside.run("mount", "--bind", str(path), f"/etc/{path.name}")
    result = run("sh", "-c", "pwd; id", pid=inside.pid, user="inside")
    assert result["stdout_lines"] == [
        "/",
        "uid=1234(inside) gid=1235(insiders) groups=1235(insiders),1300(others)",
    ]
    # With the host's mounts, the host's users are meant.
    options: dict[str, t.Any] = {"pid": inside.pid, "kinds": ["uts"]}
    inside_uts = unshared_process(["mnt", "uts"])
    options["pid"] = inside_uts.pid
    assert run("id", "-un", user="daemon", **options)["stdout"] == "daemon"


@pytest.mark.parametrize(
    ("user", "ids"),
    [
        ("1", "1 1 1 1"),
        ("1:1", "1 1 1 1"),
        ("daemon", "1 1 1 1"),
        ("0", "0 0 0 0"),
        (None, "0 0 0 0"),
    ],
)
def test_the_user_is_the_one_asked_for(
    run: Run, unshared_process: UnsharedProcess, user: str | None, ids: str
) -> None:
    # CVE-2026-30892: "-u 1" was taken for the uid 0.
    inside = unshared_process(["mnt", "pid"])
    status = status_of(run("cat", "/proc/self/status", pid=inside.pid, user=user)["stdout"])
    assert status["Uid"] == status["Gid"] == ids
    assert status["CapInh"] == "0" * 16  # CVE-2022-29162


def test_an_empty_user_is_refused(failure: Run, unshared_process: UnsharedProcess) -> None:
    result = failure("id", pid=unshared_process(["mnt"]).pid, user="")
    assert "neither the name nor the id of a user" in result["msg"]


def test_capabilities_and_no_new_privs(run: Run, unshared_process: UnsharedProcess) -> None:
    result = run(
        "cat",
        "/proc/self/status",
        pid=unshared_process(["mnt", "pid"]).pid,
        user="daemon",
        groups=[],
        capabilities=["net_raw", "CHOWN"],
        no_new_privs=True,
    )
    status = status_of(result["stdout"])
    sets = {status[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}
    assert sets == {f"{1 << 13 | 1:016x}"}
    assert (status["NoNewPrivs"], status["Groups"]) == ("1", "")


def test_no_descriptor_and_no_terminal_reaches_the_program(
    run: Run, unshared_process: UnsharedProcess
) -> None:
    inside = unshared_process(["mnt", "pid", "uts"])
    script = "ls -l /proc/$$/fd; ps -o tty= -p $$; cut -d' ' -f6 /proc/$$/stat; echo $$"
    lines = run("sh", "-c", script, pid=inside.pid)["stdout_lines"]
    links = [line.split()[-3::2] for line in lines if " -> " in line]
    assert [number for number, _target in links] == ["0", "1", "2"]
    assert [target.partition(":")[0] for _number, target in links] == ["/dev/null", "pipe", "pipe"]
    assert lines[-3].strip() == "?"
    assert lines[-2] == lines[-1]  # a session of its own


@pytest.mark.parametrize("number", range(3, 21))
def test_no_working_directory_by_descriptor(
    failure: Run, unshared_process: UnsharedProcess, number: int
) -> None:
    # CVE-2024-21626
    result = failure("true", pid=unshared_process(["mnt"]).pid, chdir=f"/proc/self/fd/{number}")
    assert (
        "does not exist" in result["reason"] or "outside of the program's root" in result["reason"]
    )


def test_no_working_directory_in_the_host(failure: Run, unshared_process: UnsharedProcess) -> None:
    inside = unshared_process(["mnt"])
    for path in (f"/proc/{os.getpid()}/root", f"/proc/{os.getpid()}/cwd"):
        result = failure("true", pid=inside.pid, chdir=path)
        assert "outside of the program's root" in result["msg"]


def test_creates_and_removes_are_looked_up_inside(
    run_module: RunModule, unshared_process: UnsharedProcess
) -> None:
    inside = unshared_process(["mnt"])
    inside.run("mount", "-t", "tmpfs", "inside", "/mnt")
    inside.run("touch", "/mnt/file")
    for check in (True, False):
        args = {"argv": ["true"], "pid": inside.pid, "creates": "/mnt/fi*"}
        assert run_module(MODULE, args, check=check)["changed"] is False
        args = {"argv": ["true"], "pid": inside.pid, "removes": "/mnt/fi*"}
        assert run_module(MODULE, args, check=check)["changed"] is True
        args = {"argv": ["true"], "creates": "/mnt/fi*"}
        assert run_module(MODULE, args, check=check)["changed"] is True


def test_check_mode_runs_nothing(
    run_module: RunModule, unshared_process: UnsharedProcess, tmp_path: pathlib.Path
) -> None:
    inside = unshared_process(["mnt"])
    args = {"argv": ["touch", str(tmp_path / "ran")], "pid": inside.pid}
    result = run_module(MODULE, args, check=True)
    assert (result["skipped"], result["changed"], result["rc"]) == (True, False, 0)
    result = run_module(MODULE, {**args, "creates": "/no/such"}, check=True)
    assert result["changed"] is True
    assert not (tmp_path / "ran").exists()


# A timeout kills what was started, also where orphans belong to an init of another namespace.


SCRIPTS = {
    "children": "{marker} & {marker} & echo begun; wait",
    "sessions": "setsid {marker} & trap '' TERM HUP INT; echo begun; {marker}",
    "daemons": "(setsid sh -c '{marker} & {marker} & echo begun' &) ; {marker}",
    "daemons, itself stopped": "(setsid sh -c '{marker} & echo begun' &); kill -STOP $$; {marker}",
}


@pytest.mark.parametrize("joined", [["mnt"], ["pid"], ["mnt", "pid", "user"]])
@pytest.mark.parametrize("script", list(SCRIPTS))
def test_a_timeout_kills_everything_that_was_started(
    failure: Run, unshared_process: UnsharedProcess, script: str, joined: list[str]
) -> None:
    inside = unshared_process(joined, options=["--map-root-user"] if "user" in joined else [])
    marker = f"sleep 93{os.getpid()}"
    before = sorted(proc.all_pids())
    text = SCRIPTS[script].format(marker=marker)
    result = timed_out(failure, "sh", "-c", text, pid=inside.pid)
    assert result["timed_out"] is True, result
    assert (result["rc"], result["stdout"]) == (-9, "begun")
    assert living(marker) == []
    assert inside.pid in before  # what lived there before does so still
    assert proc.process_facts(inside.pid) is not None


@pytest.mark.parametrize("joined", [["mnt"], ["mnt", "pid"]])
@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/mnt", {"chdir": "/mnt/directory"}),
        ("/mnt", {"argv": ["/mnt/program"]}),
        ("/mnt", {"creates": "/mnt/*"}),
        ("/etc/passwd", {"user": "nobody"}),
    ],
    ids=["directory", "program", "creates", "users"],
)
def test_a_timeout_counts_where_a_file_system_never_answers(
    path: str,
    options: dict[str, t.Any],
    joined: list[str],
    failure: Run,
    unshared_process: UnsharedProcess,
) -> None:
    """A program inside can mount one in the way of the next, which is started with its rights."""
    inside = unshared_process(joined)
    before = _living_beside(inside.pid)
    # Its requests wait for whoever reads this, until it is closed.
    silent = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    data = f"fd={silent},rootmode={os.stat(path).st_mode:o},user_id=0,group_id=0"
    try:
        with Target(pid=inside.pid).open(["mnt"]) as handles:
            enter.run_inside(
                lambda: mounts.mount("silent", path, fstype="fuse", data=data), joins=handles
            )
        result = failure(pid=inside.pid, timeout=0.5, **{"argv": ["true"], **options})
        assert result["timed_out"] is True, result
        assert _living_beside(inside.pid) == before
    finally:
        os.close(silent)


def _living_beside(pid: int) -> set[int]:
    """The processes in the same mount namespace."""
    wanted = proc.ids_of_process(pid, ["mnt"])
    return {each for each in proc.all_pids() if proc.ids_of_process(each, ["mnt"]) == wanted}


@pytest.mark.parametrize(
    ("script", "rc"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", -9), ("kill -SEGV $$", -11)]
)
def test_the_end_of_the_program_is_told_as_it_is_with_a_timeout_in_a_pid_namespace(
    run_module: RunModule, unshared_process: UnsharedProcess, script: str, rc: int
) -> None:
    inside = unshared_process(["pid"])
    args = {"argv": ["sh", "-c", f"echo said; {script}"], "pid": inside.pid, "timeout": 60}
    result = run_module(MODULE, args)
    assert (result["rc"], result["stdout"]) == (rc, "said")
    assert "timed_out" not in result


def test_what_is_left_running_in_time_is_left_alone(
    run: Run, unshared_process: UnsharedProcess
) -> None:
    inside = unshared_process(["mnt", "pid"])
    marker = f"sleep 92{os.getpid()}"
    script = f"{marker} >/proc/self/fd/0 2>&1 & true"
    run("sh", "-c", script.replace(">/proc/self/fd/0", ">/dev/null"), pid=inside.pid, timeout=60)
    (left,) = living(marker)
    os.kill(left, signal.SIGKILL)


# Nothing inside can get at the host through the process that enters.


def test_the_interpreter_of_the_host_is_never_seen_from_inside(
    run: Run, unshared_process: UnsharedProcess, tmp_path: pathlib.Path
) -> None:
    """CVE-2019-5736: a process inside opens /proc/PID/exe of who enters, as fast as it can."""
    inside = unshared_process(["user", "mnt", "pid"], options=["--map-root-user"])
    before = hashlib.sha256(pathlib.Path(sys.executable).resolve().read_bytes()).digest()
    seen = tmp_path / "seen"
    seen.touch()
    script = (
        "while :; do for exe in /proc/[0-9]*/exe; do readlink $exe; done; done >>$0 2>/dev/null"
    )
    words = ["nsenter", "--target", str(inside.pid), "--all", "--", "sh", "-c", script, str(seen)]
    watcher = subprocess.Popen(words)
    try:
        assert wait_until(lambda: seen.stat().st_size > 0)
        for _round in range(15):
            run("sleep", "0.05", pid=inside.pid)
    finally:
        watcher.kill()
        watcher.wait()
        for pid in living(f"$0 2>/dev/null {seen}"):
            os.kill(pid, signal.SIGKILL)
    found = set(seen.read_text().split())
    assert "/usr/bin/sleep" in found  # it has seen the program itself
    assert not [path for path in found if "python" in path]
    assert hashlib.sha256(pathlib.Path(sys.executable).resolve().read_bytes()).digest() == before


def test_a_program_that_is_the_interpreter_of_the_host_is_refused(
    failure: Run, unshared_process: UnsharedProcess
) -> None:
    inside = unshared_process(["mnt", "pid"])
    inside.run("mount", "-t", "tmpfs", "inside", "/mnt")
    inside.run("ln", "-s", "/proc/self/exe", "/mnt/program")
    inside.run("sh", "-c", "echo '#!/proc/self/exe' >/mnt/script; chmod +x /mnt/script")
    for program in ("/mnt/program", "/mnt/script", "/proc/self/exe"):
        assert "a link of /proc" in failure(program, pid=inside.pid)["msg"]


def test_modules_of_python_inside_are_not_imported(
    run: Run, unshared_process: UnsharedProcess, tmp_path: pathlib.Path
) -> None:
    """CVE-2019-14271: libraries of a root were loaded into the process that had entered it."""
    inside = unshared_process(["mnt"])
    hostile = tmp_path / "hostile.py"
    hostile.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    library = pathlib.Path(os.__file__).parent
    inside.run("mount", "-t", "tmpfs", "inside", str(library))
    for name in ("pwd", "grp", "encodings/idna", "encodings/ascii", "glob", "pickle", "string"):
        inside.run("mkdir", "-p", str((library / name).parent))
        inside.run("cp", str(hostile), f"{library}/{name}.py")
    run("true", pid=inside.pid, user="daemon", groups=["adm"], creates="/no*")
    assert not (tmp_path / "ran").exists()
