# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How a directory of the host is known as a root file system that we have unpacked.

rootfs/marker.py says what else is kept there, and why in these places.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import stat

# Attributes of the directory start with one of these: by root of the host, by root of a user
# namespace.
TRUSTED = "trusted.linux_namespaces."
PREFIXES = (TRUSTED, "user.linux_namespaces.")
# In place of the attributes. No archive may hold it, nor the name that it is written under.
FILE = ".linux-namespaces.digest"


def is_on(directory: int, *, name: str = "") -> bool:
    """Whether the directory, which may be open with O_PATH, has the mark of such a root.

    ``name`` is a name of it, where that in /proc is not to be relied on.
    """
    for prefix in PREFIXES:
        try:
            os.getxattr(name or f"/proc/self/fd/{directory}", f"{prefix}digest")
            return True
        except OSError:
            pass
    try:
        status = os.stat(FILE, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode)
