# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The type of the file system that is on a device or in an image (fstype: auto).

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

from ..errors import Refused
from . import blkid

# What the kernel reads with another driver as well.
_READ_BY = {"ext2": ("ext3", "ext4"), "ext3": ("ext4",)}
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
    if found.is_ambiguous:
        raise Refused(
            f"{src} has the signatures of several file systems, and which one holds cannot be told",
            f"{_NAME_IT} `wipefs {src}` shows them; wipefs(8) removes those that are left over.",
        )
    if found.usage == "filesystem":
        fstype = _as_allowed(found.type, allowed)
        if not fstype:
            raise Refused(f"{src} holds {found.type}, which {allowed} does not allow", _NAME_IT)
        return fstype
    if found.type:
        raise Refused(*_no_filesystem(src, found.type))
    if found.partitions:
        raise Refused(
            f"{src} holds a table of partitions ({found.partitions}), and no file system",
            "Name a partition; for one in an image, add its offset= and sizelimit= to opts.",
        )
    raise NothingThere(f"no file system was recognised on {src}", f"{_NAME_IT} Or make one first.")


def _no_filesystem(src: str, found: str) -> tuple[str, str]:
    if found == "swap":
        return f"{src} is swap space, and no file system", "It is for swapon(8)."
    opener = _OPENED_BY.get(found)
    hint = f"Mount what `{opener}` makes of it." if opener else "Name a device with a file system."
    return f"{src} holds {found}, and no file system", hint


def _as_allowed(found: str, allowed: str) -> str:
    """The type to mount ``found`` with, where that is allowed; else empty."""
    if not allowed:
        return found
    names = allowed.removeprefix("no").split(",")
    if allowed.startswith("no"):
        return "" if found in names else found
    drivers = (found, *_READ_BY.get(found, ()))
    return next((name for name in names if name in drivers), "")
