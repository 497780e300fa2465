# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Where interfaces are, and carrying out lines of `ip -batch` there.

A place is the target, the host, or a named namespace. In a line ``@db@`` stands for the network namespace of
the place db, as `ip` takes one: a path.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import itertools
import os
import re
import typing as t

from .. import actions
from ..errors import Refused, StepFailed
from ..namespace.target import Target
from . import explain, tool

INSIDE, HOST = "", "."
_PLACE = re.compile(r"@([^@ ]*)@")


class Change(t.NamedTuple):
    """A line for `ip -batch`."""

    # The name of the action that it belongs to.
    name: str
    place: str
    line: str
    # Of `ip` itself: rules of IPv6 take another run of it.
    words: tuple[str, ...] = ()


def net_of(place: str) -> str:
    """What stands for the network namespace of the place in a line."""
    return f"@{place}@"


class Site:
    """The open network namespaces of what is worked on. Use it in a with statement."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._fds: dict[str, int] = {}

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_exception: object) -> None:
        for fd in self._fds.values():
            os.close(fd)
        self._fds = {}

    def net(self, place: str) -> int:
        """The open file of the network namespace of the place. Raises Refused where it has none, OSError."""
        if place not in self._fds:
            self._fds[place] = self._open(place)
        return self._fds[place]

    @property
    def is_host(self) -> bool:
        """Whether the target has the network of the host."""
        here, host = (os.fstat(self.net(place)) for place in (INSIDE, HOST))
        return os.path.samestat(here, host)

    def _open(self, place: str) -> int:
        target = self.target if place == INSIDE else Target(namespace=place)
        if place == HOST or target.is_host:
            return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        needs = "net" if target.namespace is not None or target.namespace_path is not None else ""
        with target.open(needs=needs, closed_too=True) as handles:
            if "net" in handles.kinds:
                return os.dup(handles.fd_of("net"))
        return os.open(
            "/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC
        )  # a process in that of the host

    def carry_out(self, changes: t.Sequence[Change]) -> None:
        """Carry out the changes, those that follow one another at a place at once.

        Raises StepFailed with the name of the one that failed.
        """
        for (place, words), group in itertools.groupby(changes, lambda one: (one.place, one.words)):
            listed = [*group]
            actions.run(listed[0].name, lambda: self._batch(place, words, listed))  # noqa: B023

    def _batch(self, place: str, words: tuple[str, ...], changes: t.Sequence[Change]) -> None:
        others = {
            each: self.net(each) for change in changes for each in _PLACE.findall(change.line)
        }
        lines = [
            _PLACE.sub(lambda found: f"/proc/self/fd/{others[found.group(1)]}", change.line)
            for change in changes
        ]
        try:
            tool.batch(lines, net=self.net(place), words=words, fds=others.values())
        except tool.Failed as error:
            failed = changes[error.line - 1] if error.line else changes[0]
            reason, hint = explain.failure(error.complaints, failed.line)
            raise StepFailed(failed.name, Refused(reason, hint), reason, hint) from error
