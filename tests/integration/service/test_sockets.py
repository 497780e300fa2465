# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets that are opened for a service, and stay open while its program is started again."""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import stat
import subprocess
import time
import typing as t

import pytest
from results import Result, RunModule
from socket_clients import PORT, TCP, Clients, argv, is_answered
from stub_systemd import StubSystemd, stub_systemd
from unit_runner import NO_SOCKETS
from units import Systemd, environment_of, running, systemd
from waiting import wait_until
from web_service import NOBODY, PYTHON, Web, make_web, web

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import service_note
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.service import (
    Ready,
    ServiceSpec,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.service_socket import (
    Socket,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import StepFailed
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.program import Program
from ansible_collections.linux.namespaces.plugins.module_utils._core.service import (
    socket_files,
    supervisor,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.service.model import (
    ServiceRequest,
)

__all__ = ["StubSystemd", "make_web", "stub_systemd", "systemd", "web"]


def note_of(web: Web) -> service_note.Note:
    note = service_note.read(web.name, "idle")
    assert note is not None
    return note


def restart(web: Web, *words: str, **options: t.Any) -> Result:
    done = web.task(state="restarted", argv=argv(*words, takes=0.1), **options)
    assert not done.get("failed"), done
    assert done["actions"] == ["stop service idle", "start service idle"]
    return done


def test_nobody_is_turned_away_while_it_is_started_again(web: Web) -> None:
    web.started(argv=argv(takes=0.1), sockets=[TCP], ready={"port": PORT})
    made = note_of(web).sockets
    with Clients(web).always() as failures:
        pids = [restart(web, sockets=[TCP])["service"]["pid"] for _time in range(20)]
    assert failures == []
    assert len(set(pids)) == 20
    assert note_of(web).sockets == made
    assert Clients(web).ask().split()[0] == str(pids[-1])


def test_without_them_some_are_turned_away(web: Web) -> None:
    """What the other tests would see if a socket were closed for a moment."""
    web.started(argv=argv(), ready={"port": PORT})
    with Clients(web).always() as failures:
        restart(web)
        assert wait_until(lambda: is_answered(web))
    assert failures


def test_the_same_of_a_file(web: Web) -> None:
    place = f"/run/tests/{web.name}/app.sock"
    sockets = [{"listen": place, "mode": "0660", "owner": "nobody", "group": "daemon"}]
    web.started(argv=argv(takes=0.1), sockets=sockets)
    with Clients(web, place).always() as failures:
        for _time in range(5):
            restart(web, sockets=sockets)
    assert failures == []
    ids = subprocess.run(
        [
            "nsenter",
            f"--mount={host_paths.directory(web.name)}/mnt",
            "stat",
            "-c",
            "%u:%g:%a:%F",
            place,
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert ids.strip() == f"{NOBODY}:1:660:socket"
    # The host has it where nobody else gets to.
    assert not pathlib.Path(place).is_socket()
    assert stat.S_IMODE(os.stat(host_paths.SOCKETS).st_mode) == 0o700
    web.converge(state="absent")
    assert not os.path.lexists(host_paths.SOCKETS)
    assert "FileNotFoundError" in Clients(web, place).ask()
    pathlib.Path(place).parent.rmdir()


def test_a_namespace_that_goes_leaves_no_place(web: Web, run_module: RunModule) -> None:
    """It shows the host's /run, where the place of the file was made."""
    place = pathlib.Path(f"/run/{web.name}.sock")
    web.started(argv=argv(), sockets=[{"listen": str(place)}])
    assert place.exists()
    gone = run_module("ns_namespace", {"name": web.name, "state": "absent", "force": True})
    assert not gone.get("failed"), gone
    assert not place.exists()
    assert not os.path.lexists(host_paths.SOCKETS)


def is_blocking(pid: int, fd: int) -> bool:
    """By fdinfo of proc(5), as the program has it."""
    info = pathlib.Path(f"/proc/{pid}/fdinfo/{fd}").read_text()
    return not int(info.partition("flags:")[2].split()[0], 8) & os.O_NONBLOCK


def test_what_a_program_gets(web: Web) -> None:
    sockets = [
        {**TCP, "name": "first"},
        {**TCP, "type": "datagram", "blocking": False},
        {"listen": f"[::1]:{PORT}"},
        {"listen": "/run/what.sock", "type": "datagram"},
    ]
    pid = web.started(argv=["/bin/sleep", "600"], sockets=sockets)
    assert sorted(map(int, os.listdir(f"/proc/{pid}/fd"))) == [*range(7)]
    pid = web.started(argv=argv(), sockets=sockets, ready={"port": PORT})
    told = environment_of(pid)
    assert (told["LISTEN_PID"], told["LISTEN_FDS"]) == (str(pid), "4")
    assert told["LISTEN_FDNAMES"] == "first:idle:idle:idle"
    made = [f"socket:[{inode}]" for inode in note_of(web).sockets]
    assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (3, 4, 5, 6)] == made
    assert [is_blocking(pid, fd) for fd in (3, 4, 5, 6)] == [True, False, True, True]
    # They are of the namespace, and not of the host.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", PORT), 5)
    assert Clients(web).ask().split()[0] == str(pid)
    assert Clients(web, ("::1", PORT)).ask().split()[0] == str(pid)


def test_in_a_pid_namespace(make_web: t.Callable[..., Web]) -> None:
    web = make_web(kinds=["mnt", "net", "pid"])
    pid = web.started(argv=argv(), sockets=[TCP], ready={"port": PORT})
    inside = pathlib.Path(f"/proc/{pid}/status").read_text().partition("NSpid:")[2].split()[1]
    assert environment_of(pid)["LISTEN_PID"] == inside
    assert Clients(web).ask().split()[0] == inside


def test_another_list_keeps_those_that_are_in_both(web: Web) -> None:
    path = "/run/list.sock"
    web.started(argv=argv(), sockets=[{"listen": path}, TCP], ready={"port": PORT})
    _file, tcp = note_of(web).sockets
    other = {"listen": f"127.0.0.1:{PORT + 1}"}
    done = web.converge(argv=argv(), sockets=[other, TCP], ready={"port": PORT})
    assert done["actions"] == ["stop service idle", "start service idle"]
    assert note_of(web).sockets[1] == tcp
    assert Clients(web, ("127.0.0.1", PORT + 1)).ask() == Clients(web).ask()
    assert "FileNotFoundError" in Clients(web, path).ask()
    assert not os.path.lexists(host_paths.SOCKETS)


def test_one_that_was_killed_gets_new_ones(web: Web) -> None:
    """As after a run that was killed when it held the sockets: nobody has them any more."""
    path = "/run/killed.sock"
    sockets = [TCP, {"listen": path}]
    pid = web.started(argv=argv(), sockets=sockets, ready={"port": PORT})
    made = note_of(web).sockets
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not is_answered(web))
    assert web.converge(argv=argv(), sockets=sockets, ready={"port": PORT})["actions"] == [
        "start service idle"
    ]
    assert not {*made} & {*note_of(web).sockets}
    assert Clients(web).ask() == Clients(web, path).ask()


def test_it_is_ready_when_it_takes_connections_itself(web: Web) -> None:
    """The kernel takes them from the beginning."""
    before = time.monotonic()
    web.started(argv=argv(takes=0.7), sockets=[TCP], ready={"port": PORT})
    assert time.monotonic() - before > 0.7
    asleep = ["/bin/sleep", "600"]
    late = web.task(argv=asleep, sockets=[TCP], ready={"port": PORT, "timeout": 0.5})
    assert "service idle is not ready" in late["msg"]


# Puts a socket of its own in the place of what it was given.
THIEF = """
import os, socket, time
own = socket.create_server(("127.0.0.1", 8081))
os.dup2(own.fileno(), 3)
print("up", flush=True)
time.sleep(600)
"""


def test_nothing_else_is_taken_from_a_program(web: Web) -> None:
    web.started(argv=[PYTHON, "-I", "-S", "-c", THIEF], sockets=[TCP])
    made = note_of(web).sockets
    assert wait_until(lambda: web.log.read_text() == "up\n")
    web.converge(argv=argv(), sockets=[TCP], ready={"port": PORT})
    assert note_of(web).sockets != made
    assert is_answered(web)
    assert not is_answered(web, ("127.0.0.1", PORT + 1))


def request_of(web: Web, *words: str, **options: t.Any) -> ServiceRequest:
    spec = ServiceSpec(
        web.name,
        "idle",
        Program(words or argv()),
        ready=Ready(port=PORT, timeout=10),
        sockets=(Socket(f"127.0.0.1:{PORT}"), Socket("/run/kept.sock")),
    )
    return ServiceRequest(spec, supervisor="none", **options)


def test_they_stay_open_for_who_starts_another_one_at_once(web: Web) -> None:
    """As where the next generation of a root does not come up, and the one before serves again."""
    good = request_of(web)
    bad = request_of(web, "/bin/false", state="restarted", keeps_sockets=True)
    supervisor.run(good, t.cast(t.Any, None), check=False, host_too=False)
    made = note_of(web).sockets
    with Clients(web).always() as failures:
        for _time in range(2):
            with pytest.raises(StepFailed):
                supervisor.run(bad, t.cast(t.Any, None), check=False, host_too=False)
            supervisor.run(good, t.cast(t.Any, None), check=False, host_too=False)
    assert failures == []
    assert note_of(web).sockets == made


def test_files_are_attached_once(web: Web) -> None:
    request = request_of(web)
    supervisor.run(request, t.cast(t.Any, None), check=False, host_too=False)
    for _time in range(2):
        socket_files.attach(request.spec)
    place = f"{host_paths.directory(web.name)}/mnt"
    table = ["nsenter", f"--mount={place}", "cat", "/proc/self/mountinfo"]
    rows = subprocess.run(table, check=True, capture_output=True, text=True).stdout
    assert rows.count(" /run/kept.sock ") == 1
    # Somebody unmounts it: it comes back with the next start, or whoever asks for it.
    subprocess.run(["nsenter", f"--mount={place}", "umount", "/run/kept.sock"], check=True)
    assert not is_answered(web, "/run/kept.sock")
    socket_files.attach(request.spec)
    assert is_answered(web, "/run/kept.sock")


BAD = [
    ({"listen": "localhost:80"}, "neither an address with a port nor a path"),
    ({"listen": "127.0.0.1:0"}, "must be a number from 1 to 65535"),
    ({"listen": "/run/../a"}, "no clean path"),
    ({**TCP, "mode": "0600"}, "is no file"),
    ({"listen": "/a", "mode": 600}, "is no mode"),
    ({"listen": "/a", "mode": "rwx"}, "is no mode"),
    ({"listen": "/a", "owner": "not-there"}, "there is no user"),
    ({"listen": "/dev/null/a"}, "there is no place for it"),
    ({"listen": "/usr"}, "is a directory inside"),
]


@pytest.mark.parametrize(("wrong", "reason"), BAD)
def test_what_cannot_be_is_explained(wrong: dict[str, t.Any], reason: str, web: Web) -> None:
    failure = web.task(argv=argv(), sockets=[wrong])
    assert reason in failure["msg"]
    assert "traceback" not in str(failure).lower()
    web.converge(state="absent")
    assert not os.path.lexists(host_paths.SOCKETS)


def test_an_address_that_somebody_has(web: Web) -> None:
    web.started(argv=argv(), name="other", ready={"port": PORT})
    failure = web.task(argv=argv(), sockets=[TCP])
    assert failure["step"] == "start service idle"
    assert f"the socket 127.0.0.1:{PORT} cannot be opened: Address already in use" in failure["msg"]


def test_a_file_needs_a_mount_namespace(make_web: t.Callable[..., Web]) -> None:
    web = make_web(kinds=["net"])
    failure = web.task(argv=argv(), sockets=[{"listen": "/run/a.sock"}])
    assert "would be mounted on the host" in failure["msg"]


def test_systemd_has_to_pass_them(systemd: Systemd) -> None:
    """On a stand-in for it, which passes none. What systemd does is tested on hosts that have it."""
    (systemd.output / NO_SOCKETS).touch()
    failure = systemd.fails(argv=argv(), sockets=[TCP])
    assert "has 1 sockets, and systemd passed 0" in failure["msg"]
    unit = systemd.unit.with_suffix(".socket")
    assert f"ListenStream=127.0.0.1:{PORT}\n" in unit.read_text()
    assert (
        f"NetworkNamespacePath={host_paths.directory(systemd.web.name)}/net\n" in unit.read_text()
    )
    # Without any its unit goes.
    systemd.task(argv=["/bin/sleep", "600"])
    assert not unit.exists()


def test_those_of_a_net_that_is_shared(
    make_web: t.Callable[..., Web], stub_systemd: StubSystemd, run_module: RunModule
) -> None:
    owner = make_web(kinds=["net"])
    web = make_web(kinds=["mnt"], share={"net": owner.name})
    for found in running(web, stub_systemd):
        (found.output / NO_SOCKETS).touch()
        found.fails(argv=argv(), sockets=[TCP])
        text = found.unit.with_suffix(".socket").read_text()
        place = f"{host_paths.directory(web.name)}/net@{owner.name}"
        assert f"NetworkNamespacePath={place}\n" in text
        assert os.path.lexists(place)
    assert not run_module("ns_namespace", {"name": web.name, "state": "absent"}).get("failed")


def test_a_socket_unit_of_somebody_else_stays(systemd: Systemd) -> None:
    """He has systemd listen for a service that lists no sockets."""
    unit = systemd.unit.with_suffix(".socket")
    unit.write_text("[Socket]\nListenStream=127.0.0.1:8002\n")
    systemd.task(argv=["/bin/sleep", "600"], state="stopped")
    systemd.task(state="absent")
    assert unit.read_text().startswith("[Socket]")
    unit.unlink()
