# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Becoming the root of a user namespace: whatever joins one does, so this is all that it loads.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os


def become_root() -> None:
    """In a user namespace that is new and has its maps, or was joined: be its root, if it has one.

    The kernel lets the ids of the caller be, which the maps may not even hold.
    """
    try:
        os.setgroups([])
    except OSError:  # without the right to set them (user_namespaces(7), "deny")
        pass
    try:
        os.setresgid(0, 0, 0)
    except OSError:  # no gid 0 inside
        pass
    try:
        os.setresuid(0, 0, 0)
    except OSError:  # no uid 0 inside
        pass
