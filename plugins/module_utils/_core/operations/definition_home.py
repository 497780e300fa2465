# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The directory on the host of a named namespace with a root of its own: see definition/root.py.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import os
import stat

from ..actions import Action
from ..definition.root import GENERATIONS, OwnRoot, home_of
from ..errors import Refused
from ..storage import atomic, removal

# What is unpacked has setuid programs and device nodes, and what is written to it may.
_MODE = 0o700
# What is in it beside files: see definition/root.py.
_PARTS = {"rootfs", "upper", "work", "dev", "root", GENERATIONS}
# Says whose it is, also while what makes it what it is is still to come.
_MARK = ".linux-namespaces.home"
_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
)


def making(root: OwnRoot) -> list[Action]:
    """What is left to do until it is there, with what is in it beside the root. Raises Refused."""
    home = root.home
    found = closing(home)
    missing = [path for path in root.directories if not os.path.isdir(path)]
    if missing:
        make = functools.partial(_make, missing)
        found.append(Action(f"make {', '.join(missing)}", make))
    if root.usual and not _has_links(f"{home}/dev"):
        found.append(Action(f"make {home}/dev", functools.partial(_make_links, f"{home}/dev")))
    return found


def check(home: str) -> None:
    """Raises Refused for a directory of somebody else: it would be closed, and go with the namespace."""
    try:
        names = {*os.listdir(home)}
    except (FileNotFoundError, NotADirectoryError):
        return
    # Those of the roles of earlier versions have no mark.
    is_of_a_root = names <= _PARTS or "rootfs" in names or ("root" in names and _is_closed(home))
    if _MARK not in names and not is_of_a_root and not home.startswith(home_of("")):
        raise Refused(
            f"{home} is there, and is no home of a root: it holds {min(names - _PARTS)}",
            "Name a directory for the root alone, as one that is not there yet.",
        )


def closing(home: str) -> list[Action]:
    """What is left to do until it is there, and only root can enter it. Raises Refused."""
    check(home)
    if _is_closed(home):
        return []
    name = f"close {home}" if os.path.isdir(home) else making_of(home)
    return [Action(name, functools.partial(_close, home))]


def making_of(home: str) -> str:
    """The action that makes it, where it was not there."""
    return f"make {home}"


def removing(home: str) -> list[Action]:
    """What is left to do until it is gone."""
    if not os.path.lexists(home):
        return []
    return [Action(f"remove {home}", functools.partial(removal.remove_path, home))]


def _is_closed(home: str) -> bool:
    try:
        found = os.lstat(home)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISDIR(found.st_mode):
        raise Refused(f"{home} is there and is no directory", "Name another home, or remove it.")
    return found.st_uid == found.st_gid == 0 and stat.S_IMODE(found.st_mode) == _MODE


def _close(home: str) -> None:
    atomic.make_directory(home, mode=_MODE)
    os.chown(home, 0, 0)
    atomic.close(home, mode=_MODE)
    atomic.write(f"{home}/{_MARK}", "", mode=0o600)


def _make(paths: list[str]) -> None:
    for path in paths:
        atomic.make_directory(path, mode=0o755)


def _has_links(directory: str) -> bool:
    return all(
        os.path.islink(f"{directory}/{name}") and os.readlink(f"{directory}/{name}") == target
        for name, target in _LINKS
    )


def _make_links(directory: str) -> None:
    atomic.make_directory(directory, mode=0o755)
    for name, target in _LINKS:
        atomic.link(target, f"{directory}/{name}")
