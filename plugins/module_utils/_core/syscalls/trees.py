# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""System calls on whole directories: renameat2(2) and syncfs(2).

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

from .call import invoke, to_bytes

_RENAME_EXCHANGE = 2


def exchange(one_fd: int, one: str, other_fd: int, other: str) -> None:
    """renameat2(2) with RENAME_EXCHANGE: two names, each in a directory, swap what they name.

    Raises KernelError: EINVAL where the file system cannot do it.
    """
    invoke(
        "renameat2",
        one_fd,
        to_bytes(one),
        other_fd,
        to_bytes(other),
        _RENAME_EXCHANGE,
        shown={"one": one, "other": other},
    )


def sync_filesystem(fd: int) -> None:
    """syncfs(2): what was written to the file system of ``fd`` is on disk. Raises KernelError."""
    invoke("syncfs", fd, shown={"fd": fd})
