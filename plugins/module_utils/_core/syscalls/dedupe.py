# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""FIDEDUPERANGE (ioctl_fideduperange(2)): two files have one set of blocks for what both hold.

The kernel compares what they hold, and locks both while it does: no writer can come in between. What
either of them shows, its owner, its mode and its times stay as they were.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import fcntl
import struct

from ..errors import KernelError

_FIDEDUPERANGE = 0xC0189436
# struct file_dedupe_range with one struct file_dedupe_range_info: offset, length, count; descriptor,
# offset, bytes deduped, status.
_RANGE = struct.Struct("=QQH6xqQQi4x")
_SAME = 0
# A btrfs takes no more at a time.
_STEP = 16 << 20


def dedupe(source: int, other: int, *, size: int) -> int:
    """Have ``other`` use the blocks of ``source`` up to where they differ; how many bytes it has then.

    Both are open for reading, and ``size`` bytes long. Who may not write to ``other`` has to be root
    of the host. Raises KernelError: EOPNOTSUPP where the file system cannot do it, EXDEV where they
    lie on two.
    """
    done = 0
    while done < size:
        length = min(size - done, _STEP)
        buffer = bytearray(_RANGE.pack(done, length, 1, other, done, 0, 0))
        try:
            fcntl.ioctl(source, _FIDEDUPERANGE, buffer)
        except OSError as error:
            raise KernelError(
                "ioctl FIDEDUPERANGE", error.errno or errno.EIO, {"fd": source}
            ) from error
        shared, status = _RANGE.unpack(buffer)[5:]
        if status < 0:
            raise KernelError("ioctl FIDEDUPERANGE", -status, {"fd": other})
        if status != _SAME or shared <= 0:
            break
        done += shared
    return min(done, size)
