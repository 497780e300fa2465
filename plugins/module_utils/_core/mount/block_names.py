# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The kernel's names of block devices, as sysfs has them: loop0, sda1.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import stat

# All of them, by their names.
BLOCK = "/sys/class/block"
_BY_NUMBER = "/sys/dev/block"


def number_of(rdev: int) -> str:
    """The number of a device, "major:minor" as mount tables have it; ``rdev`` is as in st_rdev."""
    return f"{os.major(rdev)}:{os.minor(rdev)}"


def of_number(number: str) -> str:
    """The name of the device with this number; empty where there is none."""
    with contextlib.suppress(OSError):
        return os.path.basename(os.readlink(f"{_BY_NUMBER}/{number}"))
    return ""


def at(path: str) -> str:
    """The name of the device that a path of the caller leads to; empty where that is none."""
    with contextlib.suppress(OSError):
        found = os.stat(path)
        return of_number(number_of(found.st_rdev)) if stat.S_ISBLK(found.st_mode) else ""
    return ""


def disk_of(name: str, block: str = BLOCK) -> str:
    """The disk that a partition is on; of what is no partition, itself.

    ``block`` is the directory in which sysfs has all by their names.
    """
    place = os.path.realpath(f"{block}/{name}")
    is_partition = os.path.exists(f"{place}/partition")
    return os.path.basename(os.path.dirname(place)) if is_partition else name
