# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Why a mount failed of its source: an id map, a file system, a bind, an image, a device.

Each function answers (reason, hint), both empty where it found no cause.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import typing as t

from ... import kinds, redact
from ...errors import Refused
from ...syscalls import namespaces, regular_files
from .. import layers, table
from .failure import NOTHING, Failure

if t.TYPE_CHECKING:
    from ...actions import Answer


_MOUNT_ANEW = (
    "What a file system takes only when it is mounted needs it unmounted first (state: unmounted)."
)


def by_kernel_log(failed: Failure) -> Answer:
    """What the kernel wrote about it itself (fsopen(2))."""
    log = failed.error.log
    if "too revealing" in log:
        return NOTHING  # said better by explain.py, of rights
    if log:
        hint = "Name a block device in src." if "blockdev" in log else "Correct opts."
        if "reconfigured" in failed.error.arguments:
            hint = f"Correct opts. {_MOUNT_ANEW}"
        if "blockdev" in log and failed.is_any(errno.ENOTBLK) and failed.has_regular_source():
            hint = "Name a block device in src, or add loop to opts for an image in a file."
        if "blockdev" in log and failed.is_any(errno.EACCES, errno.EROFS):
            hint = "The device is read-only, or lies on a mount with nodev: add ro to opts."
        return f"the kernel says: {log}", hint
    return NOTHING


def by_change(failed: Failure) -> Answer:
    """Why an option of what is mounted already could not be changed."""
    refused = failed.is_any(errno.EINVAL, errno.EOPNOTSUPP)
    if "reconfigured" not in failed.error.arguments or not refused:
        return NOTHING
    row = failed.row()
    fstype = row.fstype if row is not None else failed.wanted.fstype
    return f"the kernel does not change this of a mounted {fstype}", _MOUNT_ANEW


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
        fstype = source.fstype if source is not None else wanted.fstype
        return (
            f"a {fstype} file system cannot be mounted with other ids on this kernel",
            f"{without} Or keep the files on ext4, xfs, btrfs or tmpfs.",
        )
    if failed.is_any(errno.EPERM) and wanted.options.idmap.startswith("/"):
        return (
            f"{wanted.options.idmap} cannot be used: the host's own user namespace maps nothing",
            "Name a file as /proc/PID/ns/user of a process in another one, or write the map.",
        )
    return NOTHING


def by_source(failed: Failure) -> Answer:
    """What is wrong with the file system, the bind, the image or the device."""
    wanted, call = failed.wanted, failed.call
    if wanted.state != "mounted":
        return NOTHING
    if call == "fsopen" and failed.is_any(errno.ENODEV):
        return _unknown_filesystem(failed)
    option = f"{failed.error.arguments.get('key')}={failed.error.arguments.get('value')}"
    value = str(failed.error.arguments.get("value", ""))
    if len(os.fsencode(value)) > layers.LONGEST_VALUE and failed.is_any(errno.EINVAL):
        return (
            f"the kernel takes no more than {layers.LONGEST_VALUE} bytes in one option: {option}",
            "Use shorter paths, or fewer.",
        )
    if "key" in failed.error.arguments and failed.is_any(errno.ENOENT, errno.ENOTDIR):
        return (
            f"{option} names a directory that does not exist {failed.where}",
            "Create it first.",
        )
    if call in ("open_tree", "move_mount") and wanted.options.bind:
        return _bind_refused(failed)
    if wanted.options.loop and (call == "open" or call.startswith("ioctl LOOP")):
        return _no_loop_device(failed)
    if call == "fsconfig" and wanted.fstype == "overlay" and failed.is_any(errno.EBUSY):
        return (
            "its upperdir or workdir is in use by another overlay, which index=on does not allow",
            "Unmount that one first (state: unmounted), also where it is the one to be replaced.",
        )
    if call == "fsconfig" and not wanted.options.bind and wanted.src.startswith("/"):
        return _device_refused(failed)
    return NOTHING


def _unknown_filesystem(failed: Failure) -> Answer:
    fstype = failed.wanted.fstype
    known = [
        line.split()[-1] for line in failed.text_in_proc("filesystems").splitlines() if line.strip()
    ]
    return (
        f"the kernel knows no file-system type {fstype!r}",
        f"Load its module (modprobe {fstype}), or use one of: {', '.join(sorted(known))}.",
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
            + ", ".join(below),
            "Use rbind.",
        )
    return NOTHING


def _no_loop_device(failed: Failure) -> Answer:
    image = failed.wanted.src
    if failed.is_any(errno.EACCES, errno.EROFS, errno.ETXTBSY):
        return f"the image {image} cannot be written to", "Add ro to opts."
    if failed.is_any(errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return (
            "this host has no loop devices: /dev/loop-control is missing",
            "Load the module (modprobe loop).",
        )
    if failed.is_any(errno.EISDIR, errno.EINVAL):
        return f"{image} is no file that could hold an image", "Name a regular file in src."
    return NOTHING


def _device_refused(failed: Failure) -> Answer:
    wanted, src = failed.wanted, redact.address(failed.wanted.src)
    if failed.is_any(errno.ENOENT, errno.ENOTDIR):
        return f"src {src} does not exist {failed.where}", "Name a block device in src."
    if failed.is_any(errno.ENOTBLK):
        hint = "Name a block device in src"
        hint += ", or add loop to opts." if failed.has_regular_source() else "."
        return f"{src} is not a block device", hint
    if failed.is_any(errno.EACCES, errno.EROFS):
        row = failed.row_of_file(wanted.src)
        if row is not None and "nodev" in row.flags:
            return (
                f"{src} lies on a mount with nodev: {row.path}",
                "Name the device below /dev.",
            )
        return f"{src} can only be read", "Add ro to opts."
    if failed.is_any(errno.ENXIO):
        return f"no driver answers for the device {src}", "Attach the device first."
    if failed.is_any(errno.EBUSY):
        return (
            f"{src} is in use, by another file system or by the kernel",
            "Unmount it there, or name another device.",
        )
    if failed.is_any(errno.EINVAL, errno.EUCLEAN, errno.EIO):
        return (
            f"{src} holds no {wanted.fstype} file system that this kernel understands",
            (
                "Correct fstype (blkid shows what it holds), or opts. The kernel's own log may "
                "say more: see dmesg."
            ),
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
