# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The id maps of X-mount.idmap, and when two of them say the same.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..errors import Refused

# Ids: the first in the file system, the first as they show, and how many.
IdRange = tuple[int, int, int]


def ranges_of(text: str) -> tuple[tuple[IdRange, ...], tuple[IdRange, ...]]:
    """The uids and the gids that X-mount.idmap maps: ``u:0:100000:65536 g:0:100000:65536``.

    Each word is a range: u for uids, g for gids, b or nothing for both (mount(8)).
    Raises Refused.
    """
    uids: list[IdRange] = []
    gids: list[IdRange] = []
    for word in text.split():
        which, _colon, rest = (
            word.partition(":") if word[:2] in ("u:", "g:", "b:") else ("b", "", word)
        )
        numbers = rest.split(":")
        if len(numbers) != 3 or not all(each.isascii() and each.isdecimal() for each in numbers):
            uids = gids = []
            break
        inside, outside, count = map(int, numbers)
        one = (inside, outside, count)
        uids += [one] if which in "ub" else []
        gids += [one] if which in "gb" else []
    if not uids and not gids:
        raise Refused(
            f"X-mount.idmap={text} is no id map",
            "Write u:INSIDE:OUTSIDE:COUNT g:INSIDE:OUTSIDE:COUNT, or the path of a user namespace.",
        )
    if not uids or not gids:
        has, wants = ("users", "groups") if uids else ("groups", "users")
        raise Refused(
            f"X-mount.idmap={text} maps {has} and no {wants}: the kernel takes no such map",
            f"Map {wants} as well, as {wants[0]}:0:0:4294967295 for those that stay as they are.",
        )
    return tuple(uids), tuple(gids)


def joined(ranges: t.Iterable[IdRange]) -> list[IdRange]:
    """The same map in as few ranges as possible, in order."""
    found: list[IdRange] = []
    for inside, outside, count in sorted(ranges):
        if found:
            first, shown, number = found[-1]
            if (first + number, shown + number) == (inside, outside):
                found[-1] = (first, shown, number + count)
                continue
        found.append((inside, outside, count))
    return found
