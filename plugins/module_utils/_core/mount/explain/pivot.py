# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Why a pivot failed: the cause, found by looking at the system, and what to do about it.

One errno of pivot_root(2) has many causes (the ERRORS section of its manual page).
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import typing as t

from ...syscalls import files
from .. import resolve
from ..view import TargetView

if t.TYPE_CHECKING:
    from ...actions import Answer


class Cause(t.NamedTuple):
    """Why pivot_root(2) fails, or would."""

    errno: int
    # What is wrong.
    reason: str
    # What to do about it.
    hint: str


def new_root(view: TargetView, fd: int, path: str, *, put_old: int = -1) -> Cause | None:
    """Why the open file ``fd`` cannot become the root, or None when it can.

    The rows of pivot_root(2), ERRORS, most of which are one EINVAL.
    """
    place = files.place_of(fd)
    root = files.place_of(view.root)
    table = {row.id: row for row in view.mounts()}
    mount_it = f"Mount something on {path} first: the new root itself, or a bind of {path} onto it."
    if not resolve.is_directory(fd):
        return Cause(errno.ENOTDIR, f"new_root {path} is not a directory", "Name a mounted one.")
    if not root.is_mount_root:
        return Cause(
            errno.EINVAL,
            "the current root is not a mount point: its process is in a chroot",
            "Name a target whose root is a mount.",
        )
    if place.mount_id == root.mount_id:
        what = "is the root already" if place.is_mount_root else "lies on the current root mount"
        reason = f"new_root {path} {what} and is not a mount point of its own"
        return Cause(errno.EBUSY, reason, mount_it)
    if not place.is_mount_root:
        return Cause(errno.EINVAL, f"new_root {path} is not a mount point", mount_it)
    row, root_row = table[place.mount_id], table[root.mount_id]
    if root_row.fstype == "rootfs":
        return Cause(
            errno.EINVAL,
            "the current root is the initial RAM file system, which cannot be moved",
            "Start the target from a mounted root (switch_root(8)).",
        )
    parent = table.get(row.parent)
    for mount_row, what in ((row, "new_root"), (parent, "what new_root is mounted on")):
        if mount_row is not None and "shared" in mount_row.propagation:
            return Cause(
                errno.EINVAL,
                f"{what} is a shared mount: {mount_row.path}",
                (
                    f"Make it private first: ns_mount path={mount_row.path} state=remounted "
                    "propagation=private."
                ),
            )
    if put_old >= 0:
        old_place = files.place_of(put_old)
        old_row = table.get(old_place.mount_id)
        if old_place.is_mount_root and old_row is not None and "shared" in old_row.propagation:
            return Cause(
                errno.EINVAL,
                f"put_old is a shared mount: {old_row.path}",
                "Name a plain directory below new_root.",
            )
    return None


def pivot_root(error: OSError, view: TargetView, path: str, put_old: str) -> Answer:
    """The cause of a failed pivot to ``path``."""
    if error.errno == errno.EPERM:
        return (
            "the caller has no CAP_SYS_ADMIN in the user namespace that owns the target",
            "Run the task as root (become: true).",
        )
    with contextlib.ExitStack() as stack:
        fd = stack.enter_context(view.opened(path))
        old = stack.enter_context(view.opened(put_old)) if put_old else -1
        cause = new_root(view, fd, path, put_old=old)
    if cause is not None:
        return cause.reason, cause.hint
    if error.errno == errno.EINVAL:
        # Nothing shows this flag, but it is all that is left of the EINVALs.
        return (
            (
                f"new_root {path} was mounted outside of the target's user namespace, and is "
                "locked in place (mount_namespaces(7))"
            ),
            f"Bind {path} onto a directory (ns_mount opts=rbind src_in=namespace), and name that.",
        )
    return "", ""
