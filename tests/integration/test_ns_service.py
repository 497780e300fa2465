# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_service without systemd, against the kernel: every option and state, and how it gets lost."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import time
import typing as t

import pytest
from conftest import (
    Converge,
    Result,
    RunModule,
    Unshared,
    has_ended,
    host_state,
    inside,
    wait_until,
)
from module_server import RUN
from programs import signals_of

from ansible_collections.linux.namespaces.plugins.module_utils._core import (
    host_paths,
    nsfs,
    pins,
    service_notes,
)

NewName = t.Callable[[], str]
NOBODY = 65534
LOGS = pathlib.Path(host_paths.LOGS)

PYTHON = "/usr/bin/python3"
# A program of the tests: it says what it was told, and does what it is told to.
PROGRAM = """
import os, signal, socket, sys, time
def say(text):
    print(text, flush=True)
def heed(number, frame):
    say("got %d" % number)
    if number != signal.SIGHUP and "deaf" not in sys.argv:
        sys.exit(0)
for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
    signal.signal(number, heed)
for word in sys.argv[1:]:
    name, _, value = word.partition("=")
    if name == "port":
        listener = socket.create_server((("127.0.0.1"), int(value)))
    elif name == "file":
        time.sleep(0.2)
        open(value, "w").close()
    elif name == "workers":
        for _ in range(int(value)):
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                while True:
                    signal.pause()
    elif name == "fail":
        say("first line")
        say("cannot " + value)
        sys.exit(3)
say("up")
while True:
    signal.pause()
"""


class Web:
    """A named namespace, and services in it."""

    def __init__(self, name: str, run_module: RunModule, converge: Converge) -> None:
        self.name = name
        self._run_module = run_module
        self._converge = converge

    def args(self, *words: str, **options: t.Any) -> dict[str, t.Any]:
        """The options of a task: the program of the tests with these words, unless it has argv."""
        args = {"namespace": self.name, "name": "idle", "supervisor": "none", **options}
        if words:
            args["argv"] = [PYTHON, "-I", "-S", "-c", PROGRAM, *words]
        return args

    def task(self, *words: str, **options: t.Any) -> Result:
        """Run a task that may fail."""
        return self._run_module("ns_service", self.args(*words, **options))

    def check(self, *words: str, **options: t.Any) -> Result:
        return self._run_module("ns_service", self.args(*words, **options), check=True)

    def converge(self, *words: str, **options: t.Any) -> Result:
        """Run a task that must succeed, with check mode and a second run."""
        return self._converge("ns_service", self.args(*words, **options))

    def started(self, *words: str, **options: t.Any) -> int:
        """Start a service; its pid."""
        found = self.converge(*words, **options)["service"]
        assert found["state"] == "started"
        return int(found["pid"])

    @property
    def log(self) -> pathlib.Path:
        return LOGS / self.name / "idle.log"


@pytest.fixture
def make_web(run_module: RunModule, converge: Converge, new_name: NewName) -> t.Callable[..., Web]:
    def make(**options: t.Any) -> Web:
        name = new_name()
        done = run_module("ns_namespace", {"name": name, "persistent": False, **options})
        assert not done.get("failed"), done
        return Web(name, run_module, converge)

    return make


@pytest.fixture
def web(make_web: t.Callable[..., Web]) -> Web:
    return make_web(kinds=["mnt", "net"])


def status_of(pid: int) -> dict[str, str]:
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return {
        key: value.strip()
        for key, _colon, value in (line.partition(":") for line in text.splitlines())
    }


def session(pid: int) -> list[int]:
    """The living processes of a session but for its leader."""
    found = []
    for each in nsfs.all_pids():
        facts = nsfs.process_facts(each)
        if facts is not None and facts.session == pid and each != pid and facts.state not in "ZX":
            found.append(each)
    return found


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
    assert nsfs.ids_of_process(pid, pinned) == pinned
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
    before = set(nsfs.all_pids())
    pid = web.started(argv=["sleep", "infinity"])
    mark = f"{RUN}={os.getpid()}\0"

    def ours() -> list[int]:
        new = set(nsfs.all_pids()) - before
        return [each for each in new if mark in open_text(f"/proc/{each}/environ")]

    assert wait_until(lambda: ours() == [])  # the module itself may take a moment to end
    descriptors = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert descriptors == {"0": "/dev/null", "1": str(web.log), "2": str(web.log)}
    assert os.getsid(pid) == pid
    environment = open_text(f"/proc/{pid}/environ").rstrip("\0").split("\0")
    assert environment == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    status = status_of(pid)
    assert status["Umask"] == "0022"
    assert signals_of(status, "SigBlk", "SigIgn", "SigCgt") == set()
    # Its files in /proc are its user's own, as for any program: it can be traced by that.
    assert os.stat(f"/proc/{pid}/mem").st_uid == 0
    assert os.readlink(f"/proc/{pid}/cwd") == "/"


def open_text(path: str) -> str:
    try:
        return pathlib.Path(path).read_text(errors="replace")
    except OSError:
        return ""


# --- the options


def capability_sets(pid: int) -> list[int]:
    status = status_of(pid)
    return [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")]


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
        ["A=1", "PATH=/bin"],
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
    note = service_notes.read(web.name, "idle")
    assert note is not None
    script = "trap '' TERM; sleep infinity & echo; wait"
    foreign = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert foreign.stdout is not None
        foreign.stdout.readline()
        children = session(foreign.pid)
        assert len(children) == 1
        stale = note._replace(process=note.process._replace(pid=foreign.pid))
        service_notes.write(web.name, "idle", stale)
        assert web.converge(state="stopped")["changed"] is False
        assert web.converge("plain")["actions"] == ["start service idle"]
        # The same when that one has ended as well, and has left something behind.
        web.converge(state="stopped")
        foreign.kill()
        foreign.wait()
        service_notes.write(web.name, "idle", stale)
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
        failure = web.task("fail=bind", **({} if ready is None else {"ready": ready}))
        assert failure["failed"], failure
        assert failure["log"] == "first line\ncannot bind"
        assert "service idle ended: first line\ncannot bind" in failure["reason"]
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
    note = service_notes.read(web.name, "idle")
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
    failure = web.task(**options)
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
        ({"argv": ["/bin/true"], "stop_signal": "NOPE"}, "'NOPE' is not the name of a signal"),
        ({"argv": ["/bin/true"], "reload": {"signal": "X"}}, "'X' is not the name of a signal"),
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
    assert nsfs.ids_of_process(other, ["net"]) != nsfs.ids_of_process(pid, ["net"])
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
    ids = nsfs.ids_of_process(pid)
    pinned = pins.pinned(web.name)
    own = nsfs.ids_of_process("self")
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
    uts = nsfs.ids_of_process(first, ["uts"])["uts"]
    web.converge(state="stopped")
    again = web.started()
    assert nsfs.ids_of_process(again, ["uts"])["uts"] not in (
        uts if not has_ended(first) else 0,
        nsfs.ids_of_process("self", ["uts"])["uts"],
    )
    note = service_notes.read(web.name, "idle")
    assert note is not None
    assert (note.kinds, note.reload_signal) == (("uts",), "USR1")


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
    assert "the init of the pid namespace has ended" in failure["reason"]


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


def test_a_damaged_note_is_named(web: Web) -> None:
    web.started("plain")
    web.converge(state="stopped")
    path = pathlib.Path(service_notes.path_of(web.name, "idle"))
    for damaged in ("{", "{}", '{"program": 1}'):
        path.write_text(damaged)
        failure = web.task("plain")
        assert f"{path} is damaged" in failure["reason"]
    path.unlink()


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
