# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Why a device or an image was not mounted: what is at its path, and who holds it.

Each function answers (reason, hint), both empty where it found no cause.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t

from ... import redact
from . import holders
from .failure import NOTHING, Failure

if t.TYPE_CHECKING:
    from ...actions import Answer

_KINDS = (
    (stat.S_ISREG, "a regular file"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISFIFO, "a fifo"),
    (stat.S_ISSOCK, "a socket"),
)


def by_holder(failed: Failure) -> Answer:
    """EBUSY: who has the device."""
    wanted = failed.wanted
    if not failed.is_any(errno.EBUSY) or not failed.is_making or not failed.device_name:
        return NOTHING
    src = redact.address(wanted.src)
    with failed.host_proc() as host_proc:
        found = holders.of(failed.device_name, host_proc)
    mounted = [each for each in found.mounts if each.mount.fstype == wanted.fstype]
    if mounted and "RO state" in failed.error.log:
        return (
            f"{src} cannot be mounted to be written to, since it is read-only already: {mounted[0]}",
            "Add ro to opts, or unmount it there.",
        )
    if found.listed:
        return (
            f"{src} is in use: {'; '.join(found.listed)}",
            "Have it let go there, or name another device. What is mounted can be bound (opts: bind).",
        )
    return (
        (
            f"{src} is in use, by another file system, a device on top of it or a program that has it "
            "opened for itself alone"
        ),
        "Unmount it there, or name another device.",
    )


def by_path(failed: Failure) -> Answer:
    """What is wrong with the path of the device, or of another one that an option names."""
    if failed.view is not None or failed.wanted.options.bind or not failed.is_making:
        return NOTHING
    for option, path in failed.wanted.paths:
        answer = _of_path(failed, option, path)
        if any(answer):
            return answer
    return NOTHING


def _of_path(failed: Failure, option: str, path: str) -> Answer:
    shown = f"{option} {redact.address(path)}"
    another = f"Name a block device in {option}."
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if failed.is_any(errno.ENOENT, errno.ENOTDIR, errno.ENOTBLK, errno.ELOOP):
            if error.errno == errno.ENOENT:
                return f"{shown} does not exist on the host", another
            return f"{shown} cannot be reached on the host: {error.strerror}", another
        return NOTHING
    if not stat.S_ISBLK(mode):
        if not failed.is_any(errno.ENOTBLK, errno.ENODEV, errno.EINVAL):
            return NOTHING
        kind = next((name for is_one, name in _KINDS if is_one(mode)), "something else")
        if option == "src" and stat.S_ISREG(mode):
            another = "Name a block device in src, or add loop to opts for an image in a file."
        if option == "src" and stat.S_ISDIR(mode):
            another = "Name a block device in src. A directory is shown by a bind (opts: bind)."
        # Most types take any src, and a file may be an image.
        if failed.is_any(errno.EINVAL) and (option == "src" or stat.S_ISREG(mode)):
            return NOTHING
        return f"{shown} is not a block device, but {kind}", another
    if failed.is_any(errno.EPERM) and not failed.is_in_user_namespace():
        return (
            (
                f"{shown} may not be opened by the caller, although it may mount: its control group has no "
                "right to the device, or a security module forbids it"
            ),
            "Allow the device (DeviceAllow= of the unit, or the options of the container).",
        )
    if failed.is_any(errno.ENXIO, errno.ENODEV):
        return f"no driver answers for the device {shown}", "Attach the device first."
    if failed.is_any(errno.EACCES, errno.EROFS):
        row = failed.row_of_file(path)
        if row is not None and "nodev" in row.flags:
            return f"{shown} lies on a mount with nodev: {row.path}", "Name the device below /dev."
        if not failed.wanted.options.reads_only:
            return f"{shown} can only be read", "Add ro to opts."
    return NOTHING


def by_nothing_attached(failed: Failure) -> Answer:
    """A device that has no size, as a loop device without an image."""
    if not failed.is_making or not failed.device_name or failed.wanted.options.loop:
        return NOTHING
    is_empty = failed.is_any(errno.EIO, errno.EINVAL, errno.ENXIO, errno.ENOMEDIUM)
    if not is_empty or holders.size_of(failed.device_name) != 0:
        return NOTHING
    src = redact.address(failed.wanted.src)
    return (
        f"{src} has no size: nothing is attached to it",
        "Attach something (losetup(8)). For an image in a file name that, and add loop to opts.",
    )


def by_loop_device(failed: Failure) -> Answer:
    """Why there is no loop device for the image."""
    if not failed.wanted.options.loop:
        return NOTHING
    if failed.call != "open" and not failed.call.startswith("ioctl LOOP"):
        return NOTHING
    image = failed.wanted.src
    if failed.is_any(errno.EACCES, errno.EPERM) and failed.is_in_user_namespace():
        return (
            "only root of the host can attach an image to a loop device, and nobody in a user namespace",
            (
                "Run the task as root (become: true) without the kind user, or mount it on the host and bind "
                "it (src_in: host)."
            ),
        )
    device = str(failed.error.arguments.get("path", ""))
    if device and failed.is_any(errno.EACCES, errno.EPERM):
        return (
            f"only root of the host can attach an image to a loop device: {device} is closed to others",
            "Run the task as root (become: true), without a user namespace.",
        )
    if failed.is_any(errno.EACCES, errno.EPERM, errno.EROFS, errno.ETXTBSY):
        return f"the image {image} cannot be written to", "Add ro to opts."
    if failed.is_any(errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return (
            "this host has no loop devices: /dev/loop-control is missing",
            "Load the module (modprobe loop).",
        )
    if failed.is_any(errno.EISDIR, errno.EINVAL):
        hint = "Name a regular file in src."
        with contextlib.suppress(OSError):
            if stat.S_ISBLK(os.stat(image).st_mode):
                hint = "Leave loop out of opts: it is a device already."
        return f"{image} is no file that could hold an image", hint
    return NOTHING
