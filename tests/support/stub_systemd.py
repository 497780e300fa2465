# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that systemd seems to run. Its commands talk to no manager; molecule has hosts with one."""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
import typing as t

import pytest
import unit_runner

UNITS = pathlib.Path("/run/tests/units")
_COMMAND = """#!/bin/sh
echo "$*" >> "{asked}"
[ ! -e "{answers}/$2" ] || . "{answers}/$2"
"""
# Makes entries of the journal of lines.
_ENTRIES = """
import json, sys, time
for line in sys.stdin:
    now = int(time.monotonic() * 1000000)
    print(json.dumps({"__MONOTONIC_TIMESTAMP": str(now), "MESSAGE": line.rstrip()}))
"""


class StubSystemd:
    """What the commands answer, and what they were asked."""

    def __init__(self, directory: pathlib.Path) -> None:
        # With which modules find the commands.
        self.env = {"PATH": f"{directory}/bin:{os.environ['PATH']}"}
        # The words of each call of systemctl, a line each.
        self.asked = directory / "asked"
        self._answers = directory / "answers"
        for each in (directory / "bin", self._answers):
            each.mkdir()
        self.asked.touch()
        for name, asked in (("systemctl", self.asked), ("journalctl", "/dev/null")):
            command = directory / "bin" / name
            command.write_text(_COMMAND.format(asked=asked, answers=self._answers))
            command.chmod(0o755)

    def answer(self, verb: str, script: str) -> None:
        """Have `systemctl VERB` run these lines of a shell; without any it does nothing."""
        (self._answers / verb).write_text(script + "\n")

    def run_units(self) -> pathlib.Path:
        """Have units started, reloaded, stopped and enabled as systemd does; where their output goes."""
        units = UNITS  # short: the names of sockets in it have 107 bytes at most (unix(7))
        units.mkdir()
        run = f'exec "{sys.executable}" -I "{pathlib.Path(unit_runner.__file__)}"'
        self.answer("show", f'{run} show "$5" "{units}"')
        for verb in ("start", "stop", "reload", "enable", "disable"):
            self.answer(verb, f'{run} {verb} "$3" "{units}"')
        self.answer("kill", f'{run} kill "$5" "{units}"')
        self.write(f'cat "{units}"/*.log')
        return units

    def write(self, script: str) -> None:
        """Have the journal hold what these lines of a shell print, as of now."""
        self.answer("--output=json", f"({script}) | '{sys.executable}' -I -S -c '{_ENTRIES}'")

    def show(self, **properties: object) -> None:
        """What it says that a unit is."""
        lines = "".join(f"{name}={value}\\n" for name, value in properties.items())
        self.answer("show", f"printf '{lines}'")


@pytest.fixture
def stub_systemd(tmp_path: pathlib.Path) -> t.Iterator[StubSystemd]:
    directory = tmp_path / "systemd"
    directory.mkdir()
    marker = pathlib.Path("/run/systemd/system")
    marker.mkdir(parents=True)
    yield StubSystemd(directory)
    shutil.rmtree(marker.parent)
    shutil.rmtree(UNITS, ignore_errors=True)
