# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Changing what was made to what is wanted: owners shifted for a user namespace, no device nodes.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import typing as t

from ..errors import Refused

if t.TYPE_CHECKING:
    from ..namespace.id_map import IdMaps, Range

_CAPABILITY = "security.capability"
# struct vfs_cap_data of include/uapi/linux/capability.h: version 3 ends with the root that it
# is meant for, version 2 is meant for that of the host.
_VERSION_2, _VERSION_3, _VERSION_MASK = 0x02000000, 0x03000000, 0xFF000000


class Owners:
    """Owners as a user namespace has them outside."""

    def __init__(self, maps: IdMaps | None) -> None:
        """``maps`` are those of the user namespace; None changes nothing."""
        self._maps = maps

    def __bool__(self) -> bool:
        return self._maps is not None

    def of(self, uid: int, gid: int, *, name: str) -> tuple[int, int]:
        """The owner and the group outside. Raises Refused where the maps do not have one."""
        if self._maps is None:
            return uid, gid
        return (
            _outside(uid, self._maps.uid, f"{name} is owned by uid {uid}"),
            _outside(gid, self._maps.gid, f"{name} is owned by gid {gid}"),
        )

    def capability(self, value: bytes) -> bytes:
        """The attribute security.capability for the root of the user namespace."""
        if self._maps is None or len(value) < 20:
            return value
        (magic,) = struct.unpack_from("<I", value)
        if magic & _VERSION_MASK != _VERSION_2:
            return value
        root = _outside(0, self._maps.uid, "a program has capabilities of uid 0")
        changed = struct.pack("<I", magic & ~_VERSION_MASK | _VERSION_3)
        return changed + value[4:20] + struct.pack("<I", root)


def _outside(number: int, ranges: t.Iterable[Range], what: str) -> int:
    for each in ranges:
        if each.inside <= number < each.inside + each.count:
            return each.outside + number - each.inside
    raise Refused(f"{what}, which id_map does not have", "Give id_map more ids.")


def everything(owners: Owners, *, device_nodes: str) -> None:
    """Change all that is below the root of this process, and that itself. Raises Refused, OSError.

    Each file once, also where it has several names.
    """
    seen: set[int] = set()
    # Not with os.walk(), which calls itself for each directory in another, and leaves out what it
    # cannot read.
    waiting = [b"/"]
    while waiting:
        above = waiting.pop()
        for name in os.listdir(above):
            path = os.path.join(above, name)
            status = os.lstat(path)
            if device_nodes == "skip" and stat.S_IFMT(status.st_mode) in _DEVICES:
                os.unlink(path)
                continue
            if stat.S_ISDIR(status.st_mode):
                waiting.append(path)
            elif status.st_nlink > 1:
                if status.st_ino in seen:
                    continue
                seen.add(status.st_ino)
            _shift(path, status, owners)
    _shift(b"/", os.lstat(b"/"), owners)


_DEVICES = (stat.S_IFCHR, stat.S_IFBLK)


def _shift(path: bytes, status: os.stat_result, owners: Owners) -> None:
    if not owners:
        return
    uid, gid = owners.of(status.st_uid, status.st_gid, name=os.fsdecode(path))
    capability = None
    with contextlib.suppress(OSError):
        capability = os.getxattr(path, _CAPABILITY, follow_symlinks=False)
    os.chown(path, uid, gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(path, stat.S_IMODE(status.st_mode))  # chown(2) takes setuid away
    if capability is not None:
        os.setxattr(path, _CAPABILITY, owners.capability(capability), follow_symlinks=False)
