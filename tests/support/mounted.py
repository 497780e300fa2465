# SPDX-License-Identifier: GPL-3.0-or-later
"""What several tests of ns_mount look at: the one mount on a path of a target."""

from __future__ import annotations

import pathlib

from unshared_process import Unshared


def lines_on(target: Unshared, path: pathlib.Path) -> list[str]:
    return target.mounted_on(str(path))


def words_on(target: Unshared, path: pathlib.Path) -> set[str]:
    """The flags and options of the one mount on ``path``.

    The lower directories of an overlay are one word, as mount(8) gives them. The kernel shows each
    by itself where it was given as an open directory (Linux 6.13).
    """
    (line,) = lines_on(target, path)
    fields, _dash, rest = line.partition(" - ")
    words = rest.split(" ")[2].split(",")
    lower = [word.partition("=")[2] for word in words if word.startswith("lowerdir+=")]
    found = {word for word in words if not word.startswith("lowerdir+=")}
    found |= {f"lowerdir={':'.join(lower)}"} if lower else set()
    return set(fields.split(" ")[5].split(",")) | found


def peers_on(target: Unshared, path: pathlib.Path) -> list[str]:
    (line,) = lines_on(target, path)
    return [field.partition(":")[0] for field in line.partition(" - ")[0].split(" ")[6:]]
