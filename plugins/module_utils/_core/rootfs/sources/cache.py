# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Archives that are kept so that a root can be made again without its source.

A named namespace that is made anew after a reboot unpacks its root again, when neither a mirror
nor a registry may be there. See kept.py for how they are made.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os

DIRECTORY = "/var/cache/linux-namespaces"


def path_of(digest: str) -> str:
    """The path of the archive that is kept of what has this digest."""
    return f"{DIRECTORY}/{digest.partition(':')[2]}.tar"


def is_kept(path: str) -> bool:
    """Whether it is an archive that was made to be kept, and not somebody's own."""
    return os.path.dirname(path) == DIRECTORY


def forget(path: str) -> None:
    """Remove a kept archive, and the directory with the last one. Other paths are left alone."""
    if not is_kept(path):
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with contextlib.suppress(OSError):
        os.rmdir(DIRECTORY)
