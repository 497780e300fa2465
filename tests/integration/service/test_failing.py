# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_service without systemd: crashes, failures, readiness, and namespaces of its own or lost."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import typing as t

import pytest
from host_state import host_state
from processes_inside import inside
from results import Result, RunModule
from unshared_process import Unshared
from waiting import has_ended, wait_until
from web_service import (
    LOGS,
    NewName,
    Web,
    capability_sets,
    make_web,
    open_text,
    session,
    status_of,
    web,
)

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import service_note
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.service import (
    Reload,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import nsfs, pins
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc
from ansible_collections.linux.namespaces.plugins.module_utils._core.service import plain

__all__ = ["make_web", "web"]


# --- crashes


def test_workers_of_a_killed_master_are_ended(web: Web) -> None:
    pid = web.started("workers=2", "port=8080", ready={"port": 8080})
    workers = session(pid)
    assert len(workers) == 2
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: has_ended(pid))
    again = web.converge("workers=2", "port=8080", ready={"port": 8080})
    # The port could not be taken while they hold it.
    assert again["actions"] == ["stop service idle", "start service idle"]
    assert all(has_ended(each) for each in workers)
    new = again["service"]["pid"]
    os.kill(new, signal.SIGKILL)
    assert wait_until(lambda: has_ended(new))
    assert web.converge(state="absent")["actions"] == ["stop service idle", "remove service idle"]
    assert session(new) == []


def test_a_crashed_program_is_started_again(web: Web) -> None:
    pid = web.started("plain")
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: has_ended(pid))
    assert web.converge("plain")["actions"] == ["start service idle"]


def test_a_process_with_the_same_pid_is_left_alone(web: Web) -> None:
    """The pid of a service that ended may be another's by now, or the number of its session."""
    web.started("plain")
    web.converge(state="stopped")
    note = service_note.read(web.name, "idle")
    assert note is not None
    script = "trap '' TERM; sleep infinity & echo; wait"
    foreign = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert foreign.stdout is not None
        foreign.stdout.readline()
        children = session(foreign.pid)
        assert len(children) == 1
        stale = note._replace(process=note.process._replace(pid=foreign.pid))
        service_note.write(stale)
        assert web.converge(state="stopped")["changed"] is False
        assert web.converge("plain")["actions"] == ["start service idle"]
        # The same when that one has ended as well, and has left something behind.
        web.converge(state="stopped")
        foreign.kill()
        foreign.wait()
        service_note.write(stale)
        assert web.converge(state="absent")["actions"] == ["remove service idle"]
        assert not has_ended(children[0])
    finally:
        for pid in session(foreign.pid):
            os.kill(pid, signal.SIGKILL)
        if foreign.poll() is None:
            foreign.kill()
            foreign.wait()
        assert foreign.stdout is not None
        foreign.stdout.close()


# --- failing to start


def test_a_program_that_fails_says_why(web: Web) -> None:
    for ready in (None, {"port": 8080}, {"file": "/none"}):
        # Not Python: without ready only what ends at once is seen to fail.
        argv = ["sh", "-c", "echo first line; echo cannot bind; exit 3"]
        failure = web.task(argv=argv, **({} if ready is None else {"ready": ready}))
        assert failure["failed"], failure
        assert failure["log"] == "first line\ncannot bind"
        assert "service idle ended: first line; cannot bind" in failure["reason"]
        assert str(web.log) in failure["hint"]
    assert web.converge(state="stopped")["service"]["state"] == "stopped"
    web.started("plain")


@pytest.mark.parametrize("ready", [{"port": 8080}, {"file": "/none"}])
def test_a_program_may_end_at_any_moment_of_the_waiting(web: Web, ready: Result) -> None:
    for milliseconds in range(0, 40, 2):
        argv = ["sh", "-c", f"echo started; sleep {milliseconds / 1000}"]
        failure = web.task(argv=argv, ready=ready)
        assert failure.get("log") == "started", (milliseconds, failure)


def test_a_program_that_is_not_ready_is_ended(web: Web) -> None:
    failure = web.task("plain", ready={"port": 8081, "timeout": 0.3})
    assert failure["failed"]
    assert "service idle is not ready: up" in failure["reason"]
    note = service_note.read(web.name, "idle")
    assert note is not None
    assert has_ended(note.process.pid)


@pytest.mark.parametrize(
    ("options", "step", "errno", "reason"),
    [
        ({"argv": ["/no/such/program"]}, "run /no/such/program", "ENOENT", "/no/such/program"),
        ({"argv": ["nosuchprogram"]}, "run nosuchprogram", "ENOENT", "nosuchprogram"),
        ({"argv": ["/etc/passwd"]}, "run /etc/passwd", "EACCES", "/etc/passwd"),
        (
            {"argv": ["/bin/true"], "chdir": "/no/such"},
            "change to the directory /no/such",
            "ENOENT",
            "/no/such",
        ),
    ],
)
def test_what_cannot_be_run_is_explained(
    options: dict[str, t.Any], step: str, errno: str, reason: str, web: Web
) -> None:
    before = time.monotonic()
    failure = web.task(**options)
    # Nothing of it runs, so there is nothing to wait for.
    assert time.monotonic() - before < plain._WRITING
    assert failure["failed"]
    assert (failure["step"], failure["errno"]) == (step, errno)
    assert reason in failure["msg"]
    web.started("plain")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "service idle is not known, so argv is needed"),
        ({"state": "restarted"}, "service idle is not known, so argv is needed"),
        ({"argv": []}, "argv names no program"),
        ({"argv": ["/bin/true"], "name": "../x"}, "cannot be a name"),
        ({"argv": ["/bin/true"], "namespace": "no-such"}, "there is no namespace 'no-such'"),
        ({"argv": ["/bin/true"], "stop_signal": "NOPE"}, "'NOPE' is not a signal"),
        ({"argv": ["/bin/true"], "reload": {"signal": "X"}}, "'X' is not a signal"),
        ({"argv": ["/bin/true"], "limits": {"nofile": "many"}}, "nofile=many is no number"),
        ({"argv": ["/bin/true"], "limits": {"files": 1}}, "'files' is not a resource limit"),
        ({"argv": ["/bin/true"], "capabilities": ["all"]}, "all"),
        ({"argv": ["/bin/true"], "user": "-1"}, "'-1' is neither the name nor the id of a user"),
        ({"argv": ["/bin/true"], "enabled": True}, "without systemd nothing can be enabled"),
        ({"argv": ["/bin/true"], "ready": {"notify": True}}, "nobody to notify"),
        ({"argv": ["/bin/true"], "ready": {"port": 0}}, "port must be a number from 1 to 65535"),
        ({"argv": ["/bin/true"], "ready": {"file": "up"}}, "file must be an absolute path"),
        ({"argv": ["/bin/true"], "ready": {"port": 1, "file": "/x"}}, "mutually exclusive"),
        ({"argv": ["/bin/true"], "kinds": ["mount"]}, "value of kinds must be one or more of"),
    ],
)
def test_bad_input_is_refused(options: dict[str, t.Any], reason: str, web: Web) -> None:
    before = host_state()
    failure = web.task(**options)
    assert failure["failed"]
    assert reason in failure.get("reason", failure["msg"])
    assert host_state() == before
    assert not LOGS.exists()


def test_an_unknown_user_is_refused(web: Web) -> None:
    failure = web.task("plain", user="no-such-user")
    assert "there is no user 'no-such-user'" in failure["reason"]


# --- readiness


def test_ready_port(web: Web) -> None:
    """The port is that of the namespace: the host's of the same number is another one."""
    pid = web.started("port=8080", ready={"port": 8080})

    def answers() -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", 8080)) == 0

    assert inside(web.name, answers, ["net"])
    own = web.task(
        "port=8080", name="other", kinds=["net"], ready={"port": 8080, "address": "127.0.0.1"}
    )
    assert own["changed"], own
    other = own["service"]["pid"]
    assert proc.ids_of_process(other, ["net"]) != proc.ids_of_process(pid, ["net"])
    web.converge(name="other", state="absent")


def test_ready_file(web: Web, tmp_path: pathlib.Path) -> None:
    """The file is found inside, where the host has none."""
    inner = tmp_path / "inner"
    inner.mkdir()
    web._run_module(
        "ns_mount", {"namespace": web.name, "path": str(inner), "src": "t", "fstype": "tmpfs"}
    )
    web.started(f"file={inner}/up", ready={"file": f"{inner}/up"})
    assert not (inner / "up").exists()
    assert inside(web.name, lambda: os.path.exists(f"{inner}/up"), ["mnt"])


def test_ready_file_in_a_root_without_proc(
    make_web: t.Callable[..., Web], run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    web = make_web(kinds=["mnt", "pid"])
    mounts = [{"path": str(tmp_path), "src": "root", "fstype": "tmpfs"}]
    for path in ("/usr", "/lib", "/lib64"):
        bind = {"path": f"{tmp_path}{path}", "src": path, "opts": "rbind,ro,X-mount.mkdir"}
        mounts += [bind] if os.path.isdir(path) else []
    run_module("ns_mount", {"namespace": web.name, "mounts": mounts})
    run_module("ns_pivot_root", {"namespace": web.name, "new_root": str(tmp_path)})
    web.started(argv=["/usr/bin/sleep", "infinity"], ready={"file": "/usr/bin/sleep"})


# --- namespaces


@pytest.mark.parametrize("kind", nsfs.kinds.NAMES)
def test_a_namespace_of_its_own(kind: str, web: Web) -> None:
    # The name of the program's own must not be that of the host either.
    if kind == "user":
        pid = web.started("plain", kinds=[kind])
        assert open_text(f"/proc/{pid}/uid_map").split() == ["0", "0", "1"]
        assert capability_sets(pid)[1] != 0
    else:
        pid = web.started("plain", kinds=[kind])
    ids = proc.ids_of_process(pid)
    pinned = pins.pinned(web.name)
    own = proc.ids_of_process("self")
    assert ids[kind] not in (own[kind], pinned.get(kind))
    for other in set(pinned) - {kind}:
        assert ids[other] == pinned[other]


def test_mounts_of_its_own_are_a_copy(web: Web, tmp_path: pathlib.Path) -> None:
    web._run_module(
        "ns_mount", {"namespace": web.name, "path": str(tmp_path), "src": "t", "fstype": "tmpfs"}
    )
    inside(web.name, (tmp_path / "mark").touch, ["mnt"])
    service = Unshared(web.started("plain", kinds=["mnt", "pid", "net"]))
    assert service.run("ls", str(tmp_path)) == "mark\n"
    # Its /proc is of its own pids, and lo is up.
    assert service.run("cat", "/proc/1/comm").startswith("python")
    assert "UP" in service.run("ip", "link", "show", "lo")
    service.run("mount", "-t", "tmpfs", "own", "/mnt")
    assert service.mounted_on("/mnt")
    assert not inside(web.name, lambda: os.path.ismount("/mnt"), ["mnt"])


def test_what_is_left_out_stays_as_it_was_noted(web: Web) -> None:
    first = web.started("plain", kinds=["uts"], reload={"signal": "USR1"})
    uts = proc.ids_of_process(first, ["uts"])["uts"]
    web.converge(state="stopped")
    again = web.started()
    assert proc.ids_of_process(again, ["uts"])["uts"] not in (
        uts if not has_ended(first) else 0,
        proc.ids_of_process("self", ["uts"])["uts"],
    )
    note = service_note.read(web.name, "idle")
    assert note is not None
    assert (note.spec.kinds, note.spec.reload) == (("uts",), Reload(signal="USR1"))


def test_in_a_pid_namespace(make_web: t.Callable[..., Web]) -> None:
    web = make_web(kinds=["mnt", "pid"])
    pid = web.started("workers=1")
    assert len(status_of(pid)["NSpid"].split()) == 2
    assert wait_until(lambda: len(session(pid)) == 1)
    web.converge(state="stopped")
    assert session(pid) == []


def test_a_namespace_whose_init_has_ended(make_web: t.Callable[..., Web]) -> None:
    web = make_web(kinds=["pid"])
    holder = json.loads(pathlib.Path(host_paths.directory(web.name), "holder.json").read_text())[
        "pid"
    ]
    os.kill(holder, signal.SIGKILL)
    assert wait_until(lambda: has_ended(holder))
    failure = web.task("plain")
    assert failure["errno"] == "ENOMEM"
    assert (
        f"the holder of the pid namespace of '{web.name}', process {holder}," in failure["reason"]
    )
    assert f"`nsctl up {web.name}`" in failure["hint"]


# --- without its namespace


def test_a_namespace_with_services_is_in_use(web: Web, run_module: RunModule) -> None:
    pid = web.started("plain")
    absent = {"name": web.name, "state": "absent"}
    assert run_module("ns_namespace", absent)["processes"][0]["pid"] == pid
    assert run_module("ns_namespace", {**absent, "force": True})["changed"]
    assert has_ended(pid)
    # With the namespace goes all that was kept of its services.
    assert not LOGS.exists()
    for state in ("stopped", "absent"):
        assert web.converge(state=state)["changed"] is False
    assert "there is no namespace" in web.task(state="started", argv=["/bin/true"])["reason"]


@pytest.mark.parametrize("force", [True, False])
def test_a_service_apart_from_its_namespace(force: bool, web: Web, run_module: RunModule) -> None:
    """With namespaces of its own, of all kinds that the named one has, it belongs to that still."""
    pid = web.started("workers=1", kinds=["mnt", "net"])
    assert wait_until(lambda: len(session(pid)) == 1)
    workers = session(pid)
    absent = {"name": web.name, "state": "absent"}
    failure = run_module("ns_namespace", absent)
    assert [process["pid"] for process in failure["processes"]] == sorted([pid, *workers])
    if force:
        assert run_module("ns_namespace", {**absent, "force": True})["changed"]
    else:
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: has_ended(pid))
        failure = run_module("ns_namespace", absent)
        assert [process["pid"] for process in failure["processes"]] == workers
        web.converge(state="absent")
    assert all(has_ended(each) for each in [pid, *workers])


def test_output_without_a_namespace_is_removed(web: Web, run_module: RunModule) -> None:
    run_module("ns_namespace", {"name": web.name, "state": "absent"})
    web.log.parent.mkdir(parents=True)
    web.log.touch()
    assert web.converge(state="absent")["actions"] == ["remove service idle"]
    assert not LOGS.exists()


def test_check_mode_of_a_play_from_nothing(run_module: RunModule, new_name: NewName) -> None:
    args = {
        "namespace": new_name(),
        "name": "idle",
        "argv": ["/bin/true"],
        "supervisor": "none",
    }
    predicted = run_module("ns_service", args, check=True)
    assert predicted["actions"] == ["start service idle"]
    assert predicted["changed"] is True
    for state in ("stopped", "absent"):
        assert run_module("ns_service", {**args, "state": state}, check=True)["changed"] is False
