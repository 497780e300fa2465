# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Namespace files: their ids and kinds, and the namespaces of processes.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os

from .. import kinds
from ..errors import KernelError, Refused
from ..syscalls import namespaces


def id_of(fd: int) -> int:
    """The id of the open namespace file: the number in /proc/PID/ns/* and in lsns(8)."""
    return os.fstat(fd).st_ino


def kind_of(fd: int, *, path: str) -> str:
    """The kind of the open namespace file ``fd``. Raises Refused where it is none."""
    try:
        return kinds.kind_of_flag(namespaces.kind_flag(fd))
    except (KernelError, KeyError) as error:
        raise no_file(path) from error


def no_file(path: str) -> Refused:
    """That what is there is no namespace file."""
    return Refused(
        f"{path} is not a namespace file",
        "A namespace file is /proc/PID/ns/KIND or a bind mount of it, as `ip netns` makes.",
    )
