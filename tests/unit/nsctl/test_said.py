# SPDX-License-Identifier: GPL-3.0-or-later
"""What nsctl writes for people and for programs."""

from __future__ import annotations

import io
import json
import sys

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core import nsctl

NASTY = "a\x1b[2J\x07\x9b31m\r\n\u202e\u200b\x7f\udcff"
ESCAPED = r"a\x1b[2J\x07\x9b31m\x0d\x0a\u202e\u200b\x7f\udcff"


def test_a_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    nsctl.say("first", NASTY)
    assert nsctl.complain("down", f"it failed: {NASTY}.", nsctl.FAILED) == nsctl.FAILED
    assert nsctl.complain("", f"no verb {NASTY}", nsctl.WRONG_USAGE) == nsctl.WRONG_USAGE
    said = capsys.readouterr()
    assert said.out == f"first\n{ESCAPED}\n"
    assert said.err.splitlines() == [
        f"nsctl down: it failed: {ESCAPED}.",
        f"nsctl: no verb {ESCAPED}. Try `nsctl --help`.",
    ]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    nsctl.say_data([{"a name": NASTY, NASTY: "schön"}])
    said = capsys.readouterr().out
    assert json.loads(said) == [{"a name": NASTY, NASTY: "schön"}]
    assert all(line.isprintable() for line in said.split("\n"))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_every_encoding(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    written = io.BytesIO()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(written, encoding, write_through=True))
    nsctl.say(f"schön 名 {NASTY}")
    nsctl.complain("show", "名", 1)
    lines = written.getvalue().decode(encoding).splitlines()
    assert [line.isprintable() for line in lines] == [True, True]
    assert ("名" in lines[0]) == (encoding == "utf-8")
    monkeypatch.undo()


def test_closed_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    nsctl.say("nobody hears it")
    assert nsctl.main(["nosuchverb"]) == nsctl.WRONG_USAGE
