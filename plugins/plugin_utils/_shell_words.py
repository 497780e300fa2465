# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The simple commands in a text for the shell, as far as they can be seen without running it.

Not shlex: that knows no substitution within quotes, no comment with an apostrophe, no text in
place (<<EOF) and no pattern of `case`. Pure.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import re
import typing as t

_REDIRECTION = re.compile(r"&>>?|<<<|<<-?|<>|>>|>\||[<>]&?")
_IN_PLACE = ("<<", "<<-")
_WORD_IN_PLACE = "<<<"
_PLAIN = re.compile(r"[^\s'\"\\`$();<>|&#]+")
_QUOTED = {"'": re.compile("[^']+"), '"': re.compile(r'[^"\\`$]+')}
_BETWEEN = ";&\n\r"


class Line(t.NamedTuple):
    """Commands, and the text in place that one of them reads."""

    commands: list[list[str]]
    text: str


def lines(text: str) -> list[Line]:
    """The commands in the text without their redirections, quotes taken off their words.

    What a substitution runs is a command of its own. Of what is no whole text for the shell, as far
    as it goes.
    """
    return _Reading(text).run()


class _Reading:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: list[Line] = []
        # Of this line: its commands, those of a pipe that is not at its end, the words of one.
        self._line: list[list[str]] = []
        self._pipe: list[list[str]] = []
        self._words: list[str] = []
        # What was read of a word; None between words.
        self._word: str | None = None
        # Whether the next word is where a redirection leads, and which of these ends a text.
        self._redirected = ""
        self._ends: list[str] = []
        # The words that this line has in place of such a text.
        self._given: list[str] = []
        # For each parenthesis whether what is in it runs: an array and a pattern do not.
        self._runs: list[bool] = []

    def run(self) -> list[Line]:
        while self._at < len(self._text):
            self._step()
        self._end_of_line()
        return self._found

    def _step(self) -> None:
        plain = _PLAIN.match(self._text, self._at)
        redirection = _REDIRECTION.match(self._text, self._at)
        character = self._text[self._at]
        if plain:
            self._add(plain[0], plain.end())
        elif redirection:
            self._redirect(redirection)
        elif character == "#":
            self._hash()
        elif character in "'\"":
            self._quoted(character)
        elif character in "\\`$":
            self._special(self._at)
        elif character in "()":
            self._parenthesis(character)
        else:
            self._between(character)

    def _add(self, text: str, end: int) -> None:
        self._word = (self._word or "") + text
        self._at = end

    def _hash(self) -> None:
        if self._word is not None:
            self._add("#", self._at + 1)
            return
        end = self._text.find("\n", self._at)
        self._at = end if end >= 0 else len(self._text)

    def _quoted(self, quote: str) -> None:
        self._add("", self._at + 1)
        while self._at < len(self._text) and self._text[self._at] != quote:
            plain = _QUOTED[quote].match(self._text, self._at)
            if plain:
                self._add(plain[0], plain.end())
            else:
                self._special(self._at)
        self._at += 1

    def _special(self, at: int) -> None:
        r"""What means the same within double quotes and without: \ ` and $."""
        text = self._text
        if text[at] == "\\":
            following = text[at + 1 : at + 2]
            if following == "\n":
                self._at += 2
            else:
                self._add(following, at + 2)
        elif text.startswith("$((", at):
            end = text.find("))", at)
            self._add("$", end + 2 if end >= 0 else len(text))
        elif text[at] == "`" or text.startswith("$(", at):
            begin = at + (1 if text[at] == "`" else 2)
            end = _end_of(text, begin, "`" if text[at] == "`" else ")")
            self._found += lines(text[begin:end])
            self._add("$", end + 1)
        else:
            self._add("$", at + 1)

    def _redirect(self, found: re.Match[str]) -> None:
        if self._word is not None and self._word.isdigit():
            self._word = None  # the number of what is redirected
        self._end_of_word()
        self._redirected = found[0]
        self._at = found.end()

    def _parenthesis(self, which: str) -> None:
        self._at += 1
        if which == "(":
            runs = not (self._word or "").endswith("=") and not self._is_before_pattern()
            self._end_of_pipe()
            self._redirected = ""
            self._runs.append(runs)
        elif self._runs:
            self._end_of_pipe()
            self._runs.pop()
        else:  # a pattern of `case`
            self._word, self._words, self._pipe = None, [], []

    def _is_before_pattern(self) -> bool:
        """Whether what a parenthesis opens is compared: of [[, or of `case` with both of them."""
        of_case = self._words[:1] == ["case"] and self._words[-1] == "in"
        before = self._text[: self._at - 1].rstrip()
        return "[[" in self._words or of_case or (before.endswith(";;") and not self._words)

    def _between(self, character: str) -> None:
        is_pipe = character == "|" and not self._text.startswith("||", self._at)
        self._at += 1
        if character == "\n":
            self._end_of_line()
        elif is_pipe:
            self._end_of_command()
        elif character in _BETWEEN or character == "|":
            self._end_of_pipe()
        else:
            self._end_of_word()

    def _end_of_word(self) -> None:
        if self._word is None:
            return
        if self._redirected in _IN_PLACE:
            self._ends.append(self._word)
        elif self._redirected == _WORD_IN_PLACE:
            self._given.append(self._word)
        elif not self._redirected:
            self._words.append(self._word)
        self._word, self._redirected = None, ""

    def _end_of_command(self) -> None:
        self._end_of_word()
        if self._words:
            self._pipe.append(self._words)
        self._words = []

    def _end_of_pipe(self) -> None:
        self._end_of_command()
        if all(self._runs):
            self._line += self._pipe
        self._pipe = []

    def _end_of_line(self) -> None:
        self._end_of_pipe()
        text = "\n".join([*self._given, *map(self._in_place, self._ends)])
        if self._line:
            self._found.append(Line(self._line, text))
        self._line, self._ends, self._given = [], [], []

    def _in_place(self, end: str) -> str:
        """The lines up to the one that is ``end``, which are passed over."""
        begin = self._at
        while self._at < len(self._text):
            before = self._at
            newline = self._text.find("\n", before)
            self._at = newline + 1 if newline >= 0 else len(self._text)
            if self._text[before : self._at].strip("\t\n") == end:
                return self._text[begin:before]
        return self._text[begin:]


def _end_of(text: str, begin: int, end: str) -> int:
    """Where a substitution ends that begins there; it may hold others, and quotes."""
    depth, at = 1, begin
    while at < len(text):
        character = text[at]
        if character == "\\":
            at += 1
        elif character == end:
            depth -= 1
            if not depth:
                return at
        elif character == "(" and end == ")":
            depth += 1
        elif character in _QUOTED and end == ")":
            closing = text.find(character, at + 1)
            at = closing if closing >= 0 else at
        at += 1
    return len(text)
