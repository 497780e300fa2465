# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Why a mount failed of what it was asked to be: a change, an id map, a type, an option, a bind.

Each function answers (reason, hint), both empty where it found no cause.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import typing as t

from ... import kinds, redact
from ...errors import Refused
from ...syscalls import namespaces, regular_files
from .. import id_ranges, table
from .failure import NOTHING, Failure
from .filesystem import MOUNT_ANEW

if t.TYPE_CHECKING:
    from ...actions import Answer


_MOST = 3  # mounts that are named
# File systems that can be mounted with other ids (FS_ALLOW_IDMAP in Linux 6.18).
_MAPPABLE = (
    "bcachefs", "btrfs", "ceph", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "fuse", "fuseblk",
    "ntfs3", "squashfs", "tmpfs", "vfat", "virtiofs", "xfs",
)  # fmt: skip


def by_change(failed: Failure) -> Answer:
    """Why an option of what is mounted already could not be changed."""
    if "reconfigured" not in failed.error.arguments:
        return NOTHING
    row = failed.row()
    if failed.is_any(errno.EACCES, errno.EROFS):
        src = redact.address(failed.wanted.src or (row.src if row is not None else "its device"))
        return f"{src} can only be read", "Add ro to opts."
    if not failed.is_any(errno.EINVAL, errno.EOPNOTSUPP):
        return NOTHING
    fstype = row.fstype if row is not None else failed.wanted.fstype
    return f"the kernel does not change this of a mounted {fstype}", MOUNT_ANEW


def by_id_map(failed: Failure) -> Answer:
    """Why the ids of the mount could not be mapped (X-mount.idmap)."""
    wanted = failed.wanted
    if "idmap" not in failed.error.arguments:
        return NOTHING
    without = "Leave X-mount.idmap out."
    if failed.is_any(errno.EOPNOTSUPP, errno.ENOSYS):
        return (
            "this kernel cannot map the ids of a mount (Linux 5.12 and newer can)",
            f"{without} ns_rootfs shifts the owners of a root file system instead.",
        )
    source = failed.source_row()
    if source is not None and "idmapped" in source.flags:
        return (
            f"src {wanted.src} lies on a mount whose ids are mapped already",
            "Bind from the mount beneath it.",
        )
    if failed.is_any(errno.EINVAL):
        unmapped = _unmapped(failed)
        if unmapped:
            return (
                (
                    f"X-mount.idmap={wanted.options.idmap} maps no {unmapped}, and the kernel takes only a "
                    "map of both uids and gids"
                ),
                (
                    "Map both: u:INSIDE:OUTSIDE:COUNT g:INSIDE:OUTSIDE:COUNT, or INSIDE:OUTSIDE:COUNT for "
                    "both in the same way."
                ),
            )
        fstype = source.fstype if source is not None else wanted.fstype
        below = table.below(failed.rows(), wanted.src) if wanted.options.bind_recursive else []
        others = [f"{row.path} ({row.fstype})" for row in below if row.fstype not in _MAPPABLE]
        if others and fstype in _MAPPABLE:
            return (
                "not everything below it can be mounted with other ids on this kernel: "
                + _some(others),
                "Use bind in place of rbind, which leaves out what is mounted below.",
            )
        return (
            f"a file system of the type {fstype} cannot be mounted with other ids on this kernel",
            f"{without} Or keep the files on ext4, xfs, btrfs or tmpfs.",
        )
    if failed.is_any(errno.EPERM) and wanted.options.idmap.startswith("/"):
        return (
            f"{wanted.options.idmap} cannot be used: the host's own user namespace maps nothing",
            "Name a file as /proc/PID/ns/user of a process in another one, or write the map.",
        )
    return NOTHING


def _some(texts: t.Sequence[str]) -> str:
    return ", ".join(texts[:_MOST]) + (" and others" if len(texts) > _MOST else "")


def _unmapped(failed: Failure) -> str:
    """Which ids the map of X-mount.idmap has none of: uids, gids; or empty."""
    text = failed.wanted.options.idmap
    if not text.startswith("/"):
        uids, gids = id_ranges.ranges_of(text)
        return "" if uids and gids else "gids" if uids else "uids"
    process = re.fullmatch(r"/proc/(\d+)/ns/user", text)
    if process is None:
        return ""
    maps = [failed.text_in_proc(f"{process[1]}/{which}_map").strip() for which in ("uid", "gid")]
    if not any(maps):
        return "ids"
    return "" if all(maps) else "gids" if maps[0] else "uids"


def by_source(failed: Failure) -> Answer:
    """What is wrong with the file system, the bind, the image or the device."""
    wanted, call = failed.wanted, failed.call
    if wanted.state != "mounted":
        return NOTHING
    if call == "fsopen" and failed.is_any(errno.ENODEV):
        return _unknown_filesystem(failed)
    option = f"{failed.error.arguments.get('key')}={failed.error.arguments.get('value')}"
    if "key" in failed.error.arguments and failed.is_any(errno.ENOENT, errno.ENOTDIR):
        return (
            f"{option} names what does not exist {failed.where}",
            "Create it first.",
        )
    if call in ("open_tree", "move_mount") and wanted.options.bind:
        return _bind_refused(failed)
    return NOTHING


def _unknown_filesystem(failed: Failure) -> Answer:
    fstype = failed.wanted.fstype
    if fstype in ("bind", "rbind", "none"):
        return (
            f"{fstype} is no type of file systems",
            "Leave fstype out, and add bind to opts."
            if fstype != "rbind"
            else "Leave fstype out, and add rbind to opts.",
        )
    known = failed.known_filesystems()
    return (
        f"the kernel knows no file-system type {fstype!r}",
        f"Load its module (modprobe {fstype}), or use one of: {', '.join(known)}.",
    )


def _bind_refused(failed: Failure) -> Answer:
    wanted, row = failed.wanted, failed.source_row()
    if not failed.is_any(errno.EINVAL, errno.ELOOP):
        return NOTHING
    if _is_mount_namespace(failed):
        return (
            (
                f"{wanted.src} is a mount namespace that is not younger than the one it would be "
                "mounted in: it would keep itself alive"
            ),
            "Pin it from the namespace that it was made in.",
        )
    if failed.call == "move_mount" and failed.is_any(errno.ELOOP) and wanted.options.bind_recursive:
        return (
            (
                f"below {wanted.src} lies a mount namespace that is not younger than the one it would be "
                "mounted in, as the pins of namespaces do: it would keep itself alive"
            ),
            "Use bind in place of rbind, or bind something else.",
        )
    if row is None:
        return NOTHING
    if row.propagation == "unbindable":
        return (
            f"{wanted.src} lies on a mount that is unbindable: {row.path}",
            "Bind something else, or give that mount another propagation.",
        )
    below = [each.path for each in table.below(failed.rows(), wanted.src)]
    if below and not wanted.options.bind_recursive:
        return (
            f"what is mounted below {wanted.src} cannot be left out in a user namespace: "
            + _some(below),
            "Use rbind.",
        )
    return NOTHING


def _is_mount_namespace(failed: Failure) -> bool:
    with contextlib.suppress(OSError, Refused), failed.opened_source() as found:
        with failed.host_proc() as host_proc:
            fd = regular_files.reopen(
                found, os.O_RDONLY, path=failed.wanted.src, host_proc=host_proc
            )
        try:
            return namespaces.kind_flag(fd) == kinds.KINDS["mnt"].flag
        finally:
            os.close(fd)
    return False
