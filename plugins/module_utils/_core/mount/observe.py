# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Looking at the mounts inside a target, in the process that has joined it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t

from .. import kinds
from ..errors import KernelError, Refused
from ..syscalls import files, statmount
from . import host_view, options, resolve, table
from .compare import Identity, Observed, RootOf, Source
from .table import Mount, Table
from .view import TargetView
from .wanted import WantedMount

# What of these is mounted is the host's, also where the target is the host itself.
_ALWAYS_SHARED = ("devtmpfs",)
# Each mount of these is a file system of its own: one that the host has too was copied from it with
# its mount namespace, and belongs to the host.
_INSTANCES = ("tmpfs", "ramfs", "proc", "devpts", "overlay")


def observe(
    view: TargetView,
    wanted: WantedMount,
    there: Table,
    *,
    host_devices: t.Mapping[str, t.Collection[str]],
    own_kinds: t.Container[str] = (),
) -> Observed:
    """What is at the place of ``wanted`` now; ``there`` is the target's mount table.

    ``host_devices`` are the file systems of the host, each with the paths that it is mounted on there,
    or none where these do not matter; ``own_kinds`` the kinds of namespace that the target has of its
    own. Raises KernelError, Refused; Changing where others mount there as fast as it is looked at.
    """
    try:
        with view.found(wanted.path, there) as found:
            place, mount, there = found.place, found.mount, found.table
            is_directory = resolve.is_directory(found.fd)
            name = view.path_of(found.fd)
            names = view.names_of(wanted.path, found.fd)
            if not place.is_mount_root or mount is None:
                return Observed(exists=True, is_directory=is_directory, name=name)
            # In a user namespace of its own the kernel would tell only what is mapped there.
            unique = files.unique_mount_id(found.fd) if wanted.options.filesystem else 0
            tells = wanted.options.idmap and "user" not in own_kinds
            id_map = statmount.id_map_of(found.fd) if tells else None
            root = _root_of(found.fd) if RootOf.asked(wanted.options) != RootOf() else None
    except KernelError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return Observed(exists=False)
        raise
    lower = there.stacked_under(mount)
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
        children=tuple(there.descendants(mount.id)) if _looks_below(wanted) else (),
        is_hosts=_is_hosts(mount, names, host_devices, own_kinds),
        is_shared=mount.device in host_devices or mount.fstype in _ALWAYS_SHARED,
        root=root,
        name=name,
        unique=unique,
        id_map=id_map,
    )


def _root_of(fd: int) -> RootOf:
    status = os.fstat(fd)
    return RootOf(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))


def _is_hosts(
    mount: Mount,
    names: t.Collection[str],
    host_devices: t.Mapping[str, t.Collection[str]],
    own_kinds: t.Container[str],
) -> bool:
    """Whether it came with the copy of the host's mount namespace, and still is the host's."""
    if mount.fstype in _INSTANCES:
        paths = host_devices.get(mount.device)
        # A copy is where the host has it. Elsewhere the host may show what is the target's.
        return paths is not None and (not paths or not set(paths).isdisjoint(names))
    if kinds.SHOWN.get(mount.fstype) not in own_kinds:
        return False
    if mount.fstype.startswith("cgroup"):
        # One file system for all; what lies outside of the own cgroup namespace has a root
        # above its own (cgroup_namespaces(7)).
        return mount.root.startswith("/..")
    return mount.device in host_devices


def _looks_below(wanted: WantedMount) -> bool:
    return wanted.options.recursive or options.propagation_of(wanted.propagation)[1]


@contextlib.contextmanager
def source_on_host(path: str) -> t.Iterator[int]:
    """Open the source of a mount that is on the host. Raises Refused where it is not there."""
    try:
        fd = host_view.open_path(path)
    except OSError as error:
        hint = "Correct src."
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            hint = "Create it first, or use src_in: namespace if it is inside the target."
        if error.errno == errno.EACCES:
            hint = "Run the task as root (become: true), or correct the mode of what leads there."
        raise Refused(f"src {path} cannot be opened on the host: {error.strerror}", hint) from error
    try:
        yield fd
    finally:
        os.close(fd)


def source_of(
    fd: int,
    by_id: t.Mapping[int, Mount],
    *,
    read: t.Callable[[], t.Sequence[Mount]] = table.read,
) -> Source:
    """What a bind of the open file ``fd`` would show.

    ``by_id`` is the mount table of the namespace that it is in; ``read`` reads that anew, where the
    file lies on a mount that came since: one that is mounted when it is looked at does (autofs).
    Raises KernelError, OSError.
    """
    place = files.place_of(fd)
    mount = by_id.get(place.mount_id)
    if mount is None:
        mount = next((row for row in read() if row.id == place.mount_id), None)
    return Source(
        identity=Identity(place.device, place.inode),
        attributes=options.attributes_of(mount.flags) if mount else 0,
        is_directory=resolve.is_directory(fd),
        is_idmapped=mount is not None and "idmapped" in mount.flags,
        is_shared=mount is not None and "shared" in mount.propagation,
    )
