# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Archives that are kept so that a root can be made again without its source.

    /var/cache/linux-namespaces/DIGEST.tar       of what has this digest
    /var/cache/linux-namespaces/.DIGEST.tar.new  where a run makes it (workspace.py)

Its size and its own digest are noted in an attribute of it, before it gets its name: what a power
cut or a bad disk has left of it is told from it.

A named namespace that is made anew after a reboot unpacks its root again, when neither a mirror
nor a registry may be there. See kept.py for how they are made.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import re

from ...errors import Refused
from ...storage import atomic, root_mark
from .. import digests

DIRECTORY = "/var/cache/linux-namespaces"
_NOTES = tuple(f"{prefix}archive" for prefix in root_mark.PREFIXES)
_WORK = re.compile(r"\.[0-9a-f]{64}\.tar\.new\Z")


def path_of(digest: str) -> str:
    """The path of the archive that is kept of what has this digest."""
    return f"{DIRECTORY}/{digest.partition(':')[2]}.tar"


def is_kept(path: str) -> bool:
    """Whether it is an archive that was made to be kept, and not somebody's own."""
    return os.path.dirname(path) == DIRECTORY


def put(made: str, path: str) -> None:
    """Keep the finished archive ``made``. Raises OSError."""
    with open(made, "rb") as archive:
        size, digest = os.fstat(archive.fileno()).st_size, digests.of_file(archive.fileno())
    for attribute in _NOTES:
        with contextlib.suppress(OSError):  # not of this kind, or none on this file system
            os.setxattr(made, attribute, f"{size} {digest}".encode())
            break
    atomic.put(made, path)


def _noted(path: str | int) -> tuple[int, str] | None:
    """The size and the digest of the archive; None where they were not noted."""
    for attribute in _NOTES:
        with contextlib.suppress(OSError, ValueError):
            size, digest = os.getxattr(path, attribute).decode().split(" ")
            return int(size), digest
    return None


def is_whole(path: str) -> bool:
    """Whether the archive is there, and as long as it is to be: without reading it."""
    try:
        size = os.stat(path).st_size
    except OSError:
        return False
    noted = _noted(path)
    return size == noted[0] if noted else size > 0


def check(fd: int, path: str) -> None:
    """Raises Refused unless the open archive is the very one that was kept. It is read for that.

    One of which nothing is noted, as of version 0.1.0, is taken for it. Raises OSError.
    """
    noted = _noted(fd)
    if noted is None:
        return
    size, digest = noted
    found = os.fstat(fd).st_size
    if found != size:
        raise lost(path, f"damaged: it has {found} of {size} bytes")
    if digests.of_file(fd) != digest:
        raise lost(path, "damaged: it does not have its digest any more")


def is_sound(path: str) -> bool:
    """Whether the very archive is there that was kept, and noted. It is read for that. Raises OSError."""
    if _noted(path) is None:
        return False
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        check(fd, path)
        return True
    except Refused:
        return False
    finally:
        os.close(fd)


def lost(path: str, what: str) -> Refused:
    """That the archive cannot be used."""
    return Refused(
        f"the archive {path}, which was kept to make the root again, is {what}",
        "Run the play that made the root, where its image or its mirror can be reached: it makes the"
        " archive anew.",
    )


def left() -> list[str]:
    """The names of the directories in which archives are made, or were by runs that were killed."""
    try:
        return [name for name in os.listdir(DIRECTORY) if _WORK.match(name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def forget(path: str) -> None:
    """Remove a kept archive. Other paths are left alone. Raises OSError."""
    if is_kept(path):
        atomic.remove(path)
