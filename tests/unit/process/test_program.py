# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of a program's options, and all that follows from it."""

from __future__ import annotations

import json
import typing as t

import pytest
import yaml

from ansible_collections.linux.namespaces.plugins.doc_fragments import _program
from ansible_collections.linux.namespaces.plugins.module_utils import _command
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl import (
    arguments,
    exec_enter,
    exec_words,
    manual,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.options import service
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.program import (
    FLAG,
    LIST,
    OPTIONS,
    TEXT,
    Option,
    Program,
    given,
)
from ansible_collections.linux.namespaces.plugins.modules import ns_service

# A value that is not the default, and one that a careless reader of words would lose.
VALUES = {TEXT: ("with space", "--dashes"), FLAG: (True,), LIST: (("one", "two"), ())}
WHOLE = Program(
    ("sh", "-c", "x y"),
    environment={"A": "b c", "E": "\udcff"},
    chdir="/srv",
    user="u",
    group="1",
    groups=("g", "2"),
    host_users=True,
    capabilities=(),
    no_new_privs=True,
    limits={"nofile": (1024, -1)},
    umask=0o022,
)

each_option = pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)


def documented(text: str) -> dict[str, t.Any]:
    options: dict[str, t.Any] = yaml.safe_load(text)["options"]
    return options


@each_option
def test_modules_have_it_and_document_it(option: Option) -> None:
    for options, spec in (
        (documented(_program.ModuleDocFragment.DOCUMENTATION), _command.OPTIONS),
        (documented(ns_service.DOCUMENTATION), service.OPTIONS),
    ):
        assert option.name in options
        assert options[option.name].get("type") == spec[option.name]["type"]
        assert options[option.name].get("default") == spec[option.name].get("default")


@each_option
def test_the_manual_of_nsctl_has_it(option: Option, capsys: pytest.CaptureFixture[str]) -> None:
    head = f"--{option.word} {option.takes}".rstrip()
    for verb in ("exec", "enter"):
        manual.show(verb)
        text = capsys.readouterr().out
        assert any(head in line.strip().split(", ") for line in text.splitlines())
        assert " ".join(option.text.split()) in " ".join(text.split())


def words_of(option: Option, value: t.Any) -> list[str]:
    """The words of a command line that give it this value."""
    if option.form is FLAG:
        return [f"--{option.word}"]
    return (
        [f"--{option.word}={','.join(value)}"]
        if option.form is LIST
        else [f"--{option.word}", value]
    )


@each_option
def test_its_words_are_read(option: Option) -> None:
    for value in VALUES[option.form]:
        words = [*words_of(option, value), "web", "--clear-env", "--", "x", "-y"]
        read = arguments.parse(exec_words.EXEC, words)
        found = exec_enter.program_of(read, read.operands[1:], 0)
        expected = Program(("x", "-y")).replace(**{option.name: value})
        assert found.replace(environment={}) == expected


@each_option
def test_parameters_of_a_module_become_fields(option: Option) -> None:
    nothing = {each.name: None for each in OPTIONS}
    assert Program(("x",), **given(nothing)) == Program(("x",))
    for value in VALUES[option.form]:
        param = list(value) if option.form is LIST else value
        program = Program(("x",), **given({**nothing, option.name: param}))
        assert program == Program(("x",)).replace(**{option.name: value})


def test_json() -> None:
    for program in (WHOLE, Program(("x",))):
        assert Program.from_data(json.loads(json.dumps(program.to_data()))) == program
    assert WHOLE.to_data().keys() == set(Program.__slots__)
    assert WHOLE.to_data()["limits"] == {"nofile": [1024, -1]}


def test_a_note_that_lacks_a_key_has_the_default() -> None:
    assert Program.from_data({"argv": ["x"]}) == Program(("x",))


@pytest.mark.parametrize(
    "change",
    [
        {"argv": None},
        {"argv": "sh"},
        {"argv": ["sh", 1]},
        {"environment": {"A": 1}},
        {"chdir": None},
        {"user": 0},
        {"no_new_privs": 1},
        {"limits": {"nofile": [1]}},
        {"limits": {"nofile": [True, 2]}},
        {"umask": "022"},
        {"nonesuch": 1},
    ],
    ids=str,
)
def test_what_is_damaged(change: dict[str, t.Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        Program.from_data({**WHOLE.to_data(), **change})
    with pytest.raises(ValueError):
        Program.from_data([])


def test_programs_are_compared_by_their_fields() -> None:
    assert WHOLE.replace() == WHOLE
    for name in Program.__slots__:
        assert WHOLE.replace(**{name: getattr(Program(()), name)}) != WHOLE, name
    assert Program(["x"]) == Program(("x",))
    assert Program(("x",)) != ("x",)
    assert "umask=18" in repr(WHOLE)


@pytest.mark.parametrize(
    "program",
    [
        Program(()),
        Program(("",)),
        Program(("a\0b",)),
        Program(("a",), environment={"A=B": ""}),
        Program(("a",), user="-1"),
        Program(("a",), capabilities=("nonesuch",)),
        Program(("a",), limits={"nonesuch": (1, 1)}),
    ],
    ids=repr,
)
def test_what_makes_no_sense(program: Program) -> None:
    with pytest.raises(Refused):
        program.checked()
