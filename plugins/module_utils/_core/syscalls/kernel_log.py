# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the kernel writes to its own log while something is done (/dev/kmsg, dmesg(1)).

Many file systems tell only there why they refuse a mount. To read it takes CAP_SYSLOG where
kernel.dmesg_restrict is set, and a container may have no such device: then there is nothing to tell.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os
import stat
import typing as t

_PATH = "/dev/kmsg"
_DEVICE = os.makedev(1, 11)  # Documentation/admin-guide/devices.txt of the kernel
_LONGEST = 8192  # of a record: a shorter buffer gets EINVAL
_MOST = 1000  # records, of a kernel that writes as fast as we read


class Line(t.NamedTuple):
    """One line of the log."""

    # 0 to 7, as in syslog(3): the lower the more urgent.
    level: int
    text: str


def parse(record: str) -> Line | None:
    """A record of /dev/kmsg: ``PRIORITY,NUMBER,TIME,FLAGS;TEXT``, then lines of properties. Pure.

    None for one that is not the kernel's own: whoever is root may write there as well.
    """
    prefix, semicolon, rest = record.partition(";")
    priority = prefix.partition(",")[0]
    if not semicolon or not priority.isdecimal() or int(priority) >> 3:
        return None
    return Line(int(priority) & 7, rest.partition("\n")[0])


class KernelLog:
    """The log from now on, or from the last call of skip(). For a with statement.

    It is opened on the host, and may be read after a target was entered.
    """

    def __init__(self) -> None:
        self._fd = _open()

    def __enter__(self) -> KernelLog:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def skip(self) -> None:
        """Leave out what was written until now."""
        if self._fd >= 0:
            os.lseek(self._fd, 0, os.SEEK_END)

    def lines(self) -> list[Line]:
        """What was written since; nothing where it cannot be read."""
        found: list[Line] = []
        while self._fd >= 0 and len(found) < _MOST:
            try:
                record = os.read(self._fd, _LONGEST)
            except OSError as error:
                if error.errno == errno.EPIPE:  # what comes next was overwritten: go on after it
                    continue
                break
            line = parse(record.decode("utf-8", "replace"))
            if line is not None:
                found.append(line)
        return found


def _open() -> int:
    """The log from now on, open; -1 where it may not be read, or where something else is there."""
    try:
        found = os.open(_PATH, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        status = os.fstat(found)
        if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _DEVICE:
            return -1
        fd = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1
    finally:
        os.close(found)
    os.lseek(fd, 0, os.SEEK_END)
    return fd
