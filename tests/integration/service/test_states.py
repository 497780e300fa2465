# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_service without systemd, against the kernel: every option and state."""

from __future__ import annotations

import os
import pathlib
import signal
import stat
import time
import typing as t

from module_server import RUN
from programs import signals_of
from results import RunModule
from units import environment_of
from waiting import has_ended, wait_until
from web_service import (
    LOGS,
    NOBODY,
    Web,
    capability_sets,
    make_web,
    open_text,
    session,
    status_of,
    web,
)

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc

__all__ = ["make_web", "web"]


def test_a_service_from_start_to_end(web: Web) -> None:
    done = web.converge("plain")
    assert done["actions"] == ["start service idle"]
    found = done["service"]
    assert (found["name"], found["namespace"], found["state"]) == ("idle", web.name, "started")
    assert found["argv"][-1] == "plain"
    assert found["log"] == str(web.log)
    assert "state: absent" in done["diff"]["before"]
    assert "state: started" in done["diff"]["after"]
    pid = found["pid"]
    assert pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")[-2] == "plain"
    pinned = pins.pinned(web.name)
    assert proc.ids_of_process(pid, pinned) == pinned
    assert wait_until(lambda: web.log.read_text() == "up\n")
    assert stat.S_IMODE(web.log.stat().st_mode) == 0o640
    # Without argv it is what it was.
    assert web.converge()["changed"] is False
    stopped = web.converge(state="stopped")
    assert stopped["actions"] == ["stop service idle"]
    assert stopped["service"]["state"] == "stopped"
    assert stopped["service"]["pid"] is None
    assert has_ended(pid)
    assert f"got {signal.SIGTERM}" in web.log.read_text()
    again = web.converge()
    assert again["actions"] == ["start service idle"]
    assert again["service"]["argv"] == found["argv"]
    gone = web.converge(state="absent")
    assert gone["actions"] == ["stop service idle", "remove service idle"]
    assert gone["service"]["state"] == "absent"
    assert not LOGS.exists()
    assert os.listdir(f"{host_paths.directory(web.name)}/services") == []


def test_nothing_else_of_ours_stays(web: Web, run_module: RunModule) -> None:
    run_module("ns_mount_info", {})  # from now on there is the server
    before = set(proc.all_pids())
    pid = web.started(argv=["sleep", "infinity"])
    mark = f"{RUN}={os.getpid()}\0"

    def ours() -> list[int]:
        new = set(proc.all_pids()) - before
        return [each for each in new if mark in open_text(f"/proc/{each}/environ")]

    assert wait_until(lambda: ours() == [])  # the module itself may take a moment to end
    descriptors = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert descriptors.pop("0") == "/dev/null"
    assert descriptors.keys() == {"1", "2"}
    assert descriptors["1"] == descriptors["2"]
    assert descriptors["1"].startswith("pipe:")
    assert os.getsid(pid) == pid
    assert environment_of(pid) == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "USER": "root",
        "LOGNAME": "root",
    }
    status = status_of(pid)
    assert status["Umask"] == "0022"
    assert signals_of(status, "SigBlk", "SigIgn", "SigCgt") == set()
    # Its files in /proc are its user's own, as for any program: it can be traced by that.
    assert os.stat(f"/proc/{pid}/mem").st_uid == 0
    assert os.readlink(f"/proc/{pid}/cwd") == "/"


# --- the options


OPTIONS: dict[str, tuple[dict[str, t.Any], t.Callable[[int], object], object]] = {
    "user": ({"user": "nobody"}, lambda pid: status_of(pid)["Uid"].split()[0], str(NOBODY)),
    "user by number": ({"user": "4711"}, lambda pid: status_of(pid)["Gid"].split()[0], "4711"),
    "group": (
        {"user": "nobody", "group": "daemon"},
        lambda pid: status_of(pid)["Gid"].split()[0],
        "1",
    ),
    "no_new_privs": ({"no_new_privs": True}, lambda pid: status_of(pid)["NoNewPrivs"], "1"),
    "chdir": ({"chdir": "/usr"}, lambda pid: os.readlink(f"/proc/{pid}/cwd"), "/usr"),
    "environment": (
        {"environment": {"A": 1, "PATH": "/bin"}},
        lambda pid: sorted(open_text(f"/proc/{pid}/environ").rstrip("\0").split("\0")),
        ["A=1", "HOME=/root", "LOGNAME=root", "PATH=/bin", "USER=root"],
    ),
    "limits": (
        {"limits": {"nofile": "64:128", "core": 0}},
        lambda pid: [limit_of(pid, "Max open files"), limit_of(pid, "Max core file size")],
        [["64", "128"], ["0", "0"]],
    ),
    "no capabilities": ({"capabilities": []}, capability_sets, [0, 0, 0, 0, 0]),
    "capabilities of root": (
        {"capabilities": ["net_bind_service", "chown"]},
        capability_sets,
        [0, 0x401, 0x401, 0x401, 0],  # inheritable, permitted, effective, bounding, ambient
    ),
    "capabilities of a user": (
        {"user": "nobody", "capabilities": ["net_bind_service"]},
        capability_sets,
        [0x400, 0x400, 0x400, 0x400, 0x400],
    ),
}


def limit_of(pid: int, name: str) -> list[str]:
    for line in open_text(f"/proc/{pid}/limits").splitlines():
        if line.startswith(name):
            return line[len(name) :].split()[:2]
    raise AssertionError(name)


def test_options_are_taken_changed_and_taken_back(web: Web) -> None:
    """Each of them restarts the program when it changes, and only then."""
    last = web.started("plain")
    for what, (options, look, expected) in OPTIONS.items():
        changed = web.converge("plain", **options)
        assert changed["actions"] == ["stop service idle", "start service idle"], what
        pid = changed["service"]["pid"]
        assert has_ended(last), what
        assert look(pid) == expected, what
        last = pid
    assert web.started("plain") != last


def test_changed_argv_restarts(web: Web) -> None:
    first = web.started("plain")
    changed = web.converge("plain", "more")
    assert changed["actions"] == ["stop service idle", "start service idle"]
    assert has_ended(first)
    assert "argv" in changed["diff"]["after"]
    # How to reload or stop it is no reason to restart it.
    noted = web.converge("plain", "more", reload={"signal": "USR1"}, stop_signal="QUIT")
    assert noted["actions"] == ["note service idle"]
    assert noted["service"]["pid"] == changed["service"]["pid"]


def test_restarted_always_restarts(web: Web) -> None:
    first = web.started("plain")
    predicted = web.check(state="restarted")
    done = web.task(state="restarted")
    assert done["actions"] == predicted["actions"] == ["stop service idle", "start service idle"]
    assert has_ended(first)
    web.converge(state="stopped")
    assert web.task(state="restarted")["actions"] == ["start service idle"]


# --- reload


def test_reload_by_signal(web: Web) -> None:
    pid = web.started("plain", reload={"signal": "HUP"})
    assert wait_until(lambda: "up" in web.log.read_text())
    predicted = web.check(state="reloaded")
    done = web.task(state="reloaded")
    assert done["actions"] == predicted["actions"] == ["reload service idle"]
    assert done["service"]["pid"] == pid
    assert wait_until(lambda: f"got {signal.SIGHUP}" in web.log.read_text())
    # Without any word about it, too, by what is usual.
    web.converge("plain")
    assert web.task(state="reloaded")["actions"] == ["reload service idle"]
    assert wait_until(lambda: web.log.read_text().count(f"got {signal.SIGHUP}") == 2)


def test_reload_by_program(make_web: t.Callable[..., Web]) -> None:
    web = make_web(kinds=["mnt", "uts"], hostname="inner")
    reload = {"argv": ["/bin/sh", "-c", "hostname; id -u; exit $CODE"]}
    environment = {"CODE": "0"}
    web.started("plain", reload=reload, user="nobody", environment=environment)
    assert wait_until(lambda: "up" in web.log.read_text())
    assert web.task(state="reloaded")["actions"] == ["reload service idle"]
    assert web.log.read_text().splitlines()[-2:] == ["inner", str(NOBODY)]
    web.started("plain", reload=reload, environment={"CODE": "7"})
    failure = web.task(state="reloaded")
    assert failure["failed"]
    assert "the reload program /bin/sh ended with 7" in failure["reason"]
    assert str(web.log) in failure["hint"]
    slow = {"argv": ["/bin/sleep", "60"]}
    began = time.monotonic()
    failure = web.task(state="reloaded", reload=slow, ready={"timeout": 0.2})
    assert "did not end within 0.2 seconds" in failure["reason"]
    assert time.monotonic() - began < 10


def test_reloaded_starts_what_does_not_run(web: Web) -> None:
    assert web.task("plain", state="reloaded")["actions"] == ["start service idle"]
    # What changed is not reloaded but started anew.
    changed = web.task("plain", "more", state="reloaded")
    assert changed["actions"] == ["stop service idle", "start service idle"]


# --- stopping


def test_the_stop_signal(web: Web) -> None:
    web.started("plain", stop_signal="QUIT")
    assert wait_until(lambda: "up" in web.log.read_text())
    web.converge(state="stopped")
    assert f"got {signal.SIGQUIT}" in web.log.read_text()
    web.started("plain", stop_signal="QUIT")
    assert wait_until(lambda: web.log.read_text().count("up") == 2)
    web.converge(state="stopped", stop_signal="TERM")
    assert f"got {signal.SIGTERM}" in web.log.read_text()


def test_who_does_not_heed_is_killed(web: Web) -> None:
    pid = web.started("deaf", "workers=2")
    assert wait_until(lambda: "up" in web.log.read_text())
    workers = session(pid)
    assert len(workers) == 2
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    assert web.task(state="stopped", stop_timeout=0.3)["actions"] == ["stop service idle"]
    assert 0.3 <= time.monotonic() - began < 10
    assert all(has_ended(each) for each in [pid, *workers])


def test_an_init_is_stopped_at_once(web: Web) -> None:
    """The init of a pid namespace never gets a signal that it has no handler for."""
    pid = web.started(argv=["/bin/sleep", "infinity"], kinds=["pid"])
    assert status_of(pid)["NSpid"].split()[-1] == "1"
    began = time.monotonic()
    web.converge(state="stopped")
    assert time.monotonic() - began < 5
    assert has_ended(pid)
