# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures of ns_service: each names the action that failed, why, and what to do about it.

What cannot be done at all is refused before there is an action: see test_failing.py.
"""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from results import Result
from stub_systemd import StubSystemd, stub_systemd
from web_service import LOGS, Web, make_web, web

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths

__all__ = ["make_web", "stub_systemd", "web"]


def assert_failed(failure: Result, step: str, reason: str, hint: str = "") -> None:
    """That a result has the form of a failed step."""
    assert failure["failed"], failure
    assert failure["step"] == step, failure
    assert reason in failure["reason"], failure
    assert hint in failure["hint"]
    words = f"{step} failed: {failure['reason']}"
    assert failure["msg"].startswith(words[:1].upper() + words[1:])
    assert failure["msg"].endswith(failure["hint"] or ".")


# --- without systemd


@pytest.mark.parametrize("ready", [None, {"port": 8080}, {"file": "/none"}])
def test_a_program_that_ends(web: Web, ready: dict[str, t.Any] | None) -> None:
    options = {} if ready is None else {"ready": ready}
    failure = web.task(argv=["/bin/false"], **options)
    assert_failed(
        failure, "start service idle", "service idle ended: it wrote nothing", str(web.log)
    )
    assert failure["log"] == ""


def test_a_program_that_is_late(web: Web) -> None:
    failure = web.task("plain", ready={"port": 8081, "timeout": 0.3})
    assert_failed(failure, "start service idle", "service idle is not ready: up", str(web.log))
    assert failure["log"] == "up"


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["/bin/sh", "-c", "exit 7"], "the reload program /bin/sh ended with 7"),
        (["/bin/sleep", "60"], "the reload program /bin/sleep did not end within 0.2 seconds"),
    ],
)
def test_a_reload_that_fails(web: Web, argv: list[str], reason: str) -> None:
    web.started("plain")
    failure = web.task(state="reloaded", reload={"argv": argv}, ready={"timeout": 0.2})
    assert_failed(failure, "reload service idle", reason, str(web.log))


def test_a_reload_that_cannot_be_run(web: Web) -> None:
    web.started("plain")
    failure = web.task(state="reloaded", reload={"argv": ["/no/such"]})
    assert_failed(failure, "run /no/such", "/no/such does not exist")
    assert failure["errno"] == "ENOENT"


@pytest.mark.parametrize("state", ["started", "absent"])
def test_output_that_cannot_be_kept(web: Web, state: str) -> None:
    """Somebody else has a file in the place of the directory, or something in it."""
    if state == "started":
        LOGS.mkdir()
        (LOGS / web.name).touch()
    else:
        web.log.mkdir(parents=True)
    try:
        failure = web.task("plain", state=state)
        verb = "start" if state == "started" else "remove"
        assert_failed(failure, f"{verb} service idle", str(LOGS / web.name))
        assert failure["errno"] == ("ENOTDIR" if state == "started" else "EISDIR")
    finally:
        for path in (web.log, web.log.parent, LOGS):
            if os.path.lexists(path) and os.path.lexists(os.path.dirname(path)):
                path.unlink() if path.is_file() else path.rmdir()


# --- with systemd


@pytest.fixture
def unit(web: Web, stub_systemd: StubSystemd) -> t.Iterator[pathlib.Path]:
    """The unit of a service that could not be started, on a host that has nsctl."""
    options = {"supervisor": "systemd", "reload": {"argv": ["/bin/reload"]}}
    failure = web.task(argv=["/bin/sleep", "infinity"], env=stub_systemd.env, **options)
    assert failure["step"] == "start service idle", failure
    path = pathlib.Path(host_paths.UNITS, host_paths.unit_name(web.name, "idle"))
    yield path
    stub_systemd.show()
    for verb in ("daemon-reload", "stop"):
        stub_systemd.answer(verb, "")
    gone = web.task(state="absent", supervisor="systemd", env=stub_systemd.env)
    assert not gone.get("failed"), gone
    assert not path.exists()


REFUSING = "echo 'no bus here' >&2; exit 1"
RUNNING = {"ActiveState": "active", "SubState": "running", "MainPID": os.getpid()}


def test_a_unit_that_does_not_start(
    web: Web, unit: pathlib.Path, stub_systemd: StubSystemd
) -> None:
    stub_systemd.answer("start", REFUSING)
    # journalctl is asked for what the unit has written.
    stub_systemd.write("echo first line; echo it ends")
    failure = web.task(supervisor="systemd", env=stub_systemd.env)
    hint = f"journalctl --unit {unit.name}"
    assert_failed(failure, "start service idle", "service idle ended: first line; it ends", hint)
    assert failure["log"] == "first line\nit ends"
    # What has failed too often, and what may still run, is not in the way of the next one.
    asked = stub_systemd.asked.read_text().splitlines()[-6:]
    words = [line.split()[1] for line in asked]
    assert words == ["show", "reset-failed", "start", "show", "show", "stop"]


@pytest.mark.parametrize(
    ("refused", "seen", "options", "step"),
    [
        ("stop", RUNNING, {"state": "stopped"}, "stop service idle"),
        ("stop", RUNNING, {"state": "absent"}, "stop service idle"),
        ("enable", {}, {"state": "stopped", "enabled": True}, "enable service idle"),
        ("disable", {"UnitFileState": "enabled"}, {"enabled": False}, "disable service idle"),
        ("reload", RUNNING, {"state": "reloaded"}, "reload service idle"),
        ("daemon-reload", {}, {"state": "absent"}, "remove service idle"),
        ("daemon-reload", {"NeedDaemonReload": "yes"}, {}, "reread the unit of service idle"),
        ("daemon-reload", {}, {"argv": ["/bin/x"]}, "write the unit of service idle"),
    ],
)
@pytest.mark.usefixtures("unit")
def test_what_systemctl_says_is_the_reason(
    web: Web,
    stub_systemd: StubSystemd,
    refused: str,
    seen: dict[str, object],
    options: dict[str, t.Any],
    step: str,
) -> None:
    stub_systemd.show(**seen)
    stub_systemd.answer(refused, REFUSING)
    failure = web.task(supervisor="systemd", env=stub_systemd.env, **options)
    assert_failed(failure, step, "no bus here")
    assert f"systemctl {refused}" in failure["reason"]


@pytest.mark.usefixtures("unit")
def test_a_host_that_cannot_be_asked(web: Web, stub_systemd: StubSystemd) -> None:
    """Nothing was done, so no step has failed."""
    stub_systemd.answer("show", REFUSING)
    failure = web.task(supervisor="systemd", env=stub_systemd.env)
    assert failure["failed"]
    assert "systemctl show" in failure["reason"]
    assert "no bus here" in failure["msg"]
    assert "step" not in failure


@pytest.mark.usefixtures("unit")
def test_one_that_systemd_starts_once_more_is_stopped(web: Web, stub_systemd: StubSystemd) -> None:
    """A program that crashes again and again does not run for a moment after each time."""
    stub_systemd.show(ActiveState="activating", SubState="auto-restart")
    stub_systemd.asked.write_text("")
    done = web.task(supervisor="systemd", state="stopped", env=stub_systemd.env)
    assert done["actions"] == ["stop service idle"]
    assert stub_systemd.asked.read_text().count(" stop ") == 1


@pytest.mark.parametrize(
    ("seen", "options", "actions"),
    [
        (RUNNING, {"state": "reloaded"}, ["reload service idle"]),
        (
            {"UnitFileState": "enabled"},
            {"state": "stopped", "enabled": False},
            ["disable service idle"],
        ),
        ({**RUNNING, "NeedDaemonReload": "yes"}, {}, ["reread the unit of service idle"]),
    ],
)
@pytest.mark.usefixtures("unit")
def test_every_change_has_a_diff(
    web: Web,
    stub_systemd: StubSystemd,
    seen: dict[str, object],
    options: dict[str, t.Any],
    actions: list[str],
) -> None:
    stub_systemd.show(**seen)
    args = {"supervisor": "systemd", "env": stub_systemd.env, **options}
    for result in (web.check(**args), web.task(**args)):
        assert result["actions"] == actions, result
        assert result["changed"]
        assert result["diff"]["before"] != result["diff"]["after"]


@pytest.mark.parametrize("supervisor", ["systemd", "auto"])
def test_the_supervisor_of_this_host(
    web: Web, unit: pathlib.Path, stub_systemd: StubSystemd, supervisor: str
) -> None:
    assert "ExecReload=" in unit.read_text()
    done = web.task(supervisor=supervisor, state="stopped", env=stub_systemd.env)
    assert done["service"]["unit"] == str(unit)
    assert not done["changed"]


def test_a_host_without_systemd(web: Web) -> None:
    failure = web.task("plain", supervisor="systemd")
    assert failure["reason"] == "systemd does not manage this host"
    assert failure["hint"] == "Use supervisor: none."
    assert web.task("plain", supervisor="auto")["service"]["log"] == str(web.log)
    for kind in ("pid", "time", "user"):
        assert "step" not in web.task("plain", supervisor="systemd", kinds=[kind])


@pytest.mark.usefixtures("unit")
@pytest.mark.parametrize("kind", ["pid", "time", "user"])
def test_what_a_service_of_systemd_cannot_have(
    web: Web, stub_systemd: StubSystemd, kind: str
) -> None:
    failure = web.task("plain", supervisor="systemd", kinds=[kind], env=stub_systemd.env)
    assert failure["reason"] == f"a service of systemd cannot have a {kind} namespace of its own"
    assert "supervisor: none" in failure["hint"]
