# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which directory on the way to the place of a mount does not let the caller in, or make anything.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t

from ...errors import Refused
from ...syscalls import files
from .failure import NOTHING, Failure

if t.TYPE_CHECKING:
    from ...actions import Answer

_MAKES = ("mkdirat", "openat")
# File systems in which only the kernel makes anything.
_OF_KERNEL = (
    "binfmt_misc",
    "debugfs",
    "devpts",
    "fusectl",
    "proc",
    "pstore",
    "securityfs",
    "sysfs",
)


def by_directory(failed: Failure) -> Answer:
    """EACCES: a directory may not be searched, or not be written to. EOVERFLOW: by no such user."""
    path = failed.wanted.path
    if failed.is_any(errno.EOVERFLOW):
        if failed.call not in _MAKES:
            return NOTHING
        return (
            (
                f"the caller has no ids on the file system of {_above(path)} that it could make {path} with: "
                "its ids are mapped (X-mount.idmap, or a user namespace), and those of the caller are not "
                "among them"
            ),
            "Make it before, where the ids are those of the file system, or map those of the caller.",
        )
    if failed.view is None:
        return NOTHING
    directory, status = _deepest(failed)
    hint = "Run the task as root (become: true), or correct its mode."
    if failed.is_in_user_namespace():
        hint = (
            "Root of a user namespace may do so where the owner is mapped there: correct its mode, or "
            "give it to an id that is mapped."
        )
    if failed.call in _MAKES and _may_search(failed, directory):
        shown = "" if status is None else f" ({_shown(status)})"
        return (
            f"the caller may not make anything in {directory}{shown}, and so not {path}",
            f"{hint} Or make {path} before.",
        )
    return f"the caller may not search {directory}, on the way to {path}", hint


def by_parent(failed: Failure) -> Answer:
    """Why nothing can be made where the place of the mount would be, whoever the caller is."""
    if failed.view is None or not failed.is_any(errno.ENOENT, errno.ENOTDIR, errno.EPERM):
        return NOTHING
    path = failed.wanted.path
    directory, status = _deepest(failed)
    if status is not None and not stat.S_ISDIR(status.st_mode):
        return (
            f"{directory} is no directory, and so nothing lies below it: {path}",
            "Name another place.",
        )
    if failed.call not in _MAKES:
        return NOTHING
    row = None
    with contextlib.suppress(OSError, Refused), _opened(failed, directory) as fd:
        if files.is_immutable(fd):
            return (
                f"{directory} is immutable, and so {path} cannot be made",
                f"Make it mutable (chattr -i {directory}), or name another place.",
            )
        number = files.place_of(fd).mount_id
        row = next((each for each in failed.rows() if each.id == number), None)
    if row is not None and row.fstype in _OF_KERNEL:
        return (
            f"nothing can be made in {directory}: what is there comes from the kernel ({row.fstype})",
            "Name a place that exists there, or another one.",
        )
    return NOTHING


def _deepest(failed: Failure) -> tuple[str, os.stat_result | None]:
    """The last place above that of the mount that can be reached; None where it is the root."""
    parts = [part for part in failed.wanted.path.split("/") if part]
    found, status = "/", None
    for depth in range(1, len(parts)):
        here = "/" + "/".join(parts[:depth])
        try:
            with _opened(failed, here) as fd:
                found, status = here, os.fstat(fd)
        except (OSError, Refused):
            break
    return found, status


def _may_search(failed: Failure, directory: str) -> bool:
    with contextlib.suppress(OSError, Refused), _opened(failed, directory) as fd:
        # To look up "." in it is to search it.
        os.close(os.open(".", os.O_PATH | os.O_CLOEXEC, dir_fd=fd))
        return True
    return False


def _opened(failed: Failure, path: str) -> t.ContextManager[int]:
    if failed.view is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return failed.view.opened(path)


def _shown(status: os.stat_result) -> str:
    mode = stat.S_IMODE(status.st_mode)
    return f"it belongs to uid {status.st_uid} and gid {status.st_gid}, with mode {mode:04o}"


def _above(path: str) -> str:
    return os.path.dirname(path) or "/"
