# SPDX-License-Identifier: GPL-3.0-or-later
"""Services of systemd, run as systemd runs their units: by unit_runner.py."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from results import Result, has_diff
from stub_systemd import StubSystemd
from web_service import Web, open_text

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import service_file


class Systemd:
    """Services of a namespace, on a host that systemd seems to run."""

    def __init__(self, web: Web, stub: StubSystemd) -> None:
        self.web = web
        self.output = stub.run_units()
        self.env = stub.env

    def task(self, *words: str, **options: t.Any) -> Result:
        args = {"supervisor": "systemd", "env": self.env, **options}
        done = self.web.task(*words, **args)
        assert not done.get("failed"), done
        assert has_diff(done) == done["changed"], done
        again = self.web.check(*words, **{**args, "state": options.get("state", "started")})
        if options.get("state") not in ("restarted", "reloaded"):
            assert again["actions"] == [], again
        return done

    def fails(self, *words: str, **options: t.Any) -> Result:
        failure = self.web.task(*words, **{"supervisor": "systemd", "env": self.env, **options})
        assert failure.get("failed"), failure
        assert "traceback" not in str(failure).lower()
        return failure

    def started(self, *words: str, **options: t.Any) -> int:
        return int(self.task(*words, **options)["service"]["pid"])

    @property
    def unit(self) -> pathlib.Path:
        return pathlib.Path(host_paths.UNITS, host_paths.unit_name(self.web.name, "idle"))

    @property
    def file(self) -> pathlib.Path:
        return pathlib.Path(service_file.path_of(self.web.name, "idle"))

    def said(self) -> str:
        return "".join(path.read_text() for path in self.output.glob("*idle.service.log"))


@pytest.fixture
def systemd(web: Web, stub_systemd: StubSystemd) -> t.Iterator[Systemd]:
    yield from running(web, stub_systemd)


@pytest.fixture
def systemd_of_pids(
    make_web: t.Callable[..., Web], stub_systemd: StubSystemd
) -> t.Iterator[Systemd]:
    yield from running(make_web(kinds=["mnt", "pid"]), stub_systemd)


def running(web: Web, stub: StubSystemd) -> t.Iterator[Systemd]:
    found = Systemd(web, stub)
    yield found
    for name in service_file.names(web.name):
        found.task(name=name, state="absent")


def environment_of(pid: int) -> dict[str, str]:
    words = open_text(f"/proc/{pid}/environ").split("\0")[:-1]
    return dict(word.split("=", 1) for word in words)
