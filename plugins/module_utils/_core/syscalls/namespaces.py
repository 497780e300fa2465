# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""System calls on namespaces: unshare(2), setns(2), ioctl_ns(2), and the names of a host.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import fcntl
import struct

from ..errors import KernelError
from .call import invoke, is_absent, to_bytes

_NS_GET_USERNS = 0xB701
_NS_GET_PARENT = 0xB702
_NS_GET_NSTYPE = 0xB703
_NS_GET_OWNER_UID = 0xB704


def unshare(flags: int) -> None:
    """unshare(2): the caller leaves for new namespaces of these CLONE_NEW* kinds.

    For pid and time it is the next child that does. Raises KernelError.
    """
    invoke("unshare", flags, shown={"flags": hex(flags)})


def setns(fd: int, flags: int) -> None:
    """setns(2): join the namespace ``fd``, of the CLONE_NEW* kind ``flags``.

    Joining a mount namespace sets root and working directory to its root. Raises KernelError.
    """
    invoke("setns", fd, flags, shown={"fd": fd, "flags": hex(flags)})


def setns_process(pidfd: int, flags: int) -> None:
    """setns(2) with a pidfd, Linux 5.8: join namespaces of a process, of several kinds at once.

    Raises KernelError: EINVAL where the kernel takes no pidfd.
    """
    if is_absent("setns_pidfd"):
        raise KernelError("setns", errno.EINVAL, {"pidfd": pidfd, "flags": hex(flags)})
    invoke("setns", pidfd, flags, shown={"pidfd": pidfd, "flags": hex(flags)})


def _ioctl(fd: int, request: int, name: str) -> int:
    try:
        return fcntl.ioctl(fd, request)
    except OSError as error:
        raise KernelError(f"ioctl {name}", error.errno or errno.EIO, {"fd": fd}) from error


def kind_flag(fd: int) -> int:
    """The CLONE_NEW* flag of the namespace ``fd`` (NS_GET_NSTYPE, Linux 4.11).

    Raises KernelError: ENOTTY where ``fd`` is no namespace file.
    """
    return _ioctl(fd, _NS_GET_NSTYPE, "NS_GET_NSTYPE")


def owner(fd: int) -> int:
    """A descriptor of the user namespace that owns the namespace ``fd`` (Linux 4.9).

    Raises KernelError: EPERM where it lies outside of what the caller may see.
    """
    return _ioctl(fd, _NS_GET_USERNS, "NS_GET_USERNS")


def parent(fd: int) -> int:
    """A descriptor of the parent of a pid or user namespace (Linux 4.9).

    Raises KernelError: EINVAL for other kinds, EPERM at the top of what the caller may see.
    """
    return _ioctl(fd, _NS_GET_PARENT, "NS_GET_PARENT")


def owner_uid(fd: int) -> int:
    """The uid of the owner of the user namespace ``fd`` (Linux 4.11). Raises KernelError."""
    buffer = bytearray(4)
    try:
        fcntl.ioctl(fd, _NS_GET_OWNER_UID, buffer)
    except OSError as error:
        raise KernelError("ioctl NS_GET_OWNER_UID", error.errno or errno.EIO) from error
    return int(struct.unpack("=I", buffer)[0])


def sethostname(name: str) -> None:
    """sethostname(2) in the caller's uts namespace. Raises KernelError."""
    encoded = to_bytes(name)
    invoke("sethostname", encoded, len(encoded), shown={"name": name})


def setdomainname(name: str) -> None:
    """setdomainname(2) in the caller's uts namespace. Raises KernelError."""
    encoded = to_bytes(name)
    invoke("setdomainname", encoded, len(encoded), shown={"name": name})
