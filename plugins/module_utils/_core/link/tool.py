# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The programs that change networks: ip of iproute2, nft, wg, tc.

They run with the mounts of the host, in the network namespace of an open file.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import re
import subprocess
import typing as t

from .. import host_paths
from ..errors import KernelError, Refused
from ..namespace.within import within
from ..printable import in_sentence, printable_lines
from ..process import installed

# They take ip for a name of their own.
_OTHERS = ("busybox", "toybox")
_LONGEST = 500
_FAILED = re.compile(r"^Command failed .*:(\d+)$", re.MULTILINE)
_DECODER = json.JSONDecoder()


class Failed(Exception):
    """A program failed: what it complained of, and at which line of what it was given; 0 for none."""

    def __init__(self, complaints: str, line: int = 0) -> None:
        super().__init__(complaints)
        self.complaints = complaints
        self.line = line


@functools.cache
def path_of(program: str) -> str:
    """The path of a program, which is the one that is meant. Raises Refused."""
    found = installed.path_of(program, f"it takes {program}")
    other = os.path.basename(os.path.realpath(found))
    if other in _OTHERS:
        reason = f"{found} is that of {other}, which cannot do what is needed here"
        raise Refused(reason, installed.hint(program))
    return found


def run(
    argv: t.Sequence[str], *, net: int, given: str = "", fds: t.Collection[int] = ()
) -> tuple[int, str, str]:
    """Run the program in the network namespace of the open file ``net``; its status and what it wrote.

    ``given`` is its input, ``fds`` are open files that it has as well. Raises Refused where there is no
    such program, OSError.
    """
    # Files take no reading and writing in turns, as pipes do.
    with contextlib.ExitStack() as stack:
        streams = [
            stack.enter_context(os.fdopen(os.memfd_create(argv[0]), "w+b")) for _each in range(3)
        ]
        streams[0].write(given.encode("utf-8", "surrogateescape"))
        streams[0].seek(0)
        status = _run(argv, streams, net=net, fds=fds)
        said, complaints = (_text_of(stream) for stream in streams[1:])
    return status, said, complaints


def _run(
    argv: t.Sequence[str], streams: t.Sequence[t.IO[bytes]], *, net: int, fds: t.Collection[int]
) -> int:
    try:
        with within(net, "net"):
            return subprocess.run(
                [path_of(argv[0]), *argv[1:]],
                stdin=streams[0],
                stdout=streams[1],
                stderr=streams[2],
                check=False,
                pass_fds=tuple(fds),
                env={"PATH": host_paths.DEFAULT_PATH, "LC_ALL": "C.UTF-8"},
            ).returncode
    except KernelError as error:
        if error.errno != errno.EPERM:
            raise
        raise Refused(
            "the caller may not enter the network namespace", "Run the task as root (become: true)."
        ) from error


def _text_of(stream: t.IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace")


def change(argv: t.Sequence[str], *, net: int, given: str = "", fds: t.Collection[int] = ()) -> str:
    """The same for a program that must succeed: what it wrote. Raises Failed, Refused, OSError."""
    status, said, complaints = run(argv, net=net, given=given, fds=fds)
    if status:
        found = _FAILED.search(complaints)
        text = _FAILED.sub("", complaints).strip().removeprefix("Error: ")
        text = in_sentence(printable_lines(text[:_LONGEST])) or f"{argv[0]} ended with {status}"
        raise Failed(text, int(found.group(1)) if found else 0)
    return said


def batch(
    lines: t.Sequence[str],
    *,
    net: int,
    words: t.Sequence[str] = (),
    fds: t.Collection[int] = (),
) -> None:
    """Have `ip -batch` carry out the lines, one after the other, until one fails.

    ``words`` are further ones for ip. Raises as change().
    """
    change(["ip", *words, "-batch", "-"], net=net, given="\n".join([*lines, ""]), fds=fds)


def answers(lines: t.Sequence[str], *, net: int, words: t.Sequence[str] = ()) -> list[list[t.Any]]:
    """What `ip` says to each of the lines, as lists of objects; an empty one for what is not there.

    Raises Failed, Refused, OSError.
    """
    argv = ["ip", *words, "-force", "-json", "-Numeric", "-details", "-batch", "-"]
    _status, said, complaints = run(argv, net=net, given="\n".join([*lines, ""]))
    missing = {int(number) for number in _FAILED.findall(complaints)}
    found = _documents(said)
    if len(found) + len(missing) != len(lines):
        raise Failed(in_sentence(printable_lines(complaints[:_LONGEST])) or "ip has not answered")
    rest = iter(found)
    return [[] if number in missing else next(rest) for number, _line in enumerate(lines, start=1)]


def _documents(text: str) -> list[list[t.Any]]:
    found, at = [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        try:
            document, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise Failed(f"ip answers with what is no JSON: {error}") from error
        found.append([each for each in document if isinstance(each, dict) and each])
    return found
