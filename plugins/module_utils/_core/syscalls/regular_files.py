# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Opening a file that somebody else may have put there: looked at first, opened after.

To open a device is to use it: a watchdog is armed, a tape rewinds, a terminal may hang, and a fifo
lets its other end know. With O_PATH none of that happens (open(2)): what a name leads to is opened
so, looked at, and then opened by that very descriptor, so that nothing can be swapped in between.
What the kernel answers in /proc and its like is no regular file either, though it says so: to read
/proc/kmsg is to wait for ever, and to take what others are to read.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os
import stat

from . import files


class NotRegular(OSError):
    """What is there is no regular file. It was not opened."""


def open_regular(
    path: str,
    flags: int = os.O_RDONLY,
    *,
    dir_fd: int | None = None,
    resolve: int = 0,
    host_proc: int | None = None,
) -> int:
    """Open the regular file, close-on-exec; whatever else is there is not opened.

    ``flags`` are those of open(2), without O_CREAT; with O_NOFOLLOW a link is no regular file.
    ``resolve`` is as in openat2(2). ``host_proc`` is as in reopen(). Raises NotRegular, OSError.
    """
    looking = os.O_PATH | os.O_CLOEXEC | flags & os.O_NOFOLLOW
    if resolve:
        found = files.openat2(
            files.AT_FDCWD if dir_fd is None else dir_fd, path, flags=looking, resolve=resolve
        )
    else:
        found = os.open(path, looking, dir_fd=dir_fd)
    try:
        return reopen(found, flags, path=path, host_proc=host_proc)
    finally:
        os.close(found)


def reopen(found: int, flags: int, *, path: str, host_proc: int | None = None) -> int:
    """Open once more what was opened with O_PATH, where it is a regular file; close-on-exec.

    ``path`` is for messages. Only /proc opens a file by its descriptor. ``host_proc`` is the
    host's, opened before: whoever has joined a namespace has to give it, since the /proc of a
    root may be a lie. Raises NotRegular, OSError.
    """
    if not stat.S_ISREG(os.fstat(found).st_mode) or files.is_of_kernel(found):
        raise NotRegular(errno.EINVAL, "not a regular file", path)
    name = f"self/fd/{found}" if host_proc is not None else f"/proc/self/fd/{found}"
    try:
        return os.open(name, flags & ~os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=host_proc)
    except OSError as error:
        error.filename = path
        raise
