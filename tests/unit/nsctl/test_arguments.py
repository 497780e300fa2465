# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of nsctl."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl import (
    arguments,
    manual,
)

SOURCES = pathlib.Path(manual.__file__).parent


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
