# SPDX-License-Identifier: GPL-3.0-or-later
"""What is noted of a service: notes of before, and notes that somebody has damaged."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import typing as t

import pytest
from host_state import host_state
from results import RunModule
from waiting import has_ended, wait_until
from web_service import LOGS, Web, make_web, session, web

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import service_note

__all__ = ["make_web", "web"]

DAMAGES = {
    "cut short": "{",
    "empty": "{}",
    "no program": '{"program": 1}',
    "lives nowhere": '{"version": 2, "spec": {}}',
    "a later version": '{"version": 3}',
    "no object": "[]",
}


def note_of(web: Web) -> pathlib.Path:
    return pathlib.Path(service_note.path_of(web.name, "idle"))


def as_0_1_0_wrote_it(data: dict[str, t.Any]) -> dict[str, t.Any]:
    """The note in its form of before: see tests/unit/definition/written_by_0_1_0."""
    spec = data["spec"]
    reload = spec.get("reload", {})
    return {
        "program": spec["program"],
        "kinds": spec["kinds"],
        "process": data["process"],
        "lives_in": data["lives_in"],
        "reload_signal": reload.get("signal", ""),
        "reload_argv": reload.get("argv", []),
        "stop_signal": spec.get("stop_signal", ""),
    }


def test_a_service_that_version_0_1_0_has_started(web: Web) -> None:
    options: dict[str, t.Any] = {"kinds": ["uts"], "reload": {"signal": "HUP"}}
    options.update(stop_signal="QUIT", ready={"port": 8080})
    pid = web.started("workers=1", "port=8080", **options)
    path = note_of(web)
    old = as_0_1_0_wrote_it(json.loads(path.read_text()))
    path.write_text(json.dumps(old))
    again = web.converge("workers=1", "port=8080", **options)
    assert (again["changed"], again["service"]["pid"]) == (False, pid)
    assert web.task(state="reloaded")["actions"] == ["reload service idle"]
    assert wait_until(lambda: f"got {signal.SIGHUP}" in web.log.read_text())
    workers = session(pid)
    stopped = web.converge(state="stopped")
    assert stopped["actions"] == ["stop service idle"]
    assert f"got {signal.SIGQUIT}" in web.log.read_text()
    assert all(has_ended(each) for each in [pid, *workers])
    # It is started again as it was, and noted as it is done now.
    assert web.converge()["service"]["argv"] == old["program"]["argv"]
    assert json.loads(path.read_text())["version"] == service_note.VERSION


def test_a_change_that_does_not_touch_what_runs_is_noted(web: Web) -> None:
    pid = web.started("plain")
    for options in ({"stop_timeout": 3}, {"stop_timeout": 3, "stop_signal": "QUIT"}):
        done = web.converge("plain", **options)
        assert done["actions"] == ["note service idle"]
        assert done["service"]["pid"] == pid
        (last,) = list(options)[-1:]
        assert f"{last}: {options[last]}" in done["diff"]["after"].replace(".0\n", "\n")
        assert f"{last}: {options[last]}" not in done["diff"]["before"].replace(".0\n", "\n")
    # How it was known to be up is of the task that started it.
    assert not web.converge("plain", ready={"timeout": 5}, **options)["changed"]
    assert json.loads(note_of(web).read_text())["spec"]["stop_timeout"] == 3


@pytest.mark.parametrize("how", list(DAMAGES))
def test_a_damaged_note_is_named(web: Web, how: str) -> None:
    web.started("plain")
    web.converge(state="stopped")
    note_of(web).write_text(DAMAGES[how])
    for state in ("started", "stopped", "absent"):
        failure = web.task("plain", state=state)
        assert f"{note_of(web)} is damaged" in failure["reason"]
        assert f"End what still runs in namespace {web.name}" in failure["hint"]
        assert "step" not in failure
    note_of(web).unlink()


@pytest.mark.parametrize("how", list(DAMAGES))
def test_a_damaged_note_does_not_keep_a_namespace(
    web: Web, run_module: RunModule, how: str
) -> None:
    web.started("plain")
    web.converge(state="stopped")
    note_of(web).write_text(DAMAGES[how])
    unchanged = run_module("ns_namespace", {"name": web.name, "kinds": ["mnt", "net"], **KEPT})
    assert (unchanged["changed"], unchanged.get("failed")) == (False, None)
    # It would be removed for that, which is refused: nobody knows what the service has left.
    other = {"name": web.name, "kinds": ["mnt", "net", "user"], "recreate": True, **KEPT}
    refused = run_module("ns_namespace", other)
    assert f"{note_of(web)} is damaged" in refused["reason"]
    task = {"name": web.name, "state": "absent"}
    predicted = run_module("ns_namespace", task, check=True)
    done = run_module("ns_namespace", task)
    for result in (unchanged, predicted, done):
        (warning,) = result["warnings"]
        assert f"{note_of(web)} is damaged" in str(warning)
    assert done["actions"] == predicted["actions"] == [f"remove namespace {web.name}"]
    assert not os.path.lexists(os.path.dirname(note_of(web)))
    assert not LOGS.exists()


KEPT = {"persistent": False}


def test_who_lives_inside_is_found_without_its_note(web: Web, run_module: RunModule) -> None:
    pid = web.started("plain")
    note_of(web).write_text("{")
    before = host_state()
    task = {"name": web.name, "state": "absent"}
    refused = run_module("ns_namespace", task)
    assert [process["pid"] for process in refused["processes"]] == [pid]
    assert host_state() == before
    assert run_module("ns_namespace", {**task, "force": True})["changed"]
    assert has_ended(pid)
