# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Block devices that are named as the source of a mount, and what mount tables call them.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ..process import proc
from . import block_names, host_view
from .compare import BlockDevice

_BTRFS = "/sys/fs/btrfs"


def at(path: str) -> BlockDevice | None:
    """The block device that a path of the host leads to; None where that is none."""
    try:
        with host_view.opened(path) as fd:
            found = os.fstat(fd)
    except OSError:  # which the mount says
        return None
    if not stat.S_ISBLK(found.st_mode):
        return None
    number = block_names.number_of(found.st_rdev)
    own = block_names.of_number(number)
    if not own:
        return BlockDevice(number, path, frozenset({path}))
    # btrfs calls itself after one of its devices.
    names = {name for each in {own, *_together_with(own)} for name in _paths_of(each)}
    # Another file of the same device is another one: it may lie on a mount with nodev.
    clean = os.path.realpath(path)
    *_own, last = _paths_of(own)
    if clean in _own and os.path.exists(last):
        clean = last
    return BlockDevice(number, clean, frozenset({path, clean, *names}))


def _together_with(name: str) -> t.Iterator[str]:
    with contextlib.suppress(OSError):
        for filesystem in os.listdir(_BTRFS):
            with contextlib.suppress(OSError):
                members = os.listdir(f"{_BTRFS}/{filesystem}/devices")
                yield from members if name in members else ()


def _paths_of(name: str) -> t.Iterator[str]:
    """What mount(8) may call the device, as it does last where there are several."""
    # A slash in the name of a device is an exclamation mark there.
    yield f"/dev/{name.replace('!', '/')}"
    mapped = proc.text_of(f"{block_names.BLOCK}/{name}/dm/name").strip()
    if mapped:
        yield f"/dev/mapper/{mapped}"
