# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands that a text for the shell runs, also through shells and what runs others.

As far as can be seen without running it. Pure.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ansible_collections.linux.namespaces.plugins.plugin_utils import _shell_words

Words = list[str]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SHELLS = _words("ash bash csh dash ksh sh tcsh zsh")
_MULTICALL = _words("busybox toybox")
# As the shells, but what has no option is a user, or a file.
_OF_USER = _words("runuser script su")
_OF_FIND = _words("-exec -execdir -ok -okdir")
_OF_USER_COMMAND = ("--command", "--session-command")
# They run text for the shell, which their words are up to this one.
_OF_TEXT = {"eval": None, "trap": 2}


class _Before(t.NamedTuple):
    """How a command is called that runs the command that its words end with."""

    # Short options with a value.
    options: str = ""
    # How many words stand between its options and the command.
    operands: int = 0


_BEFORE = {
    "builtin": _Before(),
    "chroot": _Before(operands=1),
    "chrt": _Before("DPT", operands=1),
    "command": _Before(),
    "coproc": _Before(),
    "doas": _Before("Cau"),
    "env": _Before("Cu"),
    "exec": _Before("a"),
    "flock": _Before("Ew", operands=1),
    "ionice": _Before("cn"),
    "nice": _Before("n"),
    "nohup": _Before(),
    "nsenter": _Before("GNSt"),
    "pkexec": _Before(),
    "runuser": _Before("Ggu"),
    "setpriv": _Before(),
    "setsid": _Before(),
    "stdbuf": _Before("eio"),
    "sudo": _Before("CDRTUghprtu"),
    "taskset": _Before(operands=1),
    "time": _Before("fo"),
    "timeout": _Before("ks", operands=1),
    "unshare": _Before("GRSw"),
    "watch": _Before("n"),
    "xargs": _Before("EILPadns"),
}
# Long options of these that have a value, where it is a word of its own.
_LONG = _words(
    "--adjustment --ambient-caps --apparmor-profile --arg-file --bounding-set --chdir --chroot"
    " --class --classdata --close-from --command-timeout --conflict-exit-code --delimiter --egid"
    " --error --euid --group --groups --host --inh-caps --input --kill-after --max-args --max-chars"
    " --max-lines --max-procs --other-user --output --pdeathsig --prompt --regid --reuid --rgid"
    " --role --root --ruid --securebits --selinux-label --setgid --setuid --signal --target"
    " --timeout --type --unset --user --wait --wd"
)
# Words of the shell that stand before a command.
_OF_SHELL = _words("! do elif else if then until while { }")


def by(text: str) -> t.Iterator[Words]:
    """Each command that the text runs, and each that one of these runs, as its words."""
    for line in _shell_words.lines(text):
        for command in line.commands:
            yield from _by_words(command)
        # What it is given to read is a script to a shell alone.
        if line.text and any(_name(word) in _SHELLS for each in line.commands for word in each):
            yield from by(line.text)


def _name(word: str) -> str:
    return word.rpartition("/")[2]


def _by_words(words: Words) -> t.Iterator[Words]:
    while words:
        yield words
        name = _name(words[0])
        if name == "command" and words[1:2] in (["-v"], ["-V"]):
            return
        if name in _SHELLS or (name in _OF_USER and "-u" not in words):
            yield from _by_shell(name, words[1:])
            return
        if name in _OF_TEXT:
            yield from by(" ".join(words[1 : _OF_TEXT[name]]))
            return
        if name == "find":
            words = next((words[at + 1 :] for at, word in enumerate(words) if word in _OF_FIND), [])
        elif name in _BEFORE:
            words = _after(words[1:], _BEFORE[name])
        elif name in _MULTICALL or words[0] in _OF_SHELL or _is_assignment(words[0]):
            words = words[1:]
        else:
            return


def _after(words: Words, before: _Before) -> Words:
    """The words of the command that follows options and operands."""
    while words and words[0][:1] == "-" and words[0] != "--":
        takes = words[0] in _LONG or _is_last(words[0], before.options)
        words = words[1 + takes :]
    return words[(words[:1] == ["--"]) + before.operands :]


def _is_last(word: str, options: str) -> bool:
    """Whether these short options end with one that has a value, which is the next word."""
    letters = "" if word[:2] == "--" else word[1:]
    first = next((at for at, letter in enumerate(letters) if letter in options), len(letters))
    return first == len(letters) - 1


def _by_shell(name: str, words: Words) -> t.Iterator[Words]:
    """What a shell runs, or su(1): the text that it is given, or else a script."""
    is_given = False
    options = "oO" if name in _SHELLS else ""
    while words:
        word, words = words[0], words[1:]
        option, equals, value = word.partition("=")
        if option in _OF_USER_COMMAND:
            is_given = True
            words = [value, *words] if equals else words
        elif word[:1] in ("-", "+") and len(word) > 1:
            is_given = is_given or (word[:2] != "--" and "c" in word)
            words = words[_is_last(word, options) :]
        elif is_given:
            yield from by(word)
            return
        elif name in _SHELLS:
            yield from [[word, *words]] if "/" in word else []
            return


def _is_assignment(word: str) -> bool:
    name, equals, _value = word.partition("=")
    return bool(equals) and name.isidentifier()
