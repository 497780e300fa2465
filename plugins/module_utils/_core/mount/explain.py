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

import contextlib
import errno
import os
import stat
import typing as t

from .. import kinds
from ..errors import KernelError, Refused
from ..process import capabilities
from ..syscalls import files, namespaces, processes
from . import in_use, options
from . import table as mount_table
from .view import TargetView
from .wanted import WantedMount

Answer = tuple[str, str]

NOTHING = ("", "")
_CHANGES = ("mount", "mount_setattr", "fsconfig", "fspick")
_NAME_MAX = 255


def mount(error: OSError, inside: TargetView | None, wanted: WantedMount | None) -> Answer:
    """The cause of a failed mount, remount or unmount of ``wanted``.

    ``inside`` is the target's view, None when the failed call was made on the host. ``wanted``
    is None for a mount that nobody asked for.
    """
    kernel = error if isinstance(error, KernelError) else KernelError("", error.errno or 0)
    cause = _Cause(kernel, inside, wanted)
    for look in (
        cause.by_kernel_log,
        cause.by_id_map,
        cause.by_number,
        cause.by_source,
        cause.by_busy,
        cause.by_lock,
        cause.by_rights,
        cause.by_path,
    ):
        answer = look()
        if any(answer):
            return answer
    if kernel.call == "fsconfig":
        return "", "The kernel may have said why in its own log: see dmesg."
    return NOTHING


class _Cause:
    def __init__(
        self, error: KernelError, inside: TargetView | None, wanted: WantedMount | None
    ) -> None:
        self._error = error
        self._inside = inside
        self._wanted = wanted
        self._where = "on the host" if inside is None else "in the target"

    def _is(self, *numbers: int) -> bool:
        return self._error.errno in numbers

    @property
    def _path(self) -> str:
        if self._wanted is not None:
            return self._wanted.path
        return str(self._error.arguments.get("mount_path", ""))

    def by_kernel_log(self) -> Answer:
        log = self._error.log
        if "too revealing" in log:
            return NOTHING  # said better by by_rights()
        if log:
            hint = "Name a block device in src." if "blockdev" in log else "Correct opts."
            if "blockdev" in log and self._is(errno.ENOTBLK) and self._is_regular_source():
                hint = "Name a block device in src, or add loop to opts for an image in a file."
            if "blockdev" in log and self._is(errno.EACCES, errno.EROFS):
                hint = "The device is read-only, or lies on a mount with nodev: add ro to opts."
            return f"the kernel says: {log}", hint
        return NOTHING

    def _is_regular_source(self) -> bool:
        try:
            return self._wanted is not None and stat.S_ISREG(os.stat(self._wanted.src).st_mode)
        except OSError:
            return False

    def by_id_map(self) -> Answer:
        wanted = self._wanted
        if wanted is None or "idmap" not in self._error.arguments:
            return NOTHING
        without = "Leave X-mount.idmap out."
        if self._is(errno.EOPNOTSUPP, errno.ENOSYS):
            return (
                "this kernel cannot map the ids of a mount (Linux 5.12 and newer can)",
                f"{without} ns_rootfs shifts the owners of a root file system instead.",
            )
        source = self._source_row()
        if source is not None and "idmapped" in source.flags:
            return (
                f"src {wanted.src} lies on a mount whose ids are mapped already",
                "Bind from the mount beneath it.",
            )
        if self._is(errno.EINVAL):
            fstype = source.fstype if source is not None else wanted.fstype
            return (
                f"a {fstype} file system cannot be mounted with other ids on this kernel",
                f"{without} Or keep the files on ext4, xfs, btrfs or tmpfs.",
            )
        if self._is(errno.EPERM) and wanted.options.idmap.startswith("/"):
            return (
                f"{wanted.options.idmap} cannot be used: the host's own user namespace maps nothing",
                "Name a file as /proc/PID/ns/user of a process in another one, or write the map.",
            )
        return NOTHING

    def _source_row(self) -> mount_table.Mount | None:
        """The mount that the source of a bind lies on."""
        wanted = self._wanted
        if wanted is None or not wanted.options.bind:
            return None
        with contextlib.suppress(OSError, Refused), contextlib.ExitStack() as stack:
            if wanted.src_in == "namespace" and self._inside is not None:
                fd = stack.enter_context(self._inside.opened(wanted.src))
            else:
                fd = os.open(wanted.src, os.O_PATH | os.O_CLOEXEC)
                stack.callback(os.close, fd)
            number = files.place_of(fd).mount_id
            return next((row for row in self._rows() if row.id == number), None)
        return None

    def _rows(self) -> list[mount_table.Mount]:
        if self._inside is not None:
            return self._inside.mounts()
        return mount_table.read()

    def by_number(self) -> Answer:
        if self._is(errno.ENOSPC) and self._error.call in ("move_mount", "open_tree", "mount"):
            limit = self._read("sys/fs/mount-max").strip()
            return (
                f"the mount namespace would have more mounts than fs.mount-max allows: {limit}",
                "Unmount what is not needed (ns_mount_info lists it), or raise fs.mount-max.",
            )
        if self._is(errno.ENAMETOOLONG):
            longest = max((self._path).split("/"), key=len)
            what = (
                f"a name in it has {len(os.fsencode(longest))} bytes"
                if len(os.fsencode(longest)) > _NAME_MAX
                else f"it has {len(os.fsencode(self._path))} bytes"
            )
            return f"the path is too long: {what}", "A name has up to 255 bytes, a path up to 4095."
        if self._is(errno.EMFILE, errno.ENFILE):
            return "too many files are open", "Make fewer mounts in one task, or raise the limit."
        if self._is(errno.ENOMEM):
            return "the kernel has no memory left for it", "Free memory on the host."
        return NOTHING

    def _read(self, name: str) -> str:
        with contextlib.suppress(OSError), self._host_proc() as proc:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
            with open(fd, encoding="utf-8") as file:
                return file.read()
        return ""

    @contextlib.contextmanager
    def _host_proc(self) -> t.Iterator[int]:
        if self._inside is not None:
            yield self._inside.host_proc
            return
        fd = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)

    def by_source(self) -> Answer:
        wanted, call = self._wanted, self._error.call
        if wanted is None or wanted.state != "mounted":
            return NOTHING
        if call == "fsopen" and self._is(errno.ENODEV):
            return self._unknown_filesystem()
        option = f"{self._error.arguments.get('key')}={self._error.arguments.get('value')}"
        if "key" in self._error.arguments and self._is(errno.ENOENT, errno.ENOTDIR):
            return (
                f"{option} names a directory that does not exist {self._where}",
                "Create it first.",
            )
        if call in ("open_tree", "move_mount") and wanted.options.bind:
            return self._bind_refused()
        if wanted.options.loop and (call == "open" or call.startswith("ioctl LOOP")):
            return self._no_loop_device()
        if call == "fsconfig" and not wanted.options.bind and wanted.src.startswith("/"):
            return self._device_refused()
        return NOTHING

    def _unknown_filesystem(self) -> Answer:
        fstype = self._wanted.fstype if self._wanted is not None else ""
        known = [
            line.split()[-1] for line in self._read("filesystems").splitlines() if line.strip()
        ]
        return (
            f"the kernel knows no file-system type {fstype!r}",
            f"Load its module (modprobe {fstype}), or use one of: {', '.join(sorted(known))}.",
        )

    def _bind_refused(self) -> Answer:
        wanted, row = self._wanted, self._source_row()
        if wanted is None or not self._is(errno.EINVAL, errno.ELOOP):
            return NOTHING
        if _is_mount_namespace(wanted.src):
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
        below = [each.path for each in mount_table.below(self._rows(), wanted.src)]
        if below and not wanted.options.bind_recursive:
            return (
                f"what is mounted below {wanted.src} cannot be left out in a user namespace: "
                + ", ".join(below),
                "Use rbind.",
            )
        return NOTHING

    def _no_loop_device(self) -> Answer:
        image = self._wanted.src if self._wanted is not None else ""
        if self._is(errno.EACCES, errno.EROFS, errno.ETXTBSY):
            return f"the image {image} cannot be written to", "Add ro to opts."
        if self._is(errno.ENOENT, errno.ENODEV, errno.ENXIO):
            return (
                "this host has no loop devices: /dev/loop-control is missing",
                "Load the module (modprobe loop).",
            )
        if self._is(errno.EISDIR, errno.EINVAL):
            return f"{image} is no file that could hold an image", "Name a regular file in src."
        return NOTHING

    def _device_refused(self) -> Answer:
        wanted = self._wanted
        if wanted is None:
            return NOTHING
        if self._is(errno.ENOENT, errno.ENOTDIR):
            return f"src {wanted.src} does not exist {self._where}", "Name a block device in src."
        if self._is(errno.ENOTBLK):
            hint = "Name a block device in src"
            hint += ", or add loop to opts." if self._is_regular_source() else "."
            return f"{wanted.src} is not a block device", hint
        if self._is(errno.EACCES, errno.EROFS):
            row = self._row_of_file(wanted.src)
            if row is not None and "nodev" in row.flags:
                return (
                    f"{wanted.src} lies on a mount with nodev: {row.path}",
                    "Name the device below /dev.",
                )
            return f"{wanted.src} can only be read", "Add ro to opts."
        if self._is(errno.ENXIO):
            return f"no driver answers for the device {wanted.src}", "Attach the device first."
        if self._is(errno.EBUSY):
            return (
                f"{wanted.src} is in use, by another file system or by the kernel",
                "Unmount it there, or name another device.",
            )
        if self._is(errno.EINVAL, errno.EUCLEAN, errno.EIO):
            return (
                f"{wanted.src} holds no {wanted.fstype} file system that this kernel understands",
                (
                    "Correct fstype (blkid shows what it holds), or opts. The kernel's own log may "
                    "say more: see dmesg."
                ),
            )
        return NOTHING

    def _row_of_file(self, path: str) -> mount_table.Mount | None:
        with contextlib.suppress(OSError):
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                number = files.place_of(fd).mount_id
            finally:
                os.close(fd)
            return next((row for row in self._rows() if row.id == number), None)
        return None

    def _row(self) -> mount_table.Mount | None:
        """The mount that the failed call was about."""
        number = self._error.arguments.get("mount_id")
        if number is None and self._inside is not None and self._path:
            with contextlib.suppress(OSError, Refused), self._inside.opened(self._path) as fd:
                number = files.place_of(fd).mount_id
        return next((row for row in self._rows() if row.id == number), None)

    def by_busy(self) -> Answer:
        if not self._is(errno.EBUSY):
            return NOTHING
        row = self._row()
        if row is None:
            return NOTHING
        with self._host_proc() as proc:
            if self._error.call == "umount2":
                users = in_use.of_mount(proc, row.id)
                reason = f"the mount on {row.path} is in use"
                hint = (
                    "End the processes that use it (a file open in it, or their working directory)."
                )
            elif self._error.call in _CHANGES:
                major, _colon, minor = row.device.partition(":")
                device = os.makedev(int(major), int(minor))
                users = in_use.writing(proc, mount_id=row.id, device=device)
                reason = (
                    f"files on {row.path} are open for writing, so that it cannot become read-only"
                )
                hint = "End the processes that write to it, or have them close their files."
            else:
                return NOTHING
        return (f"{reason} by {in_use.listed(users)}" if users else reason), hint

    def by_lock(self) -> Answer:
        row = self._row() if self._is(errno.EINVAL, errno.EPERM) else None
        if row is None:
            return NOTHING
        if self._error.call == "umount2" and self._is(errno.EINVAL):
            return (
                (
                    f"the mount on {row.path} came with the user namespace and is locked there "
                    "(mount_namespaces(7))"
                ),
                "Mount something over it, or unmount it before the user namespace is made.",
            )
        if self._error.call in ("mount_setattr", "mount") and self._is(errno.EPERM):
            if not _may_mount():
                return NOTHING
            lost = self._flags_to_lose(row)
            if lost:
                return (
                    (
                        f"the mount on {row.path} came with the user namespace, where these flags are "
                        f"locked: {', '.join(lost)} (mount_namespaces(7))"
                    ),
                    f"Add them to opts: {','.join(lost)}.",
                )
        return NOTHING

    def _flags_to_lose(self, row: mount_table.Mount) -> list[str]:
        shown = self._error.arguments.get("attr_set")
        if shown is not None:
            expected = int(str(shown), 16)
        elif self._wanted is not None:
            asked = self._wanted.options
            base = options.attributes_of(row.flags) if self._wanted.state == "remounted" else 0
            expected = base & ~asked.attr_clr | asked.attr_set
        else:
            return []
        kept = options.words_of(expected)
        return [
            word
            for word in options.words_of(options.attributes_of(row.flags))
            if word not in (*kept, "rw")
        ]

    def by_rights(self) -> Answer:
        if not self._is(errno.EPERM):
            return NOTHING
        wanted, call = self._wanted, self._error.call
        if not _may_mount():
            return (
                "the caller has no CAP_SYS_ADMIN over the target, or the kernel forbids this change",
                "Run the task as root (become: true).",
            )
        if wanted is not None and call in ("fsopen", "fsconfig", "fsmount"):
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

    def by_path(self) -> Answer:
        wanted, path = self._wanted, self._path
        if self._is(errno.ELOOP):
            return f"{path} leads through too many symbolic links", "Name the place itself."
        if self._is(errno.EACCES):
            return (
                f"the caller may not search a directory on the way to {path}",
                "Run the task as root (become: true), or correct its mode.",
            )
        if self._is(errno.EROFS):
            return (
                f"{path} lies on a file system that can only be read, and nothing can be made there",
                "Mount something writable above it first, or name a place that exists.",
            )
        if self._is(errno.EDQUOT, errno.ENOSPC):
            return f"there is no room for {path} on its file system", "Make room there."
        missing = self._is(errno.ENOENT, errno.ENOTDIR)
        if not missing or wanted is None or self._inside is None:
            return NOTHING
        if self._inside.exists(wanted.path):
            return NOTHING
        return f"{wanted.path} does not exist in the target", "Add X-mount.mkdir to opts."


def _is_mount_namespace(path: str) -> bool:
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return namespaces.kind_flag(fd) == kinds.KINDS["mnt"].flag
        finally:
            os.close(fd)
    return False


def _may_mount() -> bool:
    effective, _permitted, _inheritable = processes.get_capabilities()
    return bool(effective & capabilities.mask_of(["sys_admin"]))
