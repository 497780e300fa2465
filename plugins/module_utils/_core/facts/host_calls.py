# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which of its calls the kernel has, or a filter lets through.

Each is made with arguments that it refuses before it looks at anything: a kernel that has it not
answers ENOSYS, one that has it something else. No version is compared, since vendors add calls to
older kernels and filters take some away.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import struct
import typing as t

from ..errors import KernelError
from ..syscalls import call, detached, files
from .host_look import MISSING, OK, UNKNOWN, Check, Found, Host

_NO_FD = -1
# A bit that no flag of any of them has, nor the masks that are of 32 bits.
_NO_FLAG = 0x40000000
# What is made of each: the flag, the size or the path is refused.
_PROBES: dict[str, tuple[t.Any, ...]] = {
    "clone3": (None, 0),
    "close_range": (1, 0, 0),
    "execveat": (_NO_FD, b"", None, None, _NO_FLAG),
    "fsconfig": (_NO_FD, _NO_FLAG, None, None, 0),
    "fsmount": (_NO_FD, _NO_FLAG, 0),
    "fsopen": (None, _NO_FLAG),
    "fspick": (_NO_FD, b"", _NO_FLAG),
    "listmount": (None, None, 0, _NO_FLAG),
    "mount": (b"", b"", None, 0, None),
    "mount_setattr": (_NO_FD, b"", 0, None, 0),
    "move_mount": (_NO_FD, b"", _NO_FD, b"", _NO_FLAG),
    "open_tree": (_NO_FD, b"", _NO_FLAG),
    "openat2": (_NO_FD, b"", None, 0),
    "pidfd_getfd": (_NO_FD, _NO_FD, 0),
    "pidfd_open": (_NO_FD, 0),
    "pidfd_send_signal": (_NO_FD, 0, None, 0),
    "pivot_root": (b"", b""),
    "renameat2": (_NO_FD, b"", _NO_FD, b"", _NO_FLAG),
    "setns": (_NO_FD, 0),
    "statmount": (None, None, 0, _NO_FLAG),
    # A mask of its reserved bit.
    "statx": (_NO_FD, b"", 0, -0x80000000, None),
    "umount2": (b"", _NO_FLAG),
    # Of no kind: the caller stays where it is.
    "unshare": (0,),
}
# The part of a call is there when what comes after its flags is looked at.
_BY_DESCRIPTORS = detached.MOVE_MOUNT_F_EMPTY_PATH | detached.MOVE_MOUNT_T_EMPTY_PATH
_STATMOUNT_SUPPORTED = 0x1000  # Linux 6.15
_MNT_UIDMAP = 0x2000
# ioctl_nsfs(2), Linux 6.11
_NS_GET_MNTNS_ID = 0x8008B705
_FSOPEN_CLOEXEC = 1
_MASK_AT = 8
_SUPPORTED_AT = 144

_THERE = Found(OK, "there")
_FORBIDDEN = "a system call filter forbids {names} (seccomp(2))"
_OLD = "Linux 5.10 and newer have it."
_ALLOW = "Allow the call in the filter of the container engine or unit, or run on the host."


def _answer(name: str, *values: t.Any) -> int:
    """The number of the error that the call answers with; 0 for none."""
    try:
        call.invoke(name, *values, shown={})
        return 0
    except KernelError as error:
        return error.errno or errno.EIO


def _calls(*names: str) -> t.Callable[[Host], Found]:
    """A look for calls that are used together."""
    return functools.partial(_found, names)


def _found(names: t.Sequence[str], host: Host) -> Found:
    answers = {name: _answer(name, *_PROBES[name]) for name in names}
    absent = [name for name, number in answers.items() if number == errno.ENOSYS]
    forbidden = [name for name, number in answers.items() if number == errno.EPERM]
    if absent:
        text = f"this kernel has no {', '.join(absent)}"
        if host.is_filtered:
            return Found(MISSING, f"{text}, or a system call filter hides it (seccomp(2))", _ALLOW)
        return Found(MISSING, text)
    # Who has no rights gets this of the kernel too, which therefore has the call.
    if forbidden and host.is_filtered:
        if host.is_capable:
            return Found(MISSING, _FORBIDDEN.format(names=", ".join(forbidden)), _ALLOW)
        return Found(UNKNOWN, "only root can tell: a filter is there (seccomp(2))")
    return _THERE


def _of_move_mount(flag: int, absent: str, _host: Host) -> Found:
    if call.is_absent(absent):
        return _not_there("move_mount takes no such flag")
    flags = _BY_DESCRIPTORS | flag
    number = _answer("move_mount", _NO_FD, b"", _NO_FD, b"", flags)
    if number == errno.EPERM:
        return _seen_by_root()
    return _THERE if number == errno.EBADF else _not_there("move_mount takes no such flag")


def _seen_by_root() -> Found:
    return Found(UNKNOWN, "only root can tell", "Run it as root.")


def _not_there(text: str) -> Found:
    return Found(MISSING, text)


def _unique_ids(_host: Host) -> Found:
    with _root() as fd:
        try:
            # They begin where the others end (MNT_UNIQUE_ID_OFFSET in fs/namespace.c).
            is_unique = files.unique_mount_id(fd) >> 31 > 0
        except KernelError as error:
            return _not_there(str(error))
    return _THERE if is_unique else _not_there("ids of mounts are given again")


def _id_maps(_host: Host) -> Found:
    with _root() as fd:
        buffer = ctypes.create_string_buffer(1 << 12)
        try:
            # struct mnt_id_req, its first version.
            request = struct.pack("=IIQQ", 24, 0, files.unique_mount_id(fd), _STATMOUNT_SUPPORTED)
            call.invoke("statmount", request, buffer, len(buffer), 0, shown={})
        except KernelError as error:
            return _not_there(f"statmount: {error.errno_name}")
    (mask,) = struct.unpack_from("=Q", buffer, _MASK_AT)
    (supported,) = struct.unpack_from("=Q", buffer, _SUPPORTED_AT)
    if mask & _STATMOUNT_SUPPORTED and supported & _MNT_UIDMAP:
        return _THERE
    return _not_there("statmount does not tell them")


def _foreign_mounts(host: Host) -> Found:
    with _opened("/proc/self/ns/mnt") as fd:
        try:
            fcntl.ioctl(fd, _NS_GET_MNTNS_ID, bytearray(8))
        except OSError:
            return _not_there("a mount namespace does not tell its id")
    return _found(("listmount", "statmount"), host)


def _of_overlay(by_descriptor: bool, host: Host) -> Found:
    if not host.is_capable:
        return _seen_by_root()
    if "overlay" not in host.filesystems:
        # To ask for it would load the module.
        return Found(UNKNOWN, "nothing says so before the module overlay is loaded")
    command, absent = (5, "fsconfig_set_fd") if by_descriptor else (1, "fsconfig_lowerdir+")
    if call.is_absent(absent):
        return _not_there("overlay does not take it")
    with contextlib.ExitStack() as stack:
        fd = stack.enter_context(_root())
        path, number = (None, fd) if by_descriptor else (b"/", 0)
        try:
            # What is begun so and given up has never been a file system (fsopen(2)).
            context = call.invoke("fsopen", b"overlay", _FSOPEN_CLOEXEC, shown={})
            stack.callback(os.close, context)
            call.invoke("fsconfig", context, command, b"lowerdir+", path, number, shown={})
        except KernelError as error:
            return _not_there(f"overlay does not take it ({error.call}: {error.errno_name})")
    return _THERE


def _root() -> t.ContextManager[int]:
    return _opened("/")


@contextlib.contextmanager
def _opened(path: str) -> t.Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


CHECKS: tuple[Check, ...] = (
    Check(
        "unshare, setns",
        "making and joining namespaces",
        _calls("unshare", "setns"),
        required=True,
        remedy=_OLD,
    ),
    Check(
        "mount, umount2, pivot_root",
        "mounts, and pinning namespaces",
        _calls("mount", "umount2", "pivot_root"),
        required=True,
        remedy=_OLD,
    ),
    Check(
        "open_tree, move_mount",
        "mounts that are set up before anybody sees them",
        _calls("open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick"),
        required=True,
        remedy=_OLD,
    ),
    Check(
        "openat2, statx",
        "paths inside a root",
        _calls("openat2", "statx"),
        required=True,
        remedy=_OLD,
    ),
    Check(
        "pidfd_open, pidfd_send_signal",
        "ending processes",
        _calls("pidfd_open", "pidfd_send_signal"),
        required=True,
        remedy=_OLD,
    ),
    Check("execveat", "starting programs inside", _calls("execveat"), required=True, remedy=_OLD),
    Check(
        "clone3",
        "processes in namespaces of their own in one step; else in two",
        _calls("clone3"),
        remedy=_OLD,
    ),
    Check(
        "close_range",
        "starting programs at once where many files may be open; else slower",
        _calls("close_range"),
        remedy=_OLD,
    ),
    Check(
        "pidfd_getfd",
        "ns_service: sockets that stay open, without systemd",
        _calls("pidfd_getfd"),
        remedy=_OLD,
    ),
    Check(
        "renameat2",
        "roots that change places in one step; else in two",
        _calls("renameat2"),
        remedy=_OLD,
    ),
    Check(
        "mount_setattr",
        "ns_mount: X-mount.idmap, options of all mounts of a tree; ns_rootfs: what programs may write to",
        _calls("mount_setattr"),
        since="5.12",
    ),
    Check(
        "move_mount into a peer group",
        "ns_mount: shared mounts that could not be changed are in their groups again",
        functools.partial(_of_move_mount, detached.MOVE_MOUNT_SET_GROUP, ""),
        since="5.15",
    ),
    Check(
        "move_mount beneath",
        "changing a mount with no moment without it; else there is a short one",
        functools.partial(_of_move_mount, detached.MOVE_MOUNT_BENEATH, "move_mount_beneath"),
        since="6.5",
    ),
    Check(
        "overlays, layer by layer",
        "overlays of many layers; else their names have to fit into one page",
        functools.partial(_of_overlay, False),
        since="6.7",
    ),
    Check(
        "mounts with ids of their own",
        "telling a mount from a later one of the same number",
        _unique_ids,
        since="6.8",
    ),
    Check(
        "mounts of other namespaces",
        "nsctl list and ns_definition: looking without entering; else slower",
        _foreign_mounts,
        since="6.11",
    ),
    Check(
        "overlays of open directories",
        "overlays whose layers nobody can exchange meanwhile; else they are mounted in a copy of the mounts",
        functools.partial(_of_overlay, True),
        since="6.13",
    ),
    Check(
        "mounts that tell their id map",
        "ns_mount: seeing whether X-mount.idmap is as wanted",
        _id_maps,
        since="6.15",
    ),
)
