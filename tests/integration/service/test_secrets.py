# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of services: whatever form a task gives them, and whatever fails, they are not told."""

from __future__ import annotations

import json
import typing as t

import pytest
from leaks import watched
from stub_systemd import StubSystemd, stub_systemd
from web_service import Web, make_web, web

__all__ = ["make_web", "stub_systemd", "web"]
HUNTER = "hunter2-zq"
MASK = "********"
FOREVER = {"argv": ["/bin/sleep", "infinity"], "ready": {"timeout": 2}}
SUPERVISORS = ("none", "systemd")
CASES: dict[str, dict[str, t.Any]] = {
    "a plain variable": {"environment": {"DB_PASSWORD": HUNTER}},
    "an address": {"environment": {"URL": f"b://user:{HUNTER}@host"}},
    "plain ones as a text": {"environment": f"DB_PASSWORD={HUNTER}"},
    "a plain list": {"environment": [f"PASSWORD={HUNTER}"]},
    "a plain variable that is a list": {"environment": {"PASSWORD": [HUNTER]}},
    "a plain name": {"environment": {f"PASSWORD={HUNTER}": "x"}},
    "a plain null": {"environment": {"PASSWORD": f"{HUNTER}\0"}},
    "words": {"secret_environment": f"A={HUNTER} B=x"},
    "a text": {"secret_environment": json.dumps({"A": HUNTER})},
    "a text of Python": {"credentials": str({"a": HUNTER, "b": 1})},
    "a text of credentials": {"credentials": json.dumps({"a": f"{HUNTER}\nof two lines"})},
    "a name": {"secret_environment": {f"PASSWORD={HUNTER}": "x"}},
    "a name of a file": {"credentials": {f"key/password={HUNTER}": "x"}},
    "a list": {"secret_environment": [f"A={HUNTER}"]},
    "a value that is a list": {"credentials": {"a": [HUNTER, "b'\"\\"]}},
    "a null": {"secret_environment": {"A": f"{HUNTER}\0"}},
    "no character": {"secret_environment": {"A": f"{HUNTER}\ud800"}},
    "no character in a file": {"credentials": {"A": f"{HUNTER}\ud800"}},
    "no such option": {"secret_env": {"A": HUNTER}, "credential": {"a": HUNTER}},
    "too much": {"secret_environment": {"A": HUNTER * 30000}},
    "no such user": {"user": "no-such-user", "secret_environment": {"A": HUNTER}},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("supervisor", SUPERVISORS)
def test_nothing_is_told(web: Web, stub_systemd: StubSystemd, supervisor: str, case: str) -> None:
    stub_systemd.run_units()
    args: dict[str, t.Any] = {"supervisor": supervisor, "env": stub_systemd.env}
    with watched() as watch:
        said = [run(**args, **{**FOREVER, **CASES[case]}) for run in (web.check, web.task)]
        said += [web.task(**args, state=state) for state in ("restarted", "absent")]
    assert HUNTER not in json.dumps(said)
    assert "Traceback" not in json.dumps(said)
    assert "defect of" not in json.dumps(said)
    assert watch.of([HUNTER]) == []
    if "no character" in case:
        assert all("character that has no bytes" in each["msg"] for each in said[:2])


@pytest.mark.parametrize(
    "options",
    [
        {"ready": {"file": "/\ud800"}},
        {"ready": {"port": 1, "address": "\ud800"}},
        {"reload": {"argv": ["/bin/true", "\ud800"]}},
        {"environment": {"\ud800": "x"}},
    ],
)
def test_what_has_no_bytes_is_refused(web: Web, options: dict[str, t.Any]) -> None:
    failure = web.task(**{**FOREVER, **options})
    assert "must not hold a character that has no bytes" in failure["msg"]


@pytest.mark.parametrize("given", [{"A": HUNTER}, json.dumps({"A": HUNTER}), f"A={HUNTER}"])
def test_what_the_program_writes_is_shown_without(web: Web, given: t.Any) -> None:
    argv = ["/bin/sh", "-c", "echo of $A; exit 3"]
    failure = web.task(argv=argv, secret_environment=given)
    assert failure["log"].splitlines()[-1] == f"of {MASK}"
    assert HUNTER not in json.dumps(failure)


@pytest.mark.parametrize("supervisor", SUPERVISORS)
def test_that_one_changes_is_told(web: Web, stub_systemd: StubSystemd, supervisor: str) -> None:
    stub_systemd.run_units()
    args: dict[str, t.Any] = {"supervisor": supervisor, "env": stub_systemd.env}
    plain = {"COLOUR": "red", "TOKEN": "kept-zq"}
    first = web.task(**args, **FOREVER, environment={**plain, "PASSWORD": HUNTER})
    assert f"'COLOUR': 'red', 'TOKEN': '{MASK}', 'PASSWORD': '{MASK}'}}" in first["diff"]["after"]
    changed = {**args, **FOREVER, "environment": {**plain, "PASSWORD": "hunter3-zq"}}
    predicted, done = web.check(**changed), web.task(**changed)
    assert predicted["diff"] == done["diff"]
    shown = f"'TOKEN': '{MASK}', 'PASSWORD': '{MASK} (changes)'}}"
    assert shown in done["diff"]["after"]
    assert shown not in done["diff"]["before"]
    assert "-zq" not in json.dumps([first, predicted, done])
    again = web.task(**changed)
    assert not again["changed"]
    assert web.task(**args, state="absent")["changed"]
