# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Why a mount could not be changed or taken away: it is in use, or locked.

Each function answers (reason, hint), both empty where it found no cause.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os
import typing as t

from ...process import capabilities
from .. import options
from ..table import Mount
from . import holders, in_use
from .failure import NOTHING, Failure

if t.TYPE_CHECKING:
    from ...actions import Answer

_CHANGES = ("mount", "mount_setattr", "fsconfig", "fspick")


def by_busy(failed: Failure) -> Answer:
    """EBUSY: who uses the mount, or writes to it."""
    if not failed.is_any(errno.EBUSY) or failed.is_making:
        return NOTHING
    row = failed.row()
    if row is None:
        return NOTHING
    with failed.host_proc() as proc:
        files = holders.files_below(row.path, proc)
        if failed.call == "umount2":
            users = in_use.of_mount(proc, row.id)
            reason = f"the mount on {row.path} is in use"
            hint = "End the processes that use it (a file open in it, or their working directory)."
        elif failed.call in _CHANGES:
            major, _colon, minor = row.device.partition(":")
            device = os.makedev(int(major), int(minor))
            users = in_use.writing(proc, mount_id=row.id, device=device)
            reason = f"files on {row.path} are open for writing, so that it cannot become read-only"
            hint = "End the processes that write to it, or have them close their files."
        else:
            return NOTHING
    if users:
        return f"{reason} by {in_use.listed(users)}", hint
    if files:
        # The kernel has them open, and no process.
        return (
            f"{reason}: {'; '.join(files)}",
            "Have the files let go: detach the device, end the swap.",
        )
    return reason, hint


def by_lock(failed: Failure) -> Answer:
    """What came with a user namespace, and cannot be taken away or loosened there."""
    row = failed.row() if failed.is_any(errno.EINVAL, errno.EPERM) else None
    if row is None:
        return NOTHING
    if failed.call == "umount2" and failed.is_any(errno.EINVAL):
        return (
            (
                f"the mount on {row.path} came with the user namespace and is locked there "
                "(mount_namespaces(7))"
            ),
            "Mount something over it, or unmount it before the user namespace is made.",
        )
    if failed.call in ("mount_setattr", "mount") and failed.is_any(errno.EPERM):
        if not capabilities.has("sys_admin"):
            return NOTHING
        lost = _flags_to_lose(failed, row)
        if lost:
            return (
                (
                    f"the mount on {row.path} came with the user namespace, where these flags are "
                    f"locked: {', '.join(lost)} (mount_namespaces(7))"
                ),
                f"Add them to opts: {','.join(lost)}.",
            )
    return NOTHING


def _flags_to_lose(failed: Failure, row: Mount) -> list[str]:
    """The flags that the mount has, and would not have."""
    shown = failed.error.arguments.get("attr_set")
    if shown is not None:
        expected = int(str(shown), 16)
    else:
        asked = failed.wanted.options
        base = options.attributes_of(row.flags) if failed.wanted.state == "remounted" else 0
        expected = asked.applied_to(base)
    kept = options.words_of(expected)
    return [
        word
        for word in options.words_of(options.attributes_of(row.flags))
        if word not in (*kept, "rw")
    ]
