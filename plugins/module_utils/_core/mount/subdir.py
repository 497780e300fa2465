# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A directory of a file system in the place of its root: X-mount.subdir of mount(8).

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os

from ..errors import KernelError, Refused
from ..syscalls import detached, files
from . import own_copy

# What lies on the file system is not to lead to another directory than is compared with.
_HOW = files.RESOLVE_IN_ROOT | files.RESOLVE_NO_SYMLINKS


def taken(tree: int, path: str, *, where: str, host_proc: int) -> int:
    """A detached mount of the directory ``path`` of the detached mount ``tree``, which is closed.

    ``where`` is the path of the mount, for people. Raises KernelError, Refused.
    """
    try:
        found = _opened(tree, path, where)
        try:
            return detached.open_tree(found, "", of_detached=True)
        except KernelError as error:
            # A copy of what is attached nowhere: from Linux 6.15 on.
            if error.errno != errno.EINVAL:
                raise
        finally:
            os.close(found)
        with own_copy.entered(host_proc):
            return _taken_attached(tree, path, where)
    finally:
        os.close(tree)


def _taken_attached(tree: int, path: str, where: str) -> int:
    """The same where nobody sees it, in a copy of the mount namespace."""
    with own_copy.hidden() as above:
        place = os.open(own_copy.PLACE, os.O_PATH | os.O_CLOEXEC, dir_fd=above)
        try:
            detached.move_mount(tree, place)
        finally:
            os.close(place)
        found = _opened(tree, path, where)
        try:
            return detached.open_tree(found, "")
        finally:
            os.close(found)


def _opened(tree: int, path: str, where: str) -> int:
    try:
        return files.openat2(tree, path, flags=os.O_PATH, resolve=_HOW)
    except KernelError as error:
        reasons = {
            errno.ENOENT: "there is no such directory in the file system",
            errno.ENOTDIR: "something above it is no directory",
            errno.ELOOP: "it is a link, or leads through one, which is not followed there",
        }
        reason = reasons.get(error.errno or 0)
        if reason is None:
            raise
        raise Refused(
            f"X-mount.subdir={path} of the mount on {where}: {reason}",
            "Mount the file system without it to see what is there.",
        ) from error
