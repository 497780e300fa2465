# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_setns_run: what is joined, by whom, and what is refused."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import threading
import time
import typing as t

import pytest
from results import RunModule
from run_modules import ALL_KINDS, OLDER, Run
from setns_run import LINKS, MODULE, NOBODY, failure, ids_in, run
from tasks import RunTasks, examples_of
from unshared_process import Unshared, UnsharedProcess
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc

__all__ = ["failure", "run"]


@pytest.fixture
def web(run_module: RunModule) -> t.Iterator[str]:
    """A named namespace of all kinds but user."""
    args = {"name": "web", "kinds": [kind for kind in ALL_KINDS if kind != "user"]}
    made = run_module("ns_namespace", {**args, "hostname": "web"})
    assert not made.get("failed"), made
    yield "web"
    gone = run_module("ns_namespace", {"name": "web", "state": "absent", "force": True})
    assert not gone.get("failed"), gone


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
