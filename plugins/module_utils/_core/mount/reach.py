# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whether users of the host reach what an overlay writes, and so could run setuid programs of it.

Root inside can leave one there (CVE-2021-41091). Other than a root that is unpacked, the directory
is the operator's, and may be meant to be read: that gets a warning.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ..definition import layout
from . import host_view, layers

if t.TYPE_CHECKING:
    from .wanted import WantedMount

_ACL = "system.posix_acl_access"


def warnings(wanted: t.Sequence[WantedMount], host_proc: int) -> list[str]:
    """A sentence for each upper directory on the host that all its users reach.

    The directory for the work has one without any permission in it, made by the kernel.
    """
    found = []
    for mount in wanted:
        if mount.fstype != "overlay" or mount.state != "mounted" or not mount.needs_host:
            continue
        for layer in layers.of(mount.options.filesystem):
            if layer.key == layers.UPPER and _is_reached(layer.path, host_proc):
                found.append(
                    f"Every user of the host can reach {layer.path}, the upperdir of {mount.path}, "
                    "and run setuid programs that root inside leaves there. Close a directory above "
                    f"it, as by chmod 700 {os.path.dirname(layer.path)} where that is for it alone."
                )
    return found


def _is_reached(path: str, host_proc: int) -> bool:
    with contextlib.suppress(OSError), host_view.opened(path) as fd:
        there = host_view.HostView(host_proc).path_of(fd)
        return others_reach(there)
    return False  # it is missing, which the mount will say


def others_reach(path: str) -> bool:
    """Whether anybody but root can enter the directory and all above it. Raises OSError."""
    return all(map(_lets_others_in, (*layout.ancestors(path), path)))


def _lets_others_in(path: str) -> bool:
    found = os.stat(path)
    if found.st_uid != 0 or found.st_mode & stat.S_IXOTH:
        return True
    if not found.st_mode & stat.S_IXGRP:
        return False
    # Where there is a list, that bit is the most that any entry of it allows (acl(5)).
    with contextlib.suppress(OSError):
        os.getxattr(path, _ACL)
        return True
    return found.st_gid != 0
