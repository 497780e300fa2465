# SPDX-License-Identifier: GPL-3.0-or-later
"""What several tests of ns_mount look at: the one mount on a path of a target."""

from __future__ import annotations

import pathlib

from unshared_process import Unshared


def lines_on(target: Unshared, path: pathlib.Path) -> list[str]:
    return target.mounted_on(str(path))


def words_on(target: Unshared, path: pathlib.Path) -> set[str]:
    """The flags and options of the one mount on ``path``."""
    (line,) = lines_on(target, path)
    fields, _dash, rest = line.partition(" - ")
    return set(fields.split(" ")[5].split(",")) | set(rest.split(" ")[2].split(","))


def peers_on(target: Unshared, path: pathlib.Path) -> list[str]:
    (line,) = lines_on(target, path)
    return [field.partition(":")[0] for field in line.partition(" - ")[0].split(" ")[6:]]
