# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Paths of the host that a task names: sources of mounts, archives, images, directories.

Links on the way are the host's own until the way leads into a root that was unpacked there, or
through /proc into that of a process: what lies below was made by others, and is resolved below
it, as it will be once that is the root.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t

from ..errors import KernelError
from ..storage import root_mark
from ..syscalls import files
from . import resolve

_MOST_LINKS = 40  # as path_resolution(7) follows


class Found(t.NamedTuple):
    """What a path of the host leads to."""

    # Open with O_PATH.
    fd: int
    # Whether it lies in a root that others have filled.
    in_root: bool


def find(path: str) -> Found:
    """Open what ``path`` leads to. Raises OSError."""
    here, rest = walked(path, is_marked=root_mark.is_on)
    try:
        return Found(_open_below(here, rest) if rest else os.dup(here), in_root=bool(rest))
    finally:
        os.close(here)


def walked(
    path: str, *, is_marked: t.Callable[[int], bool], trusts_proc: bool = True
) -> tuple[int, list[str]]:
    """Open what ``path`` leads to, or the root of others that the way leads into.

    With that the names that are left of the path below such a root, the last first. Where the /proc
    of the caller may be a lie, and so not ``trusts_proc``, links in it are not followed. Raises
    OSError.
    """
    here = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    rest, links = _parts(path), _MOST_LINKS
    try:
        while rest and not is_marked(here):
            name = rest.pop()
            found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            if not stat.S_ISLNK(os.fstat(found).st_mode):
                os.close(here)
                here = found
                continue
            links -= 1
            try:
                of_proc = files.is_on_proc(found)
                if not links or (of_proc and not trusts_proc):
                    raise KernelError("openat", errno.ELOOP, {"path": path})
                if not of_proc:
                    target = os.readlink("", dir_fd=found)
                    rest += _parts(target)
                    above = "/" if target.startswith("/") else "."
                else:
                    above = name  # only the kernel knows where such a link leads
                followed = os.open(above, os.O_PATH | os.O_CLOEXEC, dir_fd=here)
            finally:
                os.close(found)
            os.close(here)
            here = followed
            if above is name and rest and not files.is_on_proc(here):
                break
        return here, rest
    except BaseException:
        os.close(here)
        raise


def _parts(path: str) -> list[str]:
    """The names in the path, the last first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _open_below(root: int, rest: t.Sequence[str]) -> int:
    return resolve.open_in(root, "/".join(reversed(rest)))


def open_path(path: str) -> int:
    """Open what ``path`` of the host leads to, with O_PATH. Raises OSError."""
    try:
        # Where there is no link, none leads astray.
        return files.openat2(
            files.AT_FDCWD, path, flags=os.O_PATH, resolve=files.RESOLVE_NO_SYMLINKS
        )
    except KernelError as error:
        if error.errno != errno.ELOOP:
            raise
    return find(path).fd


@contextlib.contextmanager
def opened(path: str) -> t.Iterator[int]:
    """open_path() for a with statement."""
    fd = open_path(path)
    try:
        yield fd
    finally:
        os.close(fd)


def leads_into_root(path: str) -> bool:
    """Whether the way to it leads into a root that others have filled."""
    try:
        found = find(path)
    except OSError:
        return False
    os.close(found.fd)
    return found.in_root


class HostView:
    """The file system of the host, for building what is mounted elsewhere: see TargetView."""

    def __init__(self, host_proc: int) -> None:
        self.host_proc = host_proc

    def opened(self, path: str) -> t.ContextManager[int]:
        """Open what ``path`` leads to, with O_PATH. Raises OSError."""
        return opened(path)

    def path_of(self, fd: int) -> str:
        """The path of the open file. Raises OSError."""
        return os.readlink(f"self/fd/{fd}", dir_fd=self.host_proc)

    def names_of(self, path: str, fd: int) -> list[str]:
        """The names that the kernel may have for ``path``, which is open. Raises OSError.

        Through links of the host's own it comes to the same place by that path.
        """
        return [self.path_of(fd), *([] if leads_into_root(path) else [path])]
