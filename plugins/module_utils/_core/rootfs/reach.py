# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whether users of the host reach what is unpacked, and so could run its setuid programs.

That is a matter of the directories above it (CVE-2021-41091): the root itself has the mode that it
came with, since it becomes / inside. What is mounted in a namespace alone is out of reach by any
mode: through /proc/PID/root the kernel takes every mount for one with nosuid.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..definition import layout
from ..mount import table
from ..mount.reach import others_reach
from .site import Above, Location


def by(above: Above) -> str:
    """The path by which users of the host reach what is to lie there; empty where none of them can.

    Root itself is not meant. For the process that has not joined the target.
    """
    for path in _paths_on_host(above):
        if others_reach(path if above.is_above else os.path.dirname(path)):
            return path
    return ""


def by_mount_of(root: Location) -> str:
    """The path by which they reach the root where it is mounted on the host as well; empty for none.

    With nosuid its programs are of no use to them there. For the process that has not joined the
    target.
    """
    for mount in table.read():
        if (mount.device, mount.root) != (root.device, root.root) or "nosuid" in mount.flags:
            continue
        with contextlib.suppress(OSError):
            # Another mount may cover it.
            is_seen = os.stat(mount.path, follow_symlinks=False).st_dev == root.number
            if is_seen and others_reach(mount.path):
                return mount.path
    return ""


def _paths_on_host(above: Above) -> t.Iterator[str]:
    """The names that the directory has on the host, which are none for what is mounted elsewhere."""
    there = above.location
    for mount in table.read():
        if mount.device != there.device or not layout.is_below(there.root, mount.root):
            continue
        path = mount.path.rstrip("/") + layout.below(there.root, mount.root)
        path = path.rstrip("/") or "/"
        with contextlib.suppress(OSError):
            found = os.stat(path, follow_symlinks=False)
            # Another mount may cover it.
            if (found.st_dev, found.st_ino) == (there.number, above.inode):
                yield path
