# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is on the devices of the host that an explanation is about: blkid(8), and who has mounted them.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import stat

from ...errors import Refused
from .. import blkid, host_view
from ..blkid import Content


def content_at(path: str, *, offset: int = 0, size: int = 0) -> Content | None:
    """What the device or image at a path of the host holds; nothing else is opened.

    ``offset`` and ``size`` are as in blkid.content_of(). None where that cannot be found out.
    """
    try:
        with host_view.opened(path) as found:
            mode = os.fstat(found).st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
                return None
            return blkid.content_of(found, offset=offset, size=size)
    except (OSError, Refused):
        return None
