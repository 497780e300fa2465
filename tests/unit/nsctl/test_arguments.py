# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of nsctl."""

from __future__ import annotations

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl import arguments
from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl.arguments import (
    Option,
    Verb,
)


def verb(*options: Option, program_after: int | None = None) -> Verb:
    """One that has these options."""
    return Verb(
        "x", "", operands="", text="", exits="", options=options, program_after=program_after
    )


JSON = Option("json", "", "")
TIMEOUT = Option("timeout", "SECONDS", "")


def test_options_and_operands() -> None:
    words = ["web", "--json", "--timeout", "5", "db", "--timeout=6", "--", "--json", "-x"]
    given = arguments.parse(verb(JSON, TIMEOUT), words)
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
    given = arguments.parse(verb(Option("user", "USER", ""), program_after=1), words)
    assert given.operands == ["web", "ls", "-l", "--user=x"]
    assert given.values == {}


def test_options_stand_before_and_after_the_name() -> None:
    words = ["--user", "a", "web", "--chdir=/", "ls"]
    known = verb(Option("user", "USER", ""), Option("chdir", "DIRECTORY", ""), program_after=1)
    given = arguments.parse(known, words)
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
        arguments.parse(verb(JSON, TIMEOUT), words)


@pytest.mark.parametrize("text", ["-1", "x", "nan", "inf", ""])
def test_a_length_of_time(text: str) -> None:
    assert arguments.seconds("1.5") == 1.5
    with pytest.raises(arguments.WrongUsage, match="not a number of seconds"):
        arguments.seconds(text)
