# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The type of the file system that is on a device or in an image (fstype: auto).

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

from ..errors import Refused
from . import blkid
from .blkid import Content

# What the kernel reads with another driver as well.
READ_BY = {"ext2": ("ext3", "ext4"), "ext3": ("ext4",)}
# What libblkid finds and who makes a device with a file system of it.
_OPENED_BY = {
    "crypto_LUKS": "cryptsetup open",
    "LVM2_member": "vgchange --activate y",
    "linux_raid_member": "mdadm --assemble",
    "BitLocker": "cryptsetup open --type bitlk",
}
_NAME_IT = "Give fstype."


class NothingThere(Refused):
    """Nothing that could be mounted was recognised."""


def type_of(fd: int, src: str, *, allowed: str, offset: int = 0, size: int = 0) -> str:
    """The type of the file system on the open device or in the open image ``src``.

    ``allowed`` is a list of types as fstype takes it, or empty. Raises Refused; NothingThere.
    """
    found = blkid.content_of(fd, offset=offset, size=size)
    other = no_filesystem(found, src)
    if other is not None:
        raise Refused(other[0], f"{_NAME_IT} {other[1]}" if found.is_ambiguous else other[1])
    if not found.type:
        raise NothingThere(
            f"no file system was recognised on {src}", f"{_NAME_IT} Or make one first."
        )
    fstype = _as_allowed(found.type, allowed)
    if not fstype:
        raise Refused(f"{src} holds {found.type}, which {allowed} does not allow", _NAME_IT)
    return fstype


def no_filesystem(found: Content, src: str) -> tuple[str, str] | None:
    """What ``src`` holds in place of a file system, and what to do with it: (reason, hint).

    None where it is one, or where nothing is there.
    """
    if found.is_ambiguous:
        return (
            f"{src} has the signatures of several file systems, and which one holds cannot be told",
            f"`wipefs {src}` shows them; wipefs(8) removes those that are left over.",
        )
    if found.usage == "filesystem":
        return None
    if found.type == "swap":
        return f"{src} is swap space, and no file system", "It is for swapon(8)."
    if found.type == "jbd":
        return f"{src} is the journal of another file system", "Name the device of that one."
    if found.type:
        opener = _OPENED_BY.get(found.type)
        hint = (
            f"Mount what `{opener}` makes of it." if opener else "Name a device with a file system."
        )
        return f"{src} holds {found.type}, and no file system", hint
    if found.partitions:
        return (
            f"{src} holds a table of partitions ({found.partitions}), and no file system",
            "Name a partition; for one in an image, add its offset= and sizelimit= to opts.",
        )
    return None


def _as_allowed(found: str, allowed: str) -> str:
    """The type to mount ``found`` with, where that is allowed; else empty."""
    if not allowed:
        return found
    names = allowed.removeprefix("no").split(",")
    if allowed.startswith("no"):
        return "" if found in names else found
    drivers = (found, *READ_BY.get(found, ()))
    return next((name for name in names if name in drivers), "")
