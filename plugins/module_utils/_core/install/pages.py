# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What lies on the host beside nsctl for people: its page of the manual, and the completion of shells.

Each file says which directories were made for it, which go with it. One that somebody else has put there stays.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from ..host_paths import BASH_COMPLETION, MANUAL_PAGE, ZSH_COMPLETION
from ..storage import atomic
from . import ours

_MADE = "# Directories made for it:"
# What stands before a comment in each of them, beside the # of our own.
_COMMENT = {MANUAL_PAGE: '.\\" ', BASH_COMPLETION: "", ZSH_COMPLETION: ""}
# Where they wait in a library of the command, and what they are called there.
DIRECTORY = "pages"
_NAMES = {MANUAL_PAGE: "nsctl.8", BASH_COMPLETION: "nsctl.bash", ZSH_COMPLETION: "nsctl.zsh"}
# What the first line of such a file has to be (zshcompsys(1)).
_FIRST = {ZSH_COMPLETION: "#compdef nsctl\n"}


def are_there() -> bool:
    """Whether all are, be they ours or not."""
    return all(os.path.lexists(path) for path in _COMMENT)


def make(directory: str, texts: t.Mapping[str, str]) -> None:
    """Write them to where install() finds them, by where they go. Raises OSError."""
    atomic.make_directory(directory, mode=0o755)
    for path, text in texts.items():
        name = f"{directory}/{_NAMES[path]}"
        with open(name, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(text)


def install(directory: str) -> None:
    """Put those that make() has written there into their places. Raises OSError."""
    for path, name in _NAMES.items():
        text = ours.text_of(f"{directory}/{name}")
        before = ours.text_of(path)
        if os.path.lexists(path) and ours.MARK not in before:
            continue
        above = os.path.dirname(path)
        made = _made_for(before) + _absent(above)
        atomic.make_directory(above, mode=0o755)
        mark = f"{_COMMENT[path]}{ours.MARK}\n{_COMMENT[path]}{_MADE} {' '.join(made)}\n"
        atomic.write(path, f"{_FIRST.get(path, '')}{mark}{text}", mode=0o644)


def any_of_ours() -> bool:
    """Whether we have written any that is there."""
    return any(map(ours.is_ours, _COMMENT))


def remove() -> None:
    """Remove those that we have written, with the directories that were made for them. Raises OSError."""
    for path in _COMMENT:
        text = ours.text_of(path)
        if ours.MARK in text:
            atomic.remove(path)
            for directory in _made_for(text):
                if path.startswith(f"{directory}/"):
                    atomic.remove_directory(directory)


def _absent(directory: str) -> list[str]:
    """The directories that have to be made to have this one, the innermost first."""
    found = []
    while not os.path.isdir(directory):
        found.append(directory)
        directory = os.path.dirname(directory)
    return found


def _made_for(text: str) -> list[str]:
    for line in text.splitlines()[:4]:
        _before, mark, directories = line.partition(_MADE)
        if mark:
            return directories.split()
    return []
