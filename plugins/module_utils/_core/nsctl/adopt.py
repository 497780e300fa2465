# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl adopt: what is there already, as the definition of a named namespace.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import subprocess
import typing as t

from .. import host_paths, nsctl
from ..adopt import bus, fstab, keep, process, unit
from ..adopt.adopted import Adopted
from ..errors import Refused
from ..install import host_command
from ..namespace.target import Target
from ..printable import in_sentence
from . import remark, say_data
from .arguments import Given, Option, Verb, WrongUsage

VERB = Verb(
    "adopt",
    "what is there already as the definition of a named namespace",
    operands="NAME",
    usage=(
        "NAME --from FILE [--keep]",
        "NAME --pid PID [--keep]",
        "NAME --machine MACHINE [--keep]",
        "NAME --unit UNIT",
        "NAME --fstab FILE",
    ),
    text="""\
Prints what somebody else has made as a file for `nsctl apply`, which makes
its like under NAME. What of it cannot be said so is told on standard error,
line by line.
""",
    options=(
        Option("from", "FILE", "A namespace file, as those of `ip netns` in /run/netns."),
        Option("pid", "PID", "The namespaces that a process has and the host has not."),
        Option(
            "machine", "MACHINE", "Those of the first process of a machine of systemd-machined."
        ),
        Option("unit", "UNIT", "A service of systemd: its sandbox, its root and its program."),
        Option("fstab", "FILE", "The mounts of a file in the form of fstab(5)."),
        Option(
            "keep",
            "",
            (
                "Have these very namespaces under NAME, and record them, instead of\n"
                "having others made: what lives in them lives on."
            ),
        ),
    ),
    form="Always: the file that `nsctl apply` takes.",
    exits="0 when printed, 1 where nothing can be adopted, 2 for wrong usage.",
    examples=(
        "nsctl adopt blue --from /run/netns/blue --keep",
        "nsctl adopt web --unit nginx.service > web.json",
    ),
)

_SOURCES = tuple(option.word for option in VERB.options if option.takes)
# Of these there is something to keep.
_LIVING = ("from", "pid", "machine")
# Of a pid: they have far fewer.
_MOST_DIGITS = 18


def run(verb: str, given: Given) -> int:
    """The verb. Raises WrongUsage, Refused, StepFailed, OSError."""
    named = [each for each in _SOURCES if each in given.values]
    if len(given.operands) != 1 or len(named) != 1:
        raise WrongUsage(
            f"name a namespace, and one of {', '.join(f'--{each}' for each in _SOURCES)}"
        )
    name, source = host_paths.checked_name(given.operands[0]), given.last(named[0]) or ""
    is_kept = "keep" in given.switches
    if named[0] in _LIVING:
        target = _target(named[0], source)
        with process.opened(target) as handles:
            found = process.of(name, target, handles, is_kept=is_kept)
            _tell(verb, found)
            if is_kept:
                keep.keep(found, handles)
        if is_kept:
            host_command.present(nsctl, [name], check=False)
    else:
        if is_kept:
            raise Refused(
                f"what is adopted by --{named[0]} are no namespaces that could be kept",
                "`nsctl apply` makes them, of what is printed without --keep.",
            )
        found = _WRITTEN[named[0]](name, source)
        _tell(verb, found)
    say_data({"namespaces": [found.options()]})
    return 0


def _tell(verb: str, found: Adopted) -> None:
    for line in found.left:
        remark(verb, line)
    found.check()


def _target(option: str, word: str) -> Target:
    if option == "from":
        return Target(namespace_path=word)
    if option == "machine":
        return Target(pid=_leader(word))
    if not _is_number(word):
        raise WrongUsage(f"{word!r} is no pid")
    return Target(pid=int(word))


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= _MOST_DIGITS


def _leader(machine: str) -> int:
    """The first process of the machine. Raises Refused."""
    argv = ["machinectl", "show", "--property=Leader", "--value", "--", machine]
    try:
        done = subprocess.run(
            argv,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
        )
    except FileNotFoundError as error:
        raise Refused(
            "this host has no machinectl", "Name the machine's first process with --pid."
        ) from error
    word = done.stdout.strip()
    if done.returncode or not (_is_number(word) and int(word)):
        why = in_sentence(done.stderr.strip()) or "it has no first process"
        raise Refused(
            f"systemd-machined does not know machine {machine!r}: {why}",
            "`machinectl` lists those that there are; --pid takes the first process of another one.",
        )
    return int(word)


def _of_unit(name: str, word: str) -> Adopted:
    return unit.of_properties(name, *bus.unit(word))


def _of_fstab(name: str, path: str) -> Adopted:
    with open(path, "rb") as file:
        return fstab.of(name, file.read(), path)


_WRITTEN: dict[str, t.Callable[[str, str], Adopted]] = {"unit": _of_unit, "fstab": _of_fstab}
