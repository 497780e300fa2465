# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl logs: what a service has written, wherever that is kept.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import shutil
import sys
import time
import typing as t

from .. import host_paths
from ..errors import Refused
from ..service import log_file
from ..syscalls import regular_files
from . import say_text
from .arguments import Given, Option, Verb, WrongUsage

VERB = Verb(
    "logs",
    "what a service has written",
    operands="NAME SERVICE",
    text="""\
Prints what SERVICE in the namespace NAME has written to its standard output
and standard error, the oldest first: from the journal where systemd
keeps the service running, by journalctl(1), else from its files. These
hold up to 50 MiB in five parts; what is older is gone. Characters that
could steer a terminal are escaped.
""",
    options=(
        Option("follow", "", "Go on with what it writes from then on, until interrupted."),
        Option("lines", "NUMBER", "Begin with the last lines alone. By default with the first."),
    ),
    exits="""\
0 when printed, 1 when there is nothing, 2 for wrong usage; with the journal
that of journalctl(1).
""",
)

_PAUSE = 0.1


def run(_verb: str, given: Given) -> int:
    """The verb. Raises WrongUsage, Refused, OSError."""
    if len(given.operands) != 2:
        raise WrongUsage("name a namespace and a service of it")
    namespace, name = map(host_paths.checked_name, given.operands)
    number = _number(given.last("lines"))
    follows = "follow" in given.switches
    unit = host_paths.unit_name(namespace, name)
    path = log_file.path_of(namespace, name)
    if os.path.lexists(f"{host_paths.UNITS}/{unit}"):
        _become_journalctl(unit, number, follows=follows)
    if not log_file.parts_of(path):
        raise Refused(
            f"no service {name} of namespace {namespace} has a log on this host",
            f"`nsctl show {namespace}` says what there is.",
        )
    with contextlib.suppress(KeyboardInterrupt):  # how one ends it that follows
        _show(path, number, follows=follows)
    return 0


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise WrongUsage(f"{text!r} is not a number of lines")
    return int(text)


def _become_journalctl(unit: str, number: int | None, *, follows: bool) -> None:
    """It escapes what is no text by itself."""
    command = shutil.which("journalctl")
    if command is None:
        raise Refused(f"the output of {unit} is in the journal, and there is no journalctl here")
    words = ["--no-pager", f"--unit={unit}", *(["--follow"] if follows else [])]
    # Followed it would begin ten lines before its end.
    lines = "all" if number is None else str(number)
    os.execv(command, [command, *words, f"--lines={lines}"])


def _show(path: str, number: int | None, *, follows: bool) -> None:
    *earlier, last = log_file.parts_of(path)
    # Opened before it is read: what it may become meanwhile is an earlier part of itself.
    log = _opened(last)
    try:
        lines = itertools.chain(*map(_lines_of, earlier), log)
        for line in lines if number is None else collections.deque(lines, maxlen=number):
            say_text(line)
        while follows:
            is_left = not _is_at(log, path)
            for line in log:  # also what came to it until it was left
                say_text(line)
            sys.stdout.flush()
            if is_left and os.path.lexists(path):
                log.close()
                log = _opened(path)
            else:
                time.sleep(_PAUSE)
    finally:
        log.close()


def _lines_of(path: str) -> t.Iterator[str]:
    with contextlib.suppress(FileNotFoundError), _opened(path) as log:  # it was the oldest
        yield from log


def _opened(path: str) -> t.TextIO:
    """Raises OSError, also where it is no file."""
    fd = regular_files.open_regular(path, os.O_RDONLY | os.O_NOFOLLOW)
    return open(fd, encoding="utf-8", errors="replace", newline="\n")


def _is_at(log: t.TextIO, path: str) -> bool:
    """Whether it still is the part that is written to."""
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(log.fileno()), os.lstat(path))
    return False
