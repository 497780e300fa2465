# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""System calls on detached mounts: they are made, set up, and attached, each by its descriptor.

All of them answer from Linux 5.2 on, mount_setattr(2) from 5.12, MOVE_MOUNT_BENEATH from 6.5. Every
descriptor returned here is close-on-exec.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import ctypes
import errno
import os

from .. import redact
from ..errors import KernelError
from .call import invoke, is_absent, to_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
AT_RECURSIVE = 0x8000
AT_EMPTY_PATH = 0x1000

MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
MOVE_MOUNT_SET_GROUP = 0x100
MOVE_MOUNT_BENEATH = 0x200

_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_FSPICK_CLOEXEC = 1
_FSPICK_EMPTY_PATH = 8
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_SET_FD = 5
_FSCONFIG_CMD_CREATE = 6
_FSCONFIG_CMD_RECONFIGURE = 7

if TYPE_CHECKING:
    # An option of a file system: a flag has no value, an open file is given by its descriptor.
    Option = tuple[str, t.Union[str, int, None]]


class _MountAttr(ctypes.Structure):
    _fields_ = [
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


def open_tree(dir_fd: int, path: str, *, recursive: bool = False, of_detached: bool = False) -> int:
    """open_tree(2) with OPEN_TREE_CLONE: a detached copy of the mount at ``path``.

    An empty path means ``dir_fd`` itself. ``of_detached``: the mount is attached nowhere (Linux 6.15;
    EINVAL before). Raises KernelError.
    """
    if of_detached and is_absent("open_tree_of_detached"):
        raise KernelError("open_tree", errno.EINVAL, {"path": path})
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
    flags |= AT_RECURSIVE if recursive else 0
    flags |= 0 if path else AT_EMPTY_PATH
    return invoke(
        "open_tree", dir_fd, to_bytes(path), flags, shown={"path": path, "flags": hex(flags)}
    )


def move_mount(mount_fd: int, target_fd: int, *, beneath: bool = False) -> None:
    """move_mount(2): attach the detached mount ``mount_fd`` at the place ``target_fd``.

    ``beneath`` puts it under the mount that is there now (Linux 6.5; EINVAL before).
    Raises KernelError.
    """
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    flags |= MOVE_MOUNT_BENEATH if beneath else 0
    if beneath and is_absent("move_mount_beneath"):
        raise KernelError("move_mount", errno.EINVAL, {"flags": hex(flags)})
    invoke("move_mount", mount_fd, b"", target_fd, b"", flags, shown={"flags": hex(flags)})


def set_group(from_fd: int, mount_fd: int) -> None:
    """move_mount(2), Linux 5.15: the private mount ``mount_fd`` joins the peer group of another one.

    That is of the same file system, and shows all that it shows. It is its slave where that is one.
    Raises KernelError: EPERM without CAP_SYS_ADMIN over the namespaces of both.
    """
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH | MOVE_MOUNT_SET_GROUP
    invoke("move_mount", from_fd, b"", mount_fd, b"", flags, shown={"flags": hex(flags)})


def _log_of(context_fd: int) -> str:
    """What the kernel wrote about the last failure of a file-system context (fsopen(2))."""
    lines = []
    while True:
        try:
            line = os.read(context_fd, 8192)
        except OSError:  # ENODATA: the log is read
            break
        lines.append(line.decode(errors="replace").strip())
    # Each line starts with a class: e for errors, w for warnings, i for information.
    errors = [line[2:] for line in lines if line.startswith("e ")]
    # A file system and the parser of its options may say the same.
    return "; ".join(dict.fromkeys(errors or [line[2:] for line in lines]))


def _fsconfig(
    context_fd: int,
    command: int,
    key: str | None,
    value: str | None,
    number: int = 0,
    *,
    secrets: t.Collection[str] = (),
    source: str = "",
) -> None:
    """fsconfig(2). The kernel may quote what it refuses, but for secrets: see redact.without()."""
    try:
        invoke(
            "fsconfig",
            context_fd,
            command,
            None if key is None else to_bytes(key),
            None if value is None else to_bytes(value),
            number,
            shown={} if key is None else {"key": key, "value": value and redact.shown(key, value)},
        )
    except KernelError as error:
        error.log = redact.without(_log_of(context_fd), secrets, source)
        raise


def _configure(
    context_fd: int, options: t.Collection[Option], command: int, *, source: str = ""
) -> None:
    """Set the options, and have the kernel make or change the file system with them."""
    secrets = _secrets_of(options)
    if source:
        _fsconfig(context_fd, _FSCONFIG_SET_STRING, "source", source, source=source)
    for key, value in options:
        if isinstance(value, int):
            if is_absent("fsconfig_set_fd"):
                raise KernelError("fsconfig", errno.EINVAL, {"key": key})
            _fsconfig(context_fd, _FSCONFIG_SET_FD, key, None, value)
            continue
        if is_absent(f"fsconfig_{key}"):
            raise KernelError("fsconfig", errno.EINVAL, {"key": key, "value": value})
        how = _FSCONFIG_SET_FLAG if value is None else _FSCONFIG_SET_STRING
        _fsconfig(context_fd, how, key, value, secrets=secrets, source=source)
    _fsconfig(context_fd, command, None, None, secrets=secrets, source=source)


def _secrets_of(options: t.Iterable[Option]) -> set[str]:
    texts = ((key, value) for key, value in options if not isinstance(value, int))
    return redact.secrets_of(texts)


def make_filesystem(
    fstype: str, *, source: str, options: t.Collection[Option], attributes: int
) -> int:
    """fsopen(2), fsconfig(2), fsmount(2): a detached mount of a file system.

    ``options`` are (key, value) with None for a flag, ``attributes`` MOUNT_ATTR_* bits. A
    directory of an overlay may be given by its descriptor from Linux 6.13 on; EINVAL before.
    Returns the descriptor of the mount. Raises KernelError; its ``log`` is the kernel's text.
    """
    try:
        context_fd = invoke("fsopen", to_bytes(fstype), _FSOPEN_CLOEXEC, shown={"fstype": fstype})
    except KernelError as error:
        error.arguments["source"] = redact.address(source)
        raise
    try:
        try:
            _configure(context_fd, options, _FSCONFIG_CMD_CREATE, source=source)
        except KernelError as error:
            error.arguments["source"] = redact.address(source)
            raise
        try:
            return invoke(
                "fsmount",
                context_fd,
                _FSMOUNT_CLOEXEC,
                attributes,
                shown={
                    "fstype": fstype,
                    "source": redact.address(source),
                    "attributes": hex(attributes),
                },
            )
        except KernelError as error:
            error.log = redact.without(_log_of(context_fd), _secrets_of(options), source)
            raise
    finally:
        os.close(context_fd)


def reconfigure(mount_fd: int, options: t.Collection[tuple[str, str | None]]) -> None:
    """fspick(2), fsconfig(2): change options of the file system that is mounted at ``mount_fd``.

    Raises KernelError; its ``log`` is the kernel's text, and ``reconfigured`` among its arguments says
    that it was about what is mounted already.
    """
    context_fd = invoke("fspick", mount_fd, b"", _FSPICK_CLOEXEC | _FSPICK_EMPTY_PATH, shown={})
    try:
        _configure(context_fd, options, _FSCONFIG_CMD_RECONFIGURE)
    except KernelError as error:
        error.arguments["reconfigured"] = True
        raise
    finally:
        os.close(context_fd)


def mount_setattr(
    mount_fd: int,
    *,
    attr_set: int = 0,
    attr_clr: int = 0,
    propagation: int = 0,
    userns_fd: int = 0,
    recursive: bool = False,
) -> None:
    """mount_setattr(2), Linux 5.12: change the attributes and propagation of a mount.

    ``propagation`` is one of MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE, or 0.
    Raises KernelError (ENOSYS before 5.12).
    """
    attributes = _MountAttr(attr_set, attr_clr, propagation, userns_fd)
    invoke(
        "mount_setattr",
        mount_fd,
        b"",
        AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0),
        ctypes.byref(attributes),
        ctypes.sizeof(attributes),
        shown={
            "attr_set": hex(attr_set),
            "attr_clr": hex(attr_clr),
            "propagation": hex(propagation),
            "recursive": recursive,
        },
    )
