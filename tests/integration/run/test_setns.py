# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_setns_run: what is joined, what the program is there, and what it must not bring along."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import typing as t

import pytest
from programs import status_of
from results import RunModule
from run_modules import ALL_KINDS, OLDER, Run, failing, living, succeeding
from tasks import RunTasks, examples_of
from unshared_process import Unshared, UnsharedProcess
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc

NOBODY = 65534
MODULE = "ns_setns_run"
LINKS = tuple(f"/proc/self/ns/{kind}" for kind in ALL_KINDS)


@pytest.fixture
def run(run_module: RunModule) -> Run:
    """Run the module, which must succeed."""
    return succeeding(run_module, MODULE)


@pytest.fixture
def failure(run_module: RunModule) -> Run:
    """Run the module, which must fail."""
    return failing(run_module, MODULE)


@pytest.fixture
def web(run_module: RunModule) -> t.Iterator[str]:
    """A named namespace of all kinds but user."""
    args = {"name": "web", "kinds": [kind for kind in ALL_KINDS if kind != "user"]}
    made = run_module("ns_namespace", {**args, "hostname": "web"})
    assert not made.get("failed"), made
    yield "web"
    gone = run_module("ns_namespace", {"name": "web", "state": "absent", "force": True})
    assert not gone.get("failed"), gone


def ids_in(lines: t.Iterable[str]) -> dict[str, int]:
    return dict(zip(ALL_KINDS, map(proc.parse_link, lines)))


@pytest.mark.parametrize("env", [{}, OLDER], ids=["newest", "older"])
@pytest.mark.parametrize("kind", ALL_KINDS)
def test_each_kind_of_a_process_is_joined(
    run: Run, unshared_process: UnsharedProcess, kind: str, env: dict[str, str]
) -> None:
    inside = unshared_process([kind], options=["--map-root-user"] if kind == "user" else [])
    result = run("readlink", *LINKS, pid=inside.pid, env=env)
    assert ids_in(result["stdout_lines"]) == proc.ids_of_process(inside.pid)
    assert result["namespaces"] == proc.ids_of_process(inside.pid)


@pytest.mark.parametrize("env", [{}, OLDER], ids=["newest", "older"])
def test_all_kinds_at_once(
    run: Run, unshared_process: UnsharedProcess, env: dict[str, str]
) -> None:
    inside = unshared_process(ALL_KINDS, options=["--map-root-user"])
    result = run("sh", "-c", f"readlink {' '.join(LINKS)}; id -u", pid=inside.pid, env=env)
    assert ids_in(result["stdout_lines"]) == proc.ids_of_process(inside.pid)
    assert result["stdout_lines"][-1] == "0"


def test_kinds_narrow_what_is_joined(run: Run, unshared_process: UnsharedProcess) -> None:
    inside = unshared_process(["mnt", "uts", "net", "ipc"])
    own, theirs = proc.ids_of_process("self"), proc.ids_of_process(inside.pid)
    seen = run("true", pid=inside.pid, kinds=["uts", "net"])["namespaces"]
    joined = {kind for kind in ALL_KINDS if seen[kind] == theirs[kind] != own[kind]}
    assert joined == {"uts", "net"}
    assert seen["mnt"] == own["mnt"]


def test_a_named_namespace(run: Run, web: str) -> None:
    result = run("sh", "-c", "hostname; echo $$", namespace=web)
    name, pid = result["stdout_lines"]
    assert name == "web"
    assert int(pid) < 100
    pinned = {kind: os.stat(f"/run/linux-namespaces/web/{kind}").st_ino for kind in ALL_KINDS[:6]}
    assert {kind: result["namespaces"][kind] for kind in pinned} == pinned


def test_a_namespace_file(run: Run, ip_netns: t.Callable[[str], str]) -> None:
    path = ip_netns("blue")
    result = run("sh", "-c", "ls /sys/class/net; ip -o link", namespace_path=path)
    assert result["namespaces"]["net"] == os.stat(path).st_ino
    assert "lo:" in result["stdout"]


def test_without_a_target_it_runs_on_the_host(run: Run) -> None:
    assert run("readlink", *LINKS)["namespaces"] == proc.ids_of_process("self")


def test_what_is_not_there_is_refused(
    failure: Run, unshared_process: UnsharedProcess, web: str
) -> None:
    inside = unshared_process(["uts"])
    os.kill(inside.pid, signal.SIGKILL)
    os.waitid(os.P_PID, inside.pid, os.WEXITED | os.WNOWAIT)
    assert "no namespace 'none'" in failure("true", namespace="none")["msg"]
    assert "no process 4194303" in failure("true", pid=4194303)["msg"]
    assert failure("true", pid=inside.pid)["reason"]
    assert "no user namespace" in failure("true", namespace=web, kinds=["user"])["msg"]
    assert "cannot be opened" in failure("true", namespace_path="/run/netns/none")["msg"]
    assert "no namespace file" in failure("true", namespace_path="/etc/passwd")["msg"] or (
        "is not a namespace file" in failure("true", namespace_path="/etc/passwd")["msg"]
    )
    assert "mutually exclusive" in failure("true", pid=1, namespace="web")["msg"]
    assert "must be one or more of" in failure("true", pid=1, kinds=["mount"])["msg"]


def test_a_pid_namespace_whose_init_has_ended(
    failure: Run, unshared_process: UnsharedProcess, tmp_path: pathlib.Path
) -> None:
    inside = unshared_process(["pid"])
    pin = tmp_path / "pin"
    pin.touch()
    mounted = subprocess.run(
        ["mount", "--bind", f"/proc/{inside.pid}/ns/pid", str(pin)], check=False
    )
    assert mounted.returncode == 0
    try:
        os.kill(inside.pid, signal.SIGKILL)
        assert wait_until(lambda: not os.path.exists(f"/proc/{inside.pid}"))
        result = failure("true", namespace_path=str(pin))
        assert result["errno"] == "ENOMEM"
        assert "the init of the pid namespace has ended" in result["reason"]
        assert result["step"] == "join pid"
    finally:
        subprocess.run(["umount", str(pin)], check=True)


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
    "children": "{marker} & {marker} & wait",
    "sessions": "setsid {marker} & trap '' TERM HUP INT; {marker}",
    "daemons": "(setsid sh -c '{marker} & {marker} &' &) ; {marker}",
    "daemons, itself stopped": "(setsid sh -c '{marker} &' &); sleep 0.2; kill -STOP $$; {marker}",
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
    result = failure("sh", "-c", f"echo begun; {text}", pid=inside.pid, timeout=2.5)
    assert result["timed_out"] is True, result
    assert (result["rc"], result["stdout"]) == (-9, "begun")
    assert living(marker) == []
    assert inside.pid in before  # what lived there before does so still
    assert proc.process_facts(inside.pid) is not None


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


# A plain user.


@contextlib.contextmanager
def own_process(user: int, *options: str) -> t.Iterator[Unshared]:
    words = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "unshare"]
    words += [*options, "sh", "-c", "echo; exec sleep infinity"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"\n"
            yield Unshared(process.pid)
        finally:
            process.kill()


@pytest.fixture
def plain_user_s() -> t.Iterator[Unshared]:
    """A process of a plain user in namespaces of its own."""
    with own_process(NOBODY, "-r", "--mount", "--uts", "--net") as process:
        yield process


def test_a_plain_user_joins_its_own_and_is_root_there(run: Run, plain_user_s: Unshared) -> None:
    script = "id -u; mount -t tmpfs own /mnt && echo mounted; hostname joined && hostname"
    result = run("sh", "-c", script, pid=plain_user_s.pid, as_user=NOBODY)
    assert result["stdout_lines"] == ["0", "mounted", "joined"]
    assert result["namespaces"] == proc.ids_of_process(plain_user_s.pid)
    assert plain_user_s.mounted_on("/mnt")


def test_root_joins_those_of_a_plain_user(run: Run, plain_user_s: Unshared) -> None:
    result = run(
        "sh", "-c", "id -u; touch /tmp/linux-namespaces-$$; ls -n /tmp", pid=plain_user_s.pid
    )
    assert result["stdout_lines"][0] == "0"
    for path in pathlib.Path("/tmp").glob("linux-namespaces-*"):
        assert path.stat().st_uid == NOBODY
        path.unlink()


def test_a_plain_user_may_not_join_those_of_root(
    failure: Run, unshared_process: UnsharedProcess, ip_netns: t.Callable[[str], str]
) -> None:
    inside = unshared_process(["net"])
    assert "may not be opened" in failure("true", pid=inside.pid, as_user=NOBODY)["msg"]
    result = failure("true", namespace_path=ip_netns("roots"), as_user=NOBODY)
    assert (result["syscall"], result["errno"]) == ("setns", "EPERM")
    assert "no CAP_SYS_ADMIN over the net namespace" in result["reason"]
    assert "owner has the uid 0" in result["reason"]
    assert "become: true" in result["hint"]


def test_a_plain_user_may_not_join_those_of_another(failure: Run) -> None:
    with own_process(1000, "-r", "--net") as other:
        assert "may not be opened" in failure("true", pid=other.pid, as_user=NOBODY)["msg"]


def test_a_pid_that_is_reused_meanwhile_is_not_mistaken(
    run_module: RunModule, unshared_process: UnsharedProcess
) -> None:
    """Join a process that ends at any moment: its namespaces, an error, and nothing else."""
    ids = []
    for pause in (0.0, 0.005, 0.01, 0.02, 0.03, 0.05):
        inside = unshared_process(["uts"])
        wanted = proc.ids_of_process(inside.pid)["uts"]
        timer = threading.Timer(pause, os.kill, (inside.pid, signal.SIGKILL))
        timer.start()
        result = run_module(MODULE, {"argv": ["true"], "pid": inside.pid})
        timer.join()
        ids.append(result.get("namespaces", {}).get("uts", wanted) == wanted)
        if result.get("failed"):
            assert "exception" not in result
            assert result["reason"]
    assert all(ids)


def test_joining_takes_no_longer_than_running(run: Run, unshared_process: UnsharedProcess) -> None:
    inside = unshared_process(["mnt", "pid", "net"])

    def best(**options: t.Any) -> float:
        times = []
        for _round in range(5):
            begun = time.monotonic()
            run("true", **options)
            times.append(time.monotonic() - begun)
        return min(times)

    assert best(pid=inside.pid) < best() + 0.1


def test_the_examples_run(run_tasks: RunTasks) -> None:
    before = [{"linux.namespaces.ns_namespace": {"name": "web"}}]
    after = [{"linux.namespaces.ns_namespace": {"name": "web", "state": "absent", "force": True}}]
    run_tasks([*before, *examples_of(MODULE)], cleanup=after)
