# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A copy of the mount namespace for the time of a call that would otherwise change this one.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from .. import kinds
from ..syscalls import detached, mounts, namespaces

_CLONE_NEWNS = kinds.KINDS["mnt"].flag
# What there is to mount on in hidden().
PLACE = "place"


@contextlib.contextmanager
def entered(host_proc: int) -> t.Iterator[None]:
    """The caller is in a copy of its mount namespace for the block, and comes back to where it was.

    ``host_proc`` is the host's /proc, open. Raises KernelError, OSError.
    """
    back = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    own = os.open("self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=host_proc)
    root, here = os.open("/", back), os.open(".", back)
    try:
        namespaces.unshare(_CLONE_NEWNS)
        try:
            yield
        finally:
            namespaces.setns(own, _CLONE_NEWNS)
            # It leads to the root of the namespace, which need not be that of the process.
            os.fchdir(root)
            os.chroot(".")
            os.fchdir(here)
    finally:
        for fd in (own, root, here):
            os.close(fd)


@contextlib.contextmanager
def hidden() -> t.Iterator[int]:
    """An open directory that nobody else sees, in which PLACE is, to mount on: for who has entered() a
    copy.

    What is mounted there goes with the copy, but for what is taken of it meanwhile (open_tree(2)).
    Raises KernelError, OSError.
    """
    # What is mounted here is to be nobody else's.
    mounts.set_propagation_of_all("private")
    above = detached.make_filesystem("tmpfs", source="none", options=(), attributes=0)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # On the root, which stays that of the process: no path leads through it.
        detached.move_mount(above, root)
        os.mkdir(PLACE, 0o700, dir_fd=above)
        yield above
    finally:
        os.close(root)
        os.close(above)
