# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_mount_info does: the mounts of a target and what is known of each, as in findmnt(8).

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os
import re
import typing as t

from ..errors import KernelError, Refused
from ..mount import resolve, table
from ..mount.table import Mount, Table
from ..mount.view import TargetView
from ..namespace.target import Target
from ..syscalls import files
from . import session

_UDEV_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")


class Usage(t.NamedTuple):
    """How full a file system is, in bytes."""

    size: int
    used: int
    # To users without privileges.
    available: int


class Found(t.NamedTuple):
    """A mount, and how full it is."""

    mount: Mount
    # None where it was not asked for, or the mount is out of reach.
    usage: Usage | None = None


def mounts_of(target: Target, *, path: str = "", usage: bool = False) -> list[Found]:
    """The mounts of the target in the order of its mount table.

    With ``path`` only those on it: first the visible one, then those that it hides. The path is
    resolved inside the target; below the new root of a pivot it may be the name from before.
    ``usage`` looks at each file system as well, which can take its time on a network.

    Paths are from the root of the target's mount namespace. Where the caller may not enter it,
    a process's own table is read from the host instead: its paths are from that process's
    root, and links in ``path`` are not followed. Raises Refused, KernelError.
    """
    if path:
        path = resolve.checked_absolute(path, option="path")
    try:
        return _from_inside(target, path, usage)
    except Refused:
        if target.pid is None or not os.path.exists(f"/proc/{target.pid}"):
            raise
    except KernelError as error:
        if error.errno != errno.EPERM:
            raise
        if target.pid is None:
            raise Refused(
                f"the mount namespace of {target} may not be entered",
                "Run the task as root (become: true).",
            ) from error
    return [Found(mount) for mount in _on_name(_table_of_process(target.pid), path)]


def _from_inside(target: Target, path: str, usage: bool) -> list[Found]:
    with session.opened(target, check=True, lock_timeout=0) as opened:
        if opened.is_to_come:
            target.open(closed_too=True)  # says that it does not exist
        if "mnt" not in opened.handles.kinds:  # the caller's own
            return _look(opened.view(), path, usage)
        found: list[Found] = opened.call(lambda view: _look(view, path, usage))
        return found


def _look(view: TargetView, path: str, usage: bool) -> list[Found]:
    mounts = view.mounts()
    if path:
        mounts = _on_path(view, path, mounts)
    return [Found(mount, _usage(view, mount) if usage else None) for mount in mounts]


def _on_path(view: TargetView, path: str, mounts: list[Mount]) -> list[Mount]:
    try:
        with view.opened(path) as fd:
            place = files.place_of(fd)
    except Refused:  # below a mount of the definition that is not there
        return []
    except KernelError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return []
        if error.errno == errno.EACCES:
            return _on_name(mounts, path)
        raise
    there = Table(mounts)
    top = there.by_id.get(place.mount_id)
    if top is None or not place.is_mount_root:
        return []
    return [top, *there.stacked_under(top)]


def _on_name(mounts: list[Mount], path: str) -> list[Mount]:
    if not path:
        return mounts
    return [mount for mount in reversed(mounts) if mount.path == path]


def _usage(view: TargetView, mount: Mount) -> Usage | None:
    try:
        with resolve.opened_in(view.root, mount.path) as fd:
            if files.place_of(fd).mount_id != mount.id:  # covered by another mount
                return None
            status = os.fstatvfs(fd)
    except OSError:
        return None
    return Usage(
        size=status.f_blocks * status.f_frsize,
        used=(status.f_blocks - status.f_bfree) * status.f_frsize,
        available=status.f_bavail * status.f_frsize,
    )


def _table_of_process(pid: int) -> list[Mount]:
    try:
        return table.read(f"/proc/{pid}/mountinfo")
    except PermissionError as error:
        raise Refused(
            f"the mounts of process {pid} may not be read",
            "Run the task as root (become: true).",
        ) from error
    except OSError as error:  # EINVAL: it is a zombie and has no mounts any more
        raise Refused(
            f"process {pid} has ended", "Name a living process or a named namespace."
        ) from error


def disk_names(directory: str) -> dict[str, str]:
    """What udev calls devices, by their path: ``directory`` is /dev/disk/by-uuid or by-label."""
    try:
        links = os.listdir(directory)
    except OSError:
        return {}
    return {
        os.path.realpath(f"{directory}/{link}"): _UDEV_ESCAPE.sub(_unescaped, link)
        for link in links
    }


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match.group(1), 16))
