# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Attributes that mean something to us or to the kernel, and come with what others have made.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os

from . import marker


def remove() -> None:
    """Remove them, and markers that are files, from all below the root of this process.

    cp(1) and umoci(1) keep what they find. A directory in a root that has the marker of another
    one is to pass for that one as little as the root itself. Raises OSError.
    """
    _clean(b"/")
    waiting = [b"/"]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.name == os.fsencode(marker.FILE):
                    os.unlink(entry.path)
                    continue
                _clean(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def _clean(path: bytes) -> None:
    try:
        there = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return
    for attribute in there:
        if attribute.startswith(marker.FOREIGN):
            os.removexattr(path, attribute, follow_symlinks=False)
