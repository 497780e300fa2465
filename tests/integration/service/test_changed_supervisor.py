# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that another supervisor has started is found in every state, and moved or ended."""

from __future__ import annotations

import typing as t

import pytest
from results import Result
from stub_systemd import stub_systemd
from units import Systemd, systemd
from waiting import has_ended
from web_service import make_web, web

__all__ = ["make_web", "stub_systemd", "systemd", "web"]
ARGV = ["/bin/sleep", "infinity"]
OTHER = {"none": "systemd", "systemd": "none", "auto": "none"}


def is_of_the_host(action: str) -> bool:
    return action.startswith(("remove nsctl", "remove linux-namespaces"))


def predicted(systemd: Systemd, **options: t.Any) -> Result:
    """What a task does that check mode has told, and that has nothing to do when it is run again."""
    told = systemd.web.check(env=systemd.env, **options)
    done = systemd.web.task(env=systemd.env, **options)
    assert not done.get("failed"), done
    # Who else needs nsctl is not looked for in check mode.
    assert told["actions"] == [each for each in done["actions"] if not is_of_the_host(each)]
    assert told["diff"] == done["diff"]
    if options.get("state") not in ("restarted", "reloaded"):
        assert systemd.web.check(env=systemd.env, **options)["actions"] == []
    return done


def begun(systemd: Systemd, supervisor: str) -> int:
    done = systemd.web.task(env=systemd.env, argv=ARGV, supervisor=supervisor)
    assert done["service"]["state"] == "started", done
    return int(done["service"]["pid"])


def leaves_nothing(systemd: Systemd, supervisor: str) -> bool:
    if supervisor == "systemd":
        return not systemd.unit.exists() and not systemd.file.exists()
    return not systemd.web.log.exists()


@pytest.mark.parametrize("asked", ["systemd", "none", "auto"])
def test_absent(systemd: Systemd, asked: str) -> None:
    pid = begun(systemd, OTHER[asked])
    done = predicted(systemd, supervisor=asked, state="absent")
    assert done["actions"][:2] == ["stop service idle", "remove service idle"]
    assert has_ended(pid)
    assert leaves_nothing(systemd, OTHER[asked])
    assert done["service"]["state"] == "absent"


@pytest.mark.parametrize("asked", ["systemd", "none", "auto"])
def test_stopped(systemd: Systemd, asked: str) -> None:
    pid = begun(systemd, OTHER[asked])
    done = predicted(systemd, supervisor=asked, state="stopped")
    assert done["actions"] == ["stop service idle"]
    assert has_ended(pid)
    # It is known, and so can be started without its program being told.
    assert predicted(systemd, supervisor=OTHER[asked])["service"]["state"] == "started"
    predicted(systemd, supervisor=OTHER[asked], state="absent")


@pytest.mark.parametrize("program", [ARGV, None], ids=["with its program", "without"])
@pytest.mark.parametrize("state", ["started", "restarted", "reloaded"])
@pytest.mark.parametrize("asked", ["systemd", "none"])
def test_it_moves(systemd: Systemd, asked: str, state: str, program: list[str] | None) -> None:
    pid = begun(systemd, OTHER[asked])
    options = {} if program is None else {"argv": program}
    done = predicted(systemd, supervisor=asked, state=state, **options)
    assert f"move service idle from supervisor {OTHER[asked]} to {asked}" in done["actions"]
    assert done["actions"][-1] == "start service idle"
    assert has_ended(pid)
    assert done["service"]["pid"] not in (None, pid)
    assert leaves_nothing(systemd, OTHER[asked])
    predicted(systemd, supervisor=asked, state="absent")
