# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Why a mount, a change of one, or an unmount failed.

One errno of mount(2) has many causes (the ERRORS sections of mount(2), umount2(2),
mount_setattr(2), move_mount(2)): each is looked for, and answered as (reason, hint), both empty
where none was found.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os
import typing as t

from ... import exhaustion, kinds
from ...process import capabilities
from ...syscalls.kernel_log import KernelLog
from ..view import TargetView
from ..wanted import WantedMount
from . import access, busy, cgroups, device, filesystem, overlay, source
from .failure import NOTHING, Failure

if t.TYPE_CHECKING:
    from ...actions import Answer

_NAME_MAX = 255


def mount(
    error: OSError,
    view: TargetView | None,
    wanted: WantedMount,
    log: KernelLog | None = None,
) -> Answer:
    """The cause of a failed mount, remount or unmount of ``wanted``.

    ``view`` is that of the target, None when the failed call was made on the host. ``log`` is the
    kernel's own, from before the call.
    """
    failed = Failure(error, view, wanted, log)
    for look in (
        cgroups.by_hierarchy,
        overlay.by_layers,
        device.by_holder,
        device.by_loop_device,
        device.by_path,
        device.by_nothing_attached,
        filesystem.by_superblock,
        filesystem.by_kernel_log,
        source.by_change,
        source.by_id_map,
        _by_root,
        _by_number,
        source.by_source,
        busy.by_busy,
        busy.by_lock,
        access.by_parent,
        _by_rights,
        _by_path,
    ):
        answer = look(failed)
        if any(answer):
            return answer
    if failed.call == "fsconfig":
        return "", "The kernel may have said why in its own log: see dmesg."
    return NOTHING


def _by_number(failed: Failure) -> Answer:
    if failed.is_any(errno.ENOSPC) and failed.call in ("move_mount", "open_tree", "mount"):
        return exhaustion.too_many_mounts(failed.text_in_proc("sys/fs/mount-max").strip())
    if failed.is_any(errno.ENAMETOOLONG):
        longest = max(failed.wanted.path.split("/"), key=len)
        what = (
            f"a name in it has {len(os.fsencode(longest))} bytes"
            if len(os.fsencode(longest)) > _NAME_MAX
            else f"it has {len(os.fsencode(failed.wanted.path))} bytes"
        )
        return f"the path is too long: {what}", "A name has up to 255 bytes, a path up to 4095."
    if failed.is_any(errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        return exhaustion.explain(failed.error)
    return NOTHING


def _by_root(failed: Failure) -> Answer:
    """Of X-mount.owner, X-mount.group and X-mount.mode."""
    if failed.call not in ("chown", "chmod"):
        return NOTHING
    path = failed.wanted.path
    if failed.is_any(errno.EROFS):
        return (
            (
                f"who owns the root of the mount on {path}, and with which mode, cannot be changed: it can "
                "only be read"
            ),
            (
                "Set it while the file system is writable, and leave X-mount.owner, X-mount.group and "
                "X-mount.mode out."
            ),
        )
    if failed.is_any(errno.EPERM):
        return (
            (
                f"the root of the mount on {path} belongs to nobody whom the caller may act for in the user "
                "namespace of the target"
            ),
            (
                "Set it where it comes from, on the host, or give the mount ids of the target with "
                "X-mount.idmap."
            ),
        )
    if failed.is_any(errno.EINVAL):
        return (
            (
                f"the owner or the group for the root of the mount on {path} is no id of the user namespace "
                "of the target"
            ),
            "Name one that is mapped there (/proc/PID/uid_map, gid_map).",
        )
    return NOTHING


def _by_rights(failed: Failure) -> Answer:
    if not failed.is_any(errno.EPERM):
        return NOTHING
    wanted, call = failed.wanted, failed.call
    if not capabilities.has("sys_admin"):
        return (
            "the caller has no CAP_SYS_ADMIN over the target, or the kernel forbids this change",
            "Run the task as root (become: true).",
        )
    if failed.is_making or call in ("fsopen", "fsmount"):
        kind = kinds.SHOWN.get(wanted.fstype)
        if kind is not None:
            return (
                (
                    f"a new {wanted.fstype} may only be mounted by the owner of the {kind} namespace "
                    "that it shows, and only as widely as one that is there already "
                    "(mount_namespaces(7))"
                ),
                f"Add {kind} to the kinds of the namespace, or bind {wanted.fstype} from the host.",
            )
        return (
            f"the kernel lets no user namespace mount {wanted.fstype}",
            "Mount it on the host and bind it (src_in: host).",
        )
    return (
        "the kernel forbids this change, although the caller may mount",
        (
            "The mount may be locked by a user namespace (mount_namespaces(7)), or a security "
            "module forbids it: see dmesg."
        ),
    )


def _by_path(failed: Failure) -> Answer:
    wanted, path = failed.wanted, failed.wanted.path
    if failed.is_any(errno.ELOOP):
        return f"{path} leads through too many symbolic links", "Name the place itself."
    if failed.is_any(errno.EACCES, errno.EOVERFLOW):
        return access.by_directory(failed)
    if failed.is_any(errno.EROFS):
        return (
            f"{path} lies on a file system that can only be read, and nothing can be made there",
            "Mount something writable above it first, or name a place that exists.",
        )
    if failed.is_any(errno.EDQUOT, errno.ENOSPC):
        return f"there is no room for {path} on its file system", "Make room there."
    missing = failed.is_any(errno.ENOENT, errno.ENOTDIR)
    if not missing or failed.view is None:
        return NOTHING
    if failed.view.exists(wanted.path):
        return NOTHING
    return f"{wanted.path} does not exist {failed.where}", "Add X-mount.mkdir to opts."
