# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of nsctl, its columns, and its manual."""

from __future__ import annotations

import pathlib
import re

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl import (
    arguments,
    columns,
    exec_enter,
    manual,
)

SOURCES = pathlib.Path(manual.__file__).parent
VERBS = ("list", "show", "enter", "exec", "up", "down")


def test_options_and_operands() -> None:
    words = ["web", "--json", "--timeout", "5", "db", "--timeout=6", "--", "--json", "-x"]
    given = arguments.parse(words, switches=("json",), values=("timeout",))
    assert given.operands == ["web", "db", "--json", "-x"]
    assert given.switches == {"json"}
    assert given.values == {"timeout": ["5", "6"]}
    assert given.last("timeout") == "6"
    assert given.last("other") is None


@pytest.mark.parametrize(
    "words",
    [
        ["web", "ls", "-l", "--user=x"],
        ["web", "--", "ls", "-l", "--user=x"],
        ["--", "web", "ls", "-l", "--user=x"],
    ],
)
def test_the_words_of_a_program_are_its_own(words: list[str]) -> None:
    given = arguments.parse(words, values=("user",), operands=1)
    assert given.operands == ["web", "ls", "-l", "--user=x"]
    assert given.values == {}


def test_options_stand_before_and_after_the_name() -> None:
    words = ["--user", "a", "web", "--chdir=/", "ls"]
    given = arguments.parse(words, values=("user", "chdir"), operands=1)
    assert given.operands == ["web", "ls"]
    assert given.values == {"user": ["a"], "chdir": ["/"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nosuch"], "no option --nosuch"),
        (["-j"], "no option -j"),
        (["--timeout"], "--timeout takes a value"),
        (["--json=1"], "--json takes no value"),
    ],
)
def test_wrong_usage(words: list[str], said: str) -> None:
    with pytest.raises(arguments.WrongUsage, match=said):
        arguments.parse(words, switches=("json",), values=("timeout",))


@pytest.mark.parametrize("text", ["-1", "x", "nan", "inf", ""])
def test_a_length_of_time(text: str) -> None:
    assert arguments.seconds("1.5") == 1.5
    with pytest.raises(arguments.WrongUsage, match="not a number of seconds"):
        arguments.seconds(text)


def test_columns() -> None:
    rows = [("NAME", "STATE"), ("a-long-name", "up"), ("x\ny\x1b[0m", "")]
    assert columns.columns(rows, indent="  ") == [
        "  NAME           STATE",
        "  a-long-name    up",
        "  x\\x0ay\\x1b[0m",
    ]
    assert columns.columns([]) == []


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_the_manual(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert manual.show(verb) == 0
    text = capsys.readouterr().out
    title = f"nsctl {verb}".strip()
    assert text.startswith(f"NAME\n    {title} - ")
    assert "\nSYNOPSIS\n" in text
    assert "\nEXIT STATUS\n" in text
    assert max(len(line) for line in text.splitlines()) <= 80
    for each in VERBS if not verb else ():
        assert f"    nsctl {each} " in text


def test_the_manual_knows_all_options(capsys: pytest.CaptureFixture[str]) -> None:
    """Every option that a verb reads is in its manual, and the other way round."""
    known = {
        "list": {"json"},
        "show": {"json"},
        "up": {"all", "check", "json", "timeout"},
        "down": {"all", "check", "force", "json"},
        "exec": {*exec_enter.SWITCHES, *exec_enter.VALUES},
        "enter": {*exec_enter.SWITCHES, *exec_enter.VALUES},
    }
    for verb, options in known.items():
        manual.show(verb)
        text = capsys.readouterr().out
        named = set(re.findall(r"^    (?:.*, )?--([a-z-]+)", text, re.MULTILINE))
        named |= set(re.findall(r"--([a-z-]+) [A-Z]+", text))
        assert named == options, verb
