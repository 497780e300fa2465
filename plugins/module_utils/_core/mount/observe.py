# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Looking at the mounts inside a target, in the process that has joined it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os
import stat
import typing as t

from .. import kinds
from ..errors import KernelError
from ..syscalls import files, statmount
from . import options, resolve
from . import table as mount_table
from .compare import Identity, Observed, Source
from .view import TargetView
from .wanted import WantedMount

# Each mount of these is a file system of its own: one that the host has too was copied from it with
# its mount namespace, and belongs to the host.
_INSTANCES = ("tmpfs", "ramfs", "proc", "devpts", "overlay")


class Table:
    """The mount table of the target, indexed."""

    def __init__(self, mounts: t.Sequence[mount_table.Mount]) -> None:
        self.mounts = mounts
        self.by_id = {mount.id: mount for mount in mounts}
        self._on: dict[int, list[mount_table.Mount]] = {}
        for mount in mounts:
            if mount.parent != mount.id:
                self._on.setdefault(mount.parent, []).append(mount)

    def stacked_under(self, mount: mount_table.Mount) -> list[mount_table.Mount]:
        """The mounts at the same path beneath ``mount``, from the top down."""
        found = []
        lower = self.by_id.get(mount.parent)
        while lower is not None and lower.path == mount.path and lower.path != "/":
            found.append(lower)
            lower = self.by_id.get(lower.parent)
        return found

    def descendants(self, mount: mount_table.Mount) -> list[mount_table.Mount]:
        """What is mounted below ``mount``, a mount after the one it stands on.

        The table lists them by age: a mount can be older than the one that it was moved onto.
        """
        found = [mount]
        for lower in found:
            found += self._on.get(lower.id, [])
        return found[1:]


def observe(
    inside: TargetView,
    wanted: WantedMount,
    table: Table,
    *,
    host_devices: t.Container[str],
    own_kinds: t.Container[str] = (),
) -> Observed:
    """What is at the place of ``wanted`` now.

    ``host_devices`` are the file systems of the host, ``own_kinds`` the kinds of namespace that
    the target has of its own. Raises KernelError, Refused.
    """
    try:
        with inside.opened(wanted.path) as fd:
            status = os.fstat(fd)
            is_directory = stat.S_ISDIR(status.st_mode)
            place = files.place_of(fd)
            name = inside.path_of(fd)
            if not place.is_mount_root or place.mount_id not in table.by_id:
                return Observed(exists=True, is_directory=is_directory, name=name)
            # In a user namespace of its own the kernel would tell only what is mapped there.
            tells = wanted.options.idmap and "user" not in own_kinds
            id_map = statmount.id_map_of(fd) if tells else None
    except KernelError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return Observed(exists=False)
        raise
    mount = table.by_id[place.mount_id]
    lower = table.stacked_under(mount)
    if "user" in own_kinds:
        # What came with a user namespace is locked: it stays at the bottom for ever.
        while lower and lower[-1].device in host_devices:
            del lower[-1]
    return Observed(
        exists=True,
        is_directory=is_directory,
        mount=mount,
        identity=Identity(place.device, place.inode),
        stacked=len(lower),
        children=tuple(table.descendants(mount)) if _looks_below(wanted) else (),
        is_hosts=_is_hosts(mount, host_devices, own_kinds),
        is_shared=mount.device in host_devices,
        name=name,
        id_map=id_map,
    )


def _is_hosts(
    mount: mount_table.Mount, host_devices: t.Container[str], own_kinds: t.Container[str]
) -> bool:
    """Whether it came with the copy of the host's mount namespace, and still is the host's."""
    if mount.fstype in _INSTANCES:
        return mount.device in host_devices
    if kinds.SHOWN.get(mount.fstype) not in own_kinds:
        return False
    if mount.fstype.startswith("cgroup"):
        # One file system for all; what lies outside of the own cgroup namespace has a root
        # above its own (cgroup_namespaces(7)).
        return mount.root.startswith("/..")
    return mount.device in host_devices


def _looks_below(wanted: WantedMount) -> bool:
    return wanted.options.recursive or wanted.propagation.startswith(("rp", "rs", "ru"))


def source_of(fd: int, table: t.Mapping[int, mount_table.Mount]) -> Source:
    """What a bind of the open file ``fd`` would show; ``table`` is of the namespace it is in."""
    place = files.place_of(fd)
    mount = table.get(place.mount_id)
    return Source(
        identity=Identity(place.device, place.inode),
        attributes=options.attributes_of(mount.flags) if mount else 0,
        is_directory=resolve.is_directory(fd),
        is_idmapped=mount is not None and "idmapped" in mount.flags,
    )
