# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl exec at a terminal: what is copied, and where each of the standard streams leads."""

from __future__ import annotations

import os
import pathlib
import re

from programs import runs
from terminals import Terminal


def test_in_a_pipeline_others_have_the_terminal(terminal: Terminal, inside: str) -> None:
    """Until it wants it: no key is taken from who reads it."""
    terminal.type(
        f"{inside} sh -c 'sleep 1; echo from-inside' | (read -r x </dev/tty; cat; echo $x)\n"
    )
    terminal.until("\n")
    terminal.type("mine\n")
    assert re.search("from-inside\r\n.*mine\r\n", terminal.prompt(), re.DOTALL)
    terminal.type(f"{inside} cat | cat\n")
    terminal.until("\n")
    terminal.type("line\n")
    terminal.until("line\r\nline\r\n")
    terminal.type("\x04")
    terminal.prompt()
    terminal.type(f"echo piped | {inside} sh -c 'read -r a; read -r b </dev/tty; echo $a-$b'\n")
    terminal.until("\n")
    terminal.type("typed\n")
    assert "piped-typed\r\n" in terminal.prompt()


def test_much_output(terminal: Terminal, inside: str) -> None:
    """All of it, though the program has ended long before it is read."""
    for _round in range(2):
        terminal.type(f"{inside} seq -f %07.0f 1 120000\n")
        terminal.until("\n")
        lines = terminal.prompt(seconds=60).split("\r\n")[:-1]
        assert lines == [f"{number:07d}" for number in range(1, 120001)]


def test_output_of_who_has_ended(terminal: Terminal, inside: str) -> None:
    for _round in range(10):
        assert terminal.run(f"{inside} printf 'a%.0s' 1 2 3") == "aaa"
        assert terminal.run(f"{inside} sh -c 'echo x >&2'") == "x\r\n"


def test_line_ends_are_made_once(terminal: Terminal, inside: str) -> None:
    for line in ("{}", "{} | cat", "{} </dev/null", "{} >&2 | cat", "{} & wait"):
        terminal.type(line.format(f"{inside} sh -c 'echo o''ne; echo t''wo >&2'") + "; true\n")
        said = terminal.until("two")
        assert "one\r\n" in said + terminal.prompt() or "cat" in line
        assert "\r\r" not in said


def test_bytes_through_pipes(terminal: Terminal, inside: str, tmp_path: pathlib.Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(3_000_000))
    terminal.run(f"{inside} cat <{source} >{target}")
    assert source.read_bytes() == target.read_bytes()
    terminal.run(f"cat {source} | {inside} cat | cat >{target}.piped")
    assert source.read_bytes() == pathlib.Path(f"{target}.piped").read_bytes()


def test_much_input(terminal: Terminal, inside: str, tmp_path: pathlib.Path) -> None:
    """As pasted: nothing is lost, and nothing else is read."""
    lines = "".join(f"line {number}\n" for number in range(5000))
    terminal.type(f"{inside} sh -c 'stty -echo; echo rea''dy; cat >{tmp_path}/got'\n")
    terminal.until("ready\r\n")
    terminal.type(lines)
    terminal.type("\x04")
    terminal.prompt()
    assert (tmp_path / "got").read_text() == lines


def test_another_terminal(terminal: Terminal, inside: str) -> None:
    with Terminal("sleep", "60.0625") as other:
        path = os.ttyname(other.follower)
        script = "echo to-it >&2; test -t 2 || echo no-terminal; echo to-me"
        said = terminal.run(f"{inside} sh -c '{script}' 2>{path}")
        assert said == "no-terminal\r\nto-me\r\n"
        other.until("to-it\r\n")
        assert terminal.run(f"{inside} sh -c 'echo to-it' >{path}") == ""
        other.until("to-it\r\n")
        terminal.type(f"{inside} head -n 1 <{path}\n")
        terminal.until("\n")
        assert runs("head", "-n", "1")
        other.type("from-it\n")
        other.until("from-it\r\n")
        terminal.until("from-it\r\n")
        terminal.prompt()


def test_its_user_may_open_it_by_name(terminal: Terminal, inside: str) -> None:
    program = inside.removesuffix("--") + "--user nobody --"
    for name in ("stdout", "stderr", "tty"):
        assert terminal.run(f"{program} sh -c 'echo hello >/dev/{name}'") == "hello\r\n", name
