# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Loop devices that show the same image, and may not.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..errors import Refused
from .compare import LoopDevice, Part


def overlapping(devices: t.Iterable[LoopDevice], part: Part) -> list[LoopDevice]:
    """Those of the devices that show any of the part."""
    return [each for each in devices if _overlap(each.part, part)]


def _overlap(one: Part, other: Part) -> bool:
    first, second = sorted((one, other))
    return not first.size or second.offset < first.offset + first.size


def check(there: t.Sequence[LoopDevice], part: Part, image: str, *, may_be_read: bool) -> None:
    """Raises Refused where the part of the image cannot be shown beside the devices that overlap it.

    With ``may_be_read`` one that can only be read does no harm.
    """
    for each in there:
        if each.part != part:
            raise Refused(
                f"{each.path} shows {_in_words(each.part)} of {image} already, which overlaps "
                f"{_in_words(part)}: two file systems would write to the same blocks",
                f"Unmount what is on {each.path} (losetup --detach {each.path} where it stays then), "
                "or give the same offset and sizelimit.",
            )
    if there and not may_be_read and all(each.read_only for each in there):
        raise Refused(
            f"{there[0].path} shows {image} already, and can only be read",
            "Add ro to opts. Or unmount it wherever it is mounted, detach it "
            f"(losetup --detach {there[0].path}) where it stays then, and run this again.",
        )


def _in_words(part: Part) -> str:
    if not part.size:
        return f"all from byte {part.offset} on" if part.offset else "all"
    return f"{part.size} bytes from byte {part.offset} on"
