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
import json
import os
import re
import subprocess
import typing as t

from .. import host_paths, kinds
from ..errors import KernelError, Refused
from ..printable import in_sentence, printable_lines
from ..process import installed
from ..syscalls import namespaces

# They take ip for a name of their own.
_OTHERS = ("busybox", "toybox")
_LONGEST = 500
_OWN = "/proc/self/ns/net"
_NET = kinds.KINDS["net"].flag
_FAILED = re.compile(r"^Command failed .*:(\d+)$", re.MULTILINE)
_DECODER = json.JSONDecoder()


class Failed(Exception):
    """A program failed: what it complained of, and at which line of what it was given; 0 for none."""

    def __init__(self, complaints: str, line: int = 0) -> None:
        super().__init__(complaints)
        self.complaints = complaints
        self.line = line


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
    try:
        with _within(net):
            done = subprocess.run(
                [path_of(argv[0]), *argv[1:]],
                input=given.encode("utf-8", "surrogateescape"),
                capture_output=True,
                check=False,
                pass_fds=tuple(fds),
                env={"PATH": host_paths.DEFAULT_PATH, "LC_ALL": "C.UTF-8"},
            )
    except KernelError as error:
        if error.errno != errno.EPERM:
            raise
        raise Refused(
            "the caller may not enter the network namespace", "Run the task as root (become: true)."
        ) from error
    said, complaints = (each.decode("utf-8", "replace") for each in (done.stdout, done.stderr))
    return done.returncode, said, complaints


@contextlib.contextmanager
def _within(net: int) -> t.Iterator[None]:
    """Be in that network namespace meanwhile.

    A child that has to go there by itself is a copy of this process first, which takes longer than `ip` does.
    """
    # Who stays where it is needs no right for that.
    if os.path.samestat(os.fstat(net), os.stat(_OWN)):
        yield
        return
    own = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespaces.setns(net, _NET)
        try:
            yield
        finally:
            namespaces.setns(own, _NET)
    finally:
        os.close(own)


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
