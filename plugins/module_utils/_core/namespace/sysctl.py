# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Kernel parameters that belong to a namespace (sysctl(8) names), read and written inside it.

Only those that a namespace has of its own: any other would be the host's.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import typing as t

from .. import redact
from ..errors import KernelError, Refused
from ..process import proc
from ..syscalls import detached, mounts

# From the kernel's tables: net/ is per network namespace; of kernel/, the parameters of
# ipc/ipc_sysctl.c; of fs/, those of ipc/mq_sysctl.c; user/ is per user namespace (4.9).
_IPC = frozenset(
    "kernel." + name
    for name in [
        "shmall",
        "shmmax",
        "shmmni",
        "shm_rmid_forced",
        "shm_next_id",
        "msgmax",
        "msgmni",
        "msgmnb",
        "msg_next_id",
        "auto_msgmni",
        "sem",
        "sem_next_id",
    ]
)


def kind_of(key: str) -> str:
    """The kind of namespace that has the parameter ``key``. Raises Refused where none has."""
    if key.startswith("net.") and ".." not in key and "/" not in key[:4]:
        return "net"
    if key in _IPC or key.startswith("fs.mqueue."):
        return "ipc"
    if key.startswith("user.max_"):
        return "user"
    if key in ("kernel.hostname", "kernel.domainname"):
        raise Refused(
            f"{key} is not set by sysctl here", f"Use the option {key.partition('.')[2]}."
        )
    raise Refused(
        f"the kernel parameter {key!r} belongs to no namespace: to set it would change the host",
        "Set it on the host (ansible.posix.sysctl), or name one below net.",
    )


def check(keys: t.Iterable[str], kinds: t.Collection[str]) -> None:
    """Raises Refused unless each parameter belongs to one of these kinds."""
    for key in keys:
        kind = kind_of(key)
        if kind not in kinds:
            raise Refused(f"sysctl {key} needs the kind {kind}", f"Add {kind} to kinds.")
        if any(part in ("", ".", "..") for part in _path(key).split("/")[1:]):
            raise Refused(f"{key!r} is not the name of a kernel parameter")


def _path(key: str) -> str:
    """The file of a parameter. A slash in a name stands for a dot (sysctl(8)): eth0/1."""
    return "/proc/sys/" + key.replace(".", "\0").replace("/", ".").replace("\0", "/")


def _normalised(value: str) -> str:
    return " ".join(value.split())


def read(key: str) -> str:
    """The value in the caller's namespaces, its fields separated by a space. Raises KernelError."""
    try:
        with open(_path(key), encoding="utf-8") as parameter:
            return _normalised(parameter.read())
    except OSError as error:
        raise KernelError("read", error.errno or errno.EIO, {"path": _path(key)}) from error


def is_set(key: str, value: str) -> bool:
    """Whether it has this value in the caller's namespaces. Raises Refused where there is none."""
    try:
        return read(key) == _normalised(value)
    except KernelError as error:
        if error.errno == errno.ENOENT:
            raise Refused(*_not_there(key)) from error
        return False  # one that can only be written, or that has no value yet


def write(key: str, value: str, *, proc_fd: int | None = None) -> None:
    """Set the value in the caller's namespaces. Raises KernelError: see explain().

    ``proc_fd`` is another /proc than the host's, open: see fresh_proc().
    """
    path = _path(key)
    name = path if proc_fd is None else path.removeprefix("/proc/")
    try:
        proc.write(name, value, dir_fd=proc_fd)
    except KernelError as error:
        error.arguments["text"] = redact.parameter(key, value)
        with contextlib.suppress(OSError):
            error.arguments["mode"] = oct(os.stat(name, dir_fd=proc_fd).st_mode & 0o777)
        raise


def write_anyhow(key: str, value: str) -> None:
    """The same also where /proc/sys is mounted read-only, as in a container. Raises KernelError: see explain()."""
    try:
        write(key, value)
    except KernelError as error:
        if error.errno != errno.EROFS:
            raise
        with fresh_proc() as proc_fd:
            write(key, value, proc_fd=proc_fd)


@contextlib.contextmanager
def fresh_proc() -> t.Iterator[int]:
    """A proc of the caller's pid namespace that is mounted nowhere, open, for the block.

    Containers have a /proc/sys that is mounted read-only over the one of their /proc; what is open
    here lies beneath nothing, and the parameters of a namespace are those of whoever opens them.
    Raises KernelError.
    """
    secure = mounts.MOUNT_ATTR_NOSUID | mounts.MOUNT_ATTR_NODEV | mounts.MOUNT_ATTR_NOEXEC
    try:
        fd = detached.make_filesystem("proc", source="proc", options=(), attributes=secure)
    except KernelError as error:
        error.arguments[_NO_FRESH_PROC] = True
        raise
    try:
        yield fd
    finally:
        os.close(fd)


# Among the arguments of an error: /proc/sys is read-only, and it was no way around that.
_NO_FRESH_PROC = "instead of a read-only /proc/sys"


def explain(error: OSError, *, key: str, value: str) -> tuple[str, str]:
    """Why write() failed."""
    if error.errno == errno.ENOENT:
        return _not_there(key)
    if error.errno in (errno.EINVAL, errno.ERANGE):
        return (
            f"the kernel takes no value {redact.parameter(key, value)!r} for {key}",
            "See its documentation (sysctl(8)).",
        )
    given = error.arguments if isinstance(error, KernelError) else {}
    if _NO_FRESH_PROC in given or error.errno == errno.EROFS:
        return (
            (
                "/proc/sys is mounted read-only here, as in a container, and no other /proc can be mounted "
                f"to set {key}"
            ),
            (
                "Remount it (mount -o remount,rw,bind /proc/sys), run the container with more rights, or "
                "set it from outside."
            ),
        )
    if error.errno not in (errno.EACCES, errno.EPERM):
        return "", ""
    if not int(str(given.get("mode", "0o200")), 8) & 0o222:
        return (
            f"{key} may not be set in a namespace: the kernel only shows it there",
            "Set it on the host, or leave it out.",
        )
    return (
        f"the kernel or a security module forbids the caller to set {key}",
        (
            "Run the task as root of the host (become: true). In a container it may be AppArmor or SELinux "
            "that forbids it (see dmesg), or a right that the container lacks."
        ),
    )


def _not_there(key: str) -> tuple[str, str]:
    return (
        f"the namespace has no kernel parameter {key}",
        (
            "Correct the name. Some are the host's alone, and some belong to a device or a module "
            "that has to be there first."
        ),
    )
