# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that end by themselves: how often they are started again, and what tells of it."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import typing as t

import pytest
from command import Nsctl
from stub_systemd import stub_systemd
from units import Systemd, systemd
from waiting import has_ended, wait_until
from web_service import make_web, web

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import service_end

__all__ = ["make_web", "stub_systemd", "systemd", "web"]
SOON = {"delay": 0.01}


def seen(systemd: Systemd) -> dict[str, t.Any]:
    """The service as a task sees it."""
    found: dict[str, t.Any] = systemd.web.check(supervisor="systemd", env=systemd.env)["service"]
    return found


def restarted(systemd: Systemd, last: int) -> int:
    """Wait until another process is the program; its pid."""

    found: list[int] = []

    def is_another() -> bool:
        # One look: it may end again at once.
        service = seen(systemd)
        if service["pid"] not in (last, None) and service["state"] == "started":
            found.append(int(service["pid"]))
        return bool(found)

    assert wait_until(is_another)
    return found[0]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_whatever_signal_ends_it_it_is_up_again(systemd: Systemd, number: signal.Signals) -> None:
    argv = ["/bin/sleep", "infinity"]
    service = systemd.task(argv=argv, restart_policy=SOON)["service"]
    assert (service["restarts"], service["ended"]) == (0, None)
    pid = service["pid"]
    for _round in range(2):
        os.kill(pid, number)
        pid = restarted(systemd, pid)
    service = systemd.task(argv=argv, restart_policy=SOON)["service"]
    assert (service["pid"], service["restarts"]) == (pid, 2)
    assert service["ended"]["signal"] == number.name[3:]
    # What a task stops is not started again, and it is counted anew from then on.
    systemd.task(state="stopped")
    assert has_ended(pid)
    assert systemd.task(argv=argv, restart_policy=SOON)["service"]["restarts"] == 0


def test_nsctl_shows_how_often_and_why(systemd: Systemd, nsctl: Nsctl) -> None:
    pid = systemd.started(argv=["/bin/sleep", "infinity"], restart_policy=SOON)
    os.kill(pid, signal.SIGKILL)
    pid = restarted(systemd, pid)

    def shown(*words: str) -> str:
        return nsctl("show", systemd.web.name, *words, env={**os.environ, **systemd.env}).stdout

    (found,) = json.loads(shown("--json"))["services"]
    assert found == {**seen(systemd), "supervisor": "systemd", "changes": []}
    assert (found["restarts"], found["ended"]["signal"]) == (1, "KILL")
    lines = [line.split() for line in shown().splitlines()]
    assert ["services", "STATE", "NAME", "PID", "RESTARTS", "LAST", "END"] in lines
    assert ["started", "idle", str(pid), "1", "SIGKILL"] in lines
    # What cannot be read is said of that one alone.
    systemd.file.write_text("{")
    (found,) = json.loads(shown("--json"))["services"]
    assert found["state"] == "failed"
    assert "is damaged" in found["reason"]
    assert "is damaged" in shown()
    systemd.task(state="absent")


def test_when_to_start_it_again(systemd: Systemd) -> None:
    end = pathlib.Path("/run/tests/end")
    argv = ["/bin/sh", "-c", f"while [ ! -e {end} ]; do sleep 0.05; done"]
    for condition, is_up in (("on-failure", False), ("always", True), ("never", False)):
        policy = {"condition": condition, **SOON}
        pid = systemd.started(argv=argv, restart_policy=policy)
        end.touch()
        if is_up:
            restarted(systemd, pid)
        else:
            assert wait_until(lambda: seen(systemd)["state"] == "stopped")
            found = seen(systemd)
            assert (found["restarts"], found["ended"]["exit_status"]) == (0, 0)
        end.unlink()
        systemd.task(state="absent")


@pytest.mark.parametrize("policy", [None, {"condition": "never"}], ids=["again", "never"])
def test_a_program_that_cannot_start_still_fails_the_task(
    systemd: Systemd, policy: dict[str, str] | None
) -> None:
    options = {} if policy is None else {"restart_policy": policy}
    failure = systemd.fails(argv=["/bin/sh", "-c", "echo no luck; exit 3"], **options)
    assert failure["step"] == "start service idle"
    assert "ended: no luck" in failure["msg"]
    found = seen(systemd)
    assert found["state"] == "stopped"
    if policy is not None:  # otherwise the task may have ended one that was started again
        assert found["ended"]["exit_status"] == 3


def test_how_it_is_restarted_is_no_reason_to_restart_it(systemd: Systemd) -> None:
    argv = ["/bin/sleep", "infinity"]
    pid = systemd.started(argv=argv)
    done = systemd.task(argv=argv, restart_policy={"condition": "never", "limit": 3})
    assert done["actions"] == ["note service idle", "write the unit of service idle"]
    assert done["service"]["pid"] == pid
    text = systemd.unit.read_text()
    assert "\nRestart=no\n" in text
    assert "\nStartLimitBurst=3\n" in text
    assert "restart_policy" in done["diff"]["after"]
    # A task without argv leaves that as it is.
    systemd.task()
    assert systemd.unit.read_text() == text


def test_a_damaged_note_of_the_end_is_none(systemd: Systemd) -> None:
    argv = ["/bin/sleep", "infinity"]
    systemd.task(argv=argv)
    path = pathlib.Path(service_end._path(systemd.web.name, "idle"))
    for make in (
        lambda: path.write_text('{"result": 1}'),
        lambda: path.write_text("{"),
        lambda: path.symlink_to(path),
        lambda: os.mkfifo(path),
        path.mkdir,
    ):
        make()
        assert systemd.task(argv=argv)["service"]["ended"] is None
        path.rmdir() if path.is_dir() else path.unlink()
    path.touch()
    systemd.task(state="absent")
    assert not path.exists()
