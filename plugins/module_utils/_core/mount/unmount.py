# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Taking mounts away, in the process that has joined the target.

Others may mount and unmount there meanwhile: what was looked at may be gone, and something else
there. Then it is looked at again, within limits (patience.py).
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
import typing as t

from ..errors import KernelError
from ..patience import Patience
from ..syscalls import files
from ..syscalls import mounts as calls
from . import peers, resolve
from .table import Mount, Table
from .view import TargetView

# What umount2(2) and the way there fail with when something has changed since: it is gone, or
# something was mounted on it. Each has other causes as well, which stay: it is locked, or in use.
_OF_CHANGES = (errno.EINVAL, errno.ENOENT, errno.ENOTDIR, errno.EBUSY)
_LOOKS = 50
_PAUSE = 0.002


class _Failures:
    """Tells a failure that comes of a change in between from one that stays."""

    def __init__(self) -> None:
        self._last: t.Any = None
        self._number = 0

    def note(self, error: KernelError, there: t.Any) -> None:
        """Raise the error where it stays: it came again and again with the same mounts ``there``."""
        number = self._number + 1 if self._last == (error.errno, there) else 1
        self._last, self._number = (error.errno, there), number
        if error.errno not in _OF_CHANGES or number >= _LOOKS:
            raise error
        time.sleep(_PAUSE)


def with_what_is_below(view: TargetView, path: str, others: t.Sequence[Mount] = ()) -> None:
    """Unmount everything on the path and below, the last first: fine where there is nothing.

    ``others`` are the mounts of the host: nothing of them goes that is not meant (peers.py).

    Nothing that is in use goes. Done is it at the first look that finds the path without a mount;
    what others mount there afterwards is theirs. Raises KernelError, Refused, Changing.
    """
    patience, failures = Patience(path), _Failures()
    while True:
        try:
            with view.found(path) as found:
                if not found.place.is_mount_root:
                    return
                waiting = [*reversed(found.table.descendants(found.place.mount_id))]
                waiting += [found.mount] if found.mount is not None else []
        except KernelError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):  # the place itself has gone
                return
            raise
        try:
            with peers.parted(view, path, others) if len(waiting) > 1 else contextlib.nullcontext():
                for mount in waiting:
                    _unmount(view, mount)
        except KernelError as error:
            failures.note(error, [(mount.id, mount.path) for mount in waiting])
        patience.look_again()


def _unmount(view: TargetView, mount: Mount) -> None:
    # By its name in an open directory: an open descriptor of the mount itself would make
    # it busy. The name is the kernel's own and holds no link.
    above, _slash, name = mount.path.rpartition("/")
    try:
        with resolve.opened_in(view.root, above) as directory:
            os.fchdir(directory)
            calls.umount(name, flags=calls.UMOUNT_NOFOLLOW)
    except KernelError as error:
        error.arguments.update(mount_path=mount.path, mount_id=mount.id)
        raise


def detach_all(view: TargetView, path: str, others: t.Sequence[Mount] = ()) -> None:
    """Detach all that is stacked on the path, also what is in use, with what is below.

    ``others`` are as in with_what_is_below(). Raises KernelError, Refused, Changing.
    """
    patience, failures = Patience(path), _Failures()
    there = Table(view.mounts())
    while True:
        with view.opened(path) as fd:
            place = files.place_of(fd)
            if not place.is_mount_root:
                return
            try:
                with peers.parted(view, path, others, there):
                    calls.umount(view.name(fd), flags=calls.MNT_DETACH)
            except KernelError as error:
                failures.note(error, place)
        patience.look_again()
