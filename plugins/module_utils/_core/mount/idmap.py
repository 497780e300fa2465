# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The user namespace whose id maps an idmapped mount gets: X-mount.idmap of mount(8).

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from .. import kinds
from ..errors import KernelError, Refused
from ..namespace import id_map
from ..namespace.hold import hold
from ..syscalls import namespaces, regular_files
from . import host_view, id_ranges


@contextlib.contextmanager
def opened(text: str) -> t.Iterator[int]:
    """A user namespace with these maps: the one at a path, or one made for it. Raises Refused."""
    fd = _open(text) if text.startswith("/") else _make(text)
    try:
        yield fd
    finally:
        os.close(fd)


def _open(path: str) -> int:
    try:
        with host_view.opened(path) as found:
            # A namespace file is one, as pins are and those of /proc.
            fd = regular_files.reopen(found, os.O_RDONLY, path=path)
    except OSError as error:
        raise Refused(
            f"the user namespace {path} of X-mount.idmap cannot be opened: {error.strerror}",
            "Name a file as /proc/PID/ns/user, or write the map itself.",
        ) from error
    try:
        is_user = namespaces.kind_flag(fd) == kinds.KINDS["user"].flag
    except KernelError:
        is_user = False
    if not is_user:
        os.close(fd)
        raise Refused(
            f"{path} of X-mount.idmap is no user namespace",
            "Name a file as /proc/PID/ns/user, or write the map itself.",
        )
    return fd


def _make(text: str) -> int:
    uids, gids = id_ranges.ranges_of(text)
    maps = id_map.parse(
        {
            which: [dict(zip(("inside", "outside", "count"), each)) for each in ranges]
            for which, ranges in (("uid", uids), ("gid", gids))
        },
        id_map.Caller.of_this_process(),
    )
    with hold(lambda: None, creates=["user"], prepare=maps.write) as child:
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
