# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The device that a tag names: UUID=..., LABEL=..., PARTUUID=..., PARTLABEL=..., ID=...

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from ..definition import tag
from ..errors import Refused
from . import blkid, block_names


def device_of(src: str) -> str:
    """The path of the device that the tag ``src`` names; empty where there is none.

    By the link that udev has made, where that leads to the right one, and else by looking at all
    devices. Raises Refused where several have it.
    """
    wanted = tag.of(src)
    linked = os.path.realpath(wanted.link)
    is_there = block_names.at(linked) != ""
    if wanted.name == "ID":
        # udev has given it, and nothing on the device tells.
        return linked if is_there else ""
    if is_there and blkid.devices_with(*wanted, among=[linked]):
        return linked
    found = blkid.devices_with(*wanted)
    if len(found) > 1:
        names = {path: block_names.at(path) for path in found}
        own = without_parts(names.values())
        found = [path for path in found if names[path] in own]
    if len(found) > 1 and not _is_one_btrfs(found):
        raise Refused(
            f"{src} is on several devices: {', '.join(found)}",
            "Name one of them in src, or give the others another label or UUID.",
        )
    return found[0] if found else ""


def without_parts(names: t.Collection[str], block: str = block_names.BLOCK) -> set[str]:
    """Those of the devices that no other one of them is made of: not the paths of a multipath device.

    ``block`` is the directory in which sysfs has all by their names.
    """
    parts = {name: _parts_of(name, block) for name in names}
    return {
        name
        for name in names
        if not any(
            {name, block_names.disk_of(name, block)} & parts[other]
            for other in names
            if other != name
        )
    }


def _parts_of(name: str, block: str) -> set[str]:
    """The names of the devices that a device is made of, and of what those are made of."""
    found: set[str] = set()
    left = {name}
    while left:
        disk = block_names.disk_of(left.pop(), block)
        try:
            new = set(os.listdir(f"{block}/{disk}/slaves")) - found
        except OSError:
            new = set()
        found |= new
        left |= new
    return found


def _is_one_btrfs(paths: t.Sequence[str]) -> bool:
    """Whether they are all devices of one btrfs, and each another one of it: no copies."""
    found = []
    for path in paths:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            found.append(blkid.content_of(fd))
        finally:
            os.close(fd)
    whole = {(each.type, each.uuid) for each in found}
    return (
        len(whole) == 1
        and found[0].type == "btrfs"
        and len({each.uuid_of_part for each in found}) == len(found)
    )
