# SPDX-License-Identifier: GPL-3.0-or-later
"""Guides as their readers follow them: the files that they show are written, and their commands run.

In reStructuredText a file is a block with a caption, its name, and a block of commands is one of the
language console: what stands after ``$`` or ``#`` is run, and the lines below are what is printed. There
``...`` stands for anything.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import typing as t

from command import Nsctl
from module_server import CHECKOUT

_BLOCK = re.compile(
    r"^( *)\.\. code-block:: (?P<language>\w+)\n"
    r"(?:\1   :caption: (?P<caption>\S+)\n)?"
    r"\n(?P<text>(?:\1   .*\n|\n)+)",
    re.MULTILINE,
)
_PROMPT = re.compile(r"^[$#] ", re.MULTILINE)
# The variables of a host of a guide that is the one which the tests run on.
THIS_HOST = {
    "ansible_python_interpreter": "/usr/bin/python3",
    "ansible_connection": "local",
    "ansible_become": False,
}


class Block(t.NamedTuple):
    """An example. ``caption`` is the name of a file, or empty."""

    language: str
    caption: str
    text: str


class Command(t.NamedTuple):
    """What a reader types, and what is to be printed; None where the guide does not say it."""

    line: str
    printed: str | None


def blocks_of(guide: pathlib.Path) -> list[Block]:
    """The examples of a guide, in their order."""
    return [
        Block(
            found["language"],
            found["caption"] or "",
            textwrap.dedent(found["text"]).strip("\n") + "\n",
        )
        for found in _BLOCK.finditer(guide.read_text())
    ]


def commands_of(block: Block) -> list[Command]:
    """The commands of a block of the language console."""
    found = []
    for part in _PROMPT.split(block.text)[1:]:
        line, _end, printed = part.partition("\n")
        while line.endswith("\\"):
            more, _end, printed = printed.partition("\n")
            line = f"{line[:-1]}{more.strip()}"
        found.append(Command(line, printed.strip("\n") or None))
    return found


def environment(nsctl: Nsctl, path: str = "") -> dict[str, str]:
    """That of a reader, who finds Ansible, nsctl and the commands that are in the path: by default in ours."""
    paths = [os.path.dirname(sys.executable), os.path.dirname(nsctl.path)]
    return {
        **os.environ,
        "PATH": ":".join([*paths, path or os.environ["PATH"]]),
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_GATHERING": "explicit",
    }


def write_hosts(directory: pathlib.Path) -> None:
    """The hosts.yml of a reader whose controller is host1 as well."""
    hosts = {"all": {"hosts": {"host1": THIS_HOST}}}
    (directory / "hosts.yml").write_text(json.dumps(hosts))


def follow(blocks: t.Iterable[Block], directory: pathlib.Path, env: dict[str, str]) -> None:
    """Do what they say, in the directory. A command that prints what is expected may fail."""
    for block in blocks:
        if block.caption and not (directory / block.caption).exists():
            (directory / block.caption).write_text(block.text)
        for command in commands_of(block) if block.language == "console" else ():
            _run(command, directory, env)


def _run(command: Command, directory: pathlib.Path, env: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-c", command.line],
        check=False,
        cwd=directory,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=120,
    )
    if command.printed is None:
        assert done.returncode == 0, f"{command.line}\n{done.stdout}"
        return
    wanted = "".join(
        ".*" if part == "..." else re.escape(part)
        for part in re.split(r"(\.\.\.)", _spaced(command.printed))
    )
    assert re.fullmatch(wanted, _spaced(done.stdout), re.DOTALL), f"{command.line}\n{done.stdout}"


def _spaced(text: str) -> str:
    """With a single blank between words of a line: columns are as wide as what is in them."""
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())
