# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Making what a mount point needs, inside a root that may be hostile.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import typing as t

from ..errors import KernelError
from ..storage import modes
from . import resolve

_MOST_LINKS = 40  # as path_resolution(7) follows


def directories(root_fd: int, path: str, *, mode: int = 0o755, links: int = _MOST_LINKS) -> None:
    """Make the directory ``path`` inside the root ``root_fd``, and those above it.

    Step by step from one resolved descriptor to the next, so that a link planted meanwhile
    leads nowhere outside (CVE-2024-45310, CVE-2026-87766). Links that lie inside the root, as
    /var/run -> /run, are followed; where one leads to nothing yet, as /var/lock -> /run/lock in
    an image, that is made, through no more than ``links`` of them. Raises KernelError.
    """
    parts = [part for part in path.split("/") if part]
    for depth in range(1, len(parts) + 1):
        here = "/".join(parts[:depth])
        try:
            os.close(resolve.open_in(root_fd, here, flags=os.O_PATH | os.O_DIRECTORY))
            continue
        except KernelError as error:
            if error.errno != errno.ENOENT:
                raise
        above = "/".join(parts[: depth - 1])
        with resolve.opened_in(root_fd, above) as above_fd, _named("mkdirat", here):
            try:
                with modes.exact():
                    os.mkdir(parts[depth - 1], mode, dir_fd=above_fd)
                continue
            except FileExistsError:  # somebody else made it, or it is a link
                target = _link(above_fd, parts[depth - 1])
        if target is None:
            continue
        if not links:
            raise KernelError("mkdirat", errno.ELOOP, {"path": here})
        target = target if target.startswith("/") else f"{above}/{target}"
        directories(root_fd, target, mode=mode, links=links - 1)


def _link(directory: int, name: str) -> str | None:
    """Where the link ``name`` leads, None where it is no link."""
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError:
        return None


def file(root_fd: int, path: str) -> None:
    """Make an empty file ``path`` inside the root ``root_fd``, and the directories above it.

    Raises KernelError.
    """
    above, _slash, name = path.rstrip("/").rpartition("/")
    directories(root_fd, above)
    with resolve.opened_in(root_fd, above) as above_fd, _named("openat", path):
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW
        with contextlib.suppress(FileExistsError), modes.exact():
            os.close(os.open(name, flags, 0o644, dir_fd=above_fd))


@contextlib.contextmanager
def _named(call: str, path: str) -> t.Iterator[None]:
    """Failures of the os module as KernelError, with the call and the path."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise KernelError(call, error.errno or errno.EIO, {"path": path}) from error
