# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Resolving paths inside a root that may be hostile, by descriptor.

Every path is resolved by openat2(2) with RESOLVE_IN_ROOT: an absolute link inside a root leads
to that root, ".." stops at it, and magic links (/proc/PID/fd/N) are not followed. What was
resolved is used by its descriptor, never by its name again, so that nothing can be swapped in
between.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t

from ..errors import KernelError, Refused
from ..syscalls import files

_IN_ROOT = files.RESOLVE_IN_ROOT | files.RESOLVE_NO_MAGICLINKS


def checked_absolute(path: str, *, option: str) -> str:
    """``path`` without doubled or trailing slashes. Raises Refused unless it is absolute."""
    if not path.startswith("/"):
        raise Refused(f"{option} must be an absolute path, not {path!r}")
    if "\0" in path:
        raise Refused(f"{option} must not hold a null character: {path!r}")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Refused(f"{option} must not hold '..': {path!r}", "Write the path that is meant.")
    return "/" + "/".join(parts)


def open_in(root_fd: int, path: str, *, flags: int = os.O_PATH) -> int:
    """Open ``path`` inside the root ``root_fd``; links are followed inside it.

    Raises KernelError.
    """
    return files.openat2(root_fd, path.lstrip("/") or ".", flags=flags, resolve=_IN_ROOT)


@contextlib.contextmanager
def opened_in(root_fd: int, path: str, *, flags: int = os.O_PATH) -> t.Iterator[int]:
    """open_in() for a with statement."""
    fd = open_in(root_fd, path, flags=flags)
    try:
        yield fd
    finally:
        os.close(fd)


def exists_in(root_fd: int, path: str) -> bool:
    """Whether ``path`` leads to something inside the root ``root_fd``. Raises KernelError."""
    try:
        os.close(open_in(root_fd, path))
    except KernelError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return False
        raise
    return True


def is_directory(fd: int) -> bool:
    """Whether the open file ``fd`` is a directory."""
    return stat.S_ISDIR(os.fstat(fd).st_mode)
