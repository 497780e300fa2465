# SPDX-License-Identifier: GPL-3.0-or-later
"""A named namespace with services that do what a test tells them."""

from __future__ import annotations

import pathlib
import typing as t

import programs
import pytest
from results import Converge, Result, RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc

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

    def task(self, *words: str, env: dict[str, str] | None = None, **options: t.Any) -> Result:
        """Run a task that may fail; ``env`` is the module's own environment."""
        return self._run_module("ns_service", self.args(*words, **options), env=env)

    def check(self, *words: str, env: dict[str, str] | None = None, **options: t.Any) -> Result:
        return self._run_module("ns_service", self.args(*words, **options), check=True, env=env)

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
    return programs.status_of(pathlib.Path(f"/proc/{pid}/status").read_text())


def session(pid: int) -> list[int]:
    """The living processes of a session but for its leader."""
    found = []
    for each in proc.all_pids():
        facts = proc.process_facts(each)
        if facts is not None and facts.session == pid and each != pid and facts.state not in "ZX":
            found.append(each)
    return found


def open_text(path: str) -> str:
    try:
        return pathlib.Path(path).read_text(errors="replace")
    except OSError:
        return ""


def capability_sets(pid: int) -> list[int]:
    status = status_of(pid)
    return [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")]
