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

_MOST_LINKS = 40  # as path_resolution(7) follows
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


def make_directories(
    root_fd: int, path: str, *, mode: int = 0o755, links: int = _MOST_LINKS
) -> None:
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
            os.close(open_in(root_fd, here, flags=os.O_PATH | os.O_DIRECTORY))
            continue
        except KernelError as error:
            if error.errno != errno.ENOENT:
                raise
        above = "/".join(parts[: depth - 1])
        with opened_in(root_fd, above) as above_fd, _named("mkdirat", here):
            try:
                os.mkdir(parts[depth - 1], mode, dir_fd=above_fd)
                continue
            except FileExistsError:  # somebody else made it, or it is a link
                target = _link(above_fd, parts[depth - 1])
        if target is None:
            continue
        if not links:
            raise KernelError("mkdirat", errno.ELOOP, {"path": here})
        target = target if target.startswith("/") else f"{above}/{target}"
        make_directories(root_fd, target, mode=mode, links=links - 1)


def _link(directory: int, name: str) -> str | None:
    """Where the link ``name`` leads, None where it is no link."""
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError:
        return None


def make_file(root_fd: int, path: str) -> None:
    """Make an empty file ``path`` inside the root ``root_fd``, and the directories above it.

    Raises KernelError.
    """
    above, _slash, name = path.rstrip("/").rpartition("/")
    make_directories(root_fd, above)
    with opened_in(root_fd, above) as above_fd, _named("openat", path):
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW
        with contextlib.suppress(FileExistsError):
            os.close(os.open(name, flags, 0o644, dir_fd=above_fd))


def is_directory(fd: int) -> bool:
    """Whether the open file ``fd`` is a directory."""
    return stat.S_ISDIR(os.fstat(fd).st_mode)


@contextlib.contextmanager
def _named(call: str, path: str) -> t.Iterator[None]:
    """Failures of the os module as KernelError, with the call and the path."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise KernelError(call, error.errno or errno.EIO, {"path": path}) from error
