# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl is replaced by another version while it runs, and while it is started."""

from __future__ import annotations

import os
import pathlib
import subprocess
import threading
import typing as t

import pytest
from results import RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core import nsctl
from ansible_collections.linux.namespaces.plugins.module_utils._core.install import (
    host_command,
    sources,
)

COMMAND = host_command.COMMAND
LIBRARY = pathlib.Path(host_command.LIBRARY)
# How often it is replaced under those that start it; each takes a twentieth of a second.
_TIMES = int(os.environ.get("REPLACED_TIMES", "40"))


@pytest.fixture
def name(run_module: RunModule, new_name: t.Callable[[], str]) -> str:
    run_module("ns_namespace", {"name": new_name()})
    name = new_name()
    run_module("ns_namespace", {"name": name})
    return name


def install(monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    """Install a version that is told from others by its digest alone."""
    texts = {**sources.of(nsctl), "_core/version.py": f"# {version}\n"}
    with monkeypatch.context() as patched:
        patched.setattr(sources, "of", lambda _package: texts)
        assert host_command.present(nsctl, check=False) == ["install nsctl"]


def versions() -> list[str]:
    return sorted(path.name for path in LIBRARY.iterdir())


def named() -> str:
    """The version that the command names."""
    (line,) = [
        line for line in pathlib.Path(COMMAND).read_text().splitlines() if "library =" in line
    ]
    return line.rpartition("/")[2].rstrip('"')


def test_it_can_be_started_at_any_instant(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are compiled by who starts it: that is when they are written, too."""
    monkeypatch.setattr(host_command, "_compile", lambda *_where: None)
    failures: list[str] = []
    started = [0, 0]
    ends = threading.Event()

    def start(index: int, *words: str) -> None:
        while not ends.is_set():
            done = subprocess.run([COMMAND, *words], check=False, capture_output=True, text=True)
            started[index] += 1
            if done.returncode or "Error" in done.stderr:
                failures.append(f"{words}: {done.returncode} {done.stderr}")

    loops = [
        threading.Thread(target=start, args=(0, "exec", name, "--", "/bin/true")),
        threading.Thread(target=start, args=(1, "list", "--json")),
    ]
    for each in loops:
        each.start()
    try:
        for number in range(_TIMES):
            if number % 5 == 0:
                LIBRARY.chmod(0o777)  # what is there is trusted no more
            install(monkeypatch, number % 2)
    finally:
        ends.set()
        for each in loops:
            each.join()
    print(f"replaced {_TIMES} times, started {started} times")
    assert failures == []
    assert min(started) > 2


def test_what_somebody_runs_from_stays_until_then(
    run_module: RunModule, new_name: t.Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = new_name()
    # Of a pid namespace it stays beside the program, whose parent it is.
    assert run_module("ns_namespace", {"name": name, "kinds": ["mnt", "pid"]})["changed"]
    (first,) = versions()
    argv = [COMMAND, "exec", name, "--", "/bin/cat"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None and running.stdout is not None
        running.stdin.write(b"x\n")
        running.stdin.flush()
        assert running.stdout.readline() == b"x\n"
        install(monkeypatch, 1)
        assert versions() == sorted([first, named()])
        assert named() != first
        running.stdin.close()
        assert running.wait() == 0
    install(monkeypatch, 2)
    assert versions() == [named()]
    assert "nsctl" in run_module("ns_namespace", {"name": name, "state": "absent"})["actions"][-1]
    assert not LIBRARY.exists()
