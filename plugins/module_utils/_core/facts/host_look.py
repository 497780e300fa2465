# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a look at a host is made of: a row of the table of checks, what it finds, and what it reads.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import os
import typing as t

from .. import once
from ..process import capabilities, proc

OK = "ok"
# It is there, and less of it than there could be.
LIMITED = "limited"
MISSING = "missing"
# The caller cannot see it, or nothing says it.
UNKNOWN = "unknown"
STATES = (OK, LIMITED, MISSING, UNKNOWN)


class Found(t.NamedTuple):
    """What a look has found."""

    state: str
    # In words.
    text: str
    # What is to be done; empty where the row says it.
    remedy: str = ""


class Check(t.NamedTuple):
    """A row of the table: something that a host has or has not."""

    name: str
    # Modules and features of the collection, as people know them, and what is done without it.
    needed_for: str
    look: t.Callable[[Host], Found]
    # Whether next to nothing works without it.
    required: bool = False
    # The Linux that has it, where that is newer than the oldest one that is supported.
    since: str = ""
    # What is to be done where it is missing.
    remedy: str = ""


class Host:
    """Where the rows look. Tests give a ``read`` of their own, which answers "" for what is not there."""

    def __init__(self, read: t.Callable[[str], str] | None = None) -> None:
        self.text: t.Callable[[str], str] = read or _text_of

    def setting(self, name: str) -> str:
        """A kernel parameter by its path below /proc/sys; empty where there is none."""
        return self.text(f"/proc/sys/{name}").strip()

    def number(self, name: str) -> int | None:
        """A kernel parameter that is a number; None where there is none."""
        text = self.setting(name)
        return int(text) if text.isdecimal() else None

    @functools.cached_property
    def is_root(self) -> bool:
        """Whether the caller has the uid 0."""
        return os.geteuid() == 0

    @functools.cached_property
    def is_capable(self) -> bool:
        """Whether the caller has CAP_SYS_ADMIN."""
        return capabilities.has("sys_admin")

    @functools.cached_property
    def is_filtered(self) -> bool:
        """Whether a filter decides which system calls the caller may make (proc_pid_status(5))."""
        lines = self.text("/proc/self/status").splitlines()
        return any(line.split() == ["Seccomp:", "2"] for line in lines)

    @functools.cached_property
    def filesystems(self) -> frozenset[str]:
        """The types of file systems that the kernel has now (proc_filesystems(5))."""
        lines = self.text("/proc/filesystems").splitlines()
        return frozenset(line.split()[-1] for line in lines if line.strip())


@once.kept
def _text_of(path: str) -> str:
    return proc.text_of(path)
