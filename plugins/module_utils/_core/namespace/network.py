# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Network namespaces: their loopback, and showing a named one to ip-netns(8).

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct

from .. import host_paths
from ..errors import KernelError, Refused
from ..storage import atomic
from . import pins

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_IFREQ = struct.Struct("16sh22x")

# Where ip-netns(8) looks for names.
NETNS = "/run/netns"


def _flags(control: socket.socket, new: int | None = None) -> int:
    request = _IFREQ.pack(b"lo", 0 if new is None else new)
    call = _SIOCGIFFLAGS if new is None else _SIOCSIFFLAGS
    try:
        answer = fcntl.ioctl(control, call, request)
    except OSError as error:
        name = "SIOCGIFFLAGS" if new is None else "SIOCSIFFLAGS"
        raise KernelError(f"ioctl {name}", error.errno or 0, {"interface": "lo"}) from error
    return int(_IFREQ.unpack(answer)[1])


def is_loopback_up() -> bool:
    """Whether lo is up in the caller's network namespace (netdevice(7)). Raises KernelError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        return bool(_flags(control) & _IFF_UP)


def set_loopback(*, up: bool) -> None:
    """Set lo up or down in the caller's network namespace. Raises KernelError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        flags = _flags(control)
        _flags(control, flags | _IFF_UP if up else flags & ~_IFF_UP)


def _shown(name: str) -> str:
    return f"{NETNS}/{host_paths.file_name(name)}"


def is_published(name: str) -> bool:
    """Whether ip-netns(8) sees the network namespace of the named namespace ``name``."""
    try:
        return os.readlink(_shown(name)) == pins.path(name, "net")
    except OSError:
        return False


def check_publishable(name: str) -> None:
    """Raises Refused when ip-netns(8) has that name for something else."""
    if os.path.lexists(_shown(name)) and not is_published(name):
        raise Refused(
            f"`ip netns` has a network namespace {name!r} already, made by somebody else",
            f"Choose another name, or act on it with namespace_path: {NETNS}/{name}.",
        )


def publish(name: str) -> None:
    """Show it to ip-netns(8): by a link to the pin, so that the host gets no further mount."""
    if is_published(name):
        return
    atomic.make_directory(NETNS, mode=0o755)
    atomic.link(pins.path(name, "net"), _shown(name))


def unpublish(name: str) -> None:
    """Take it away from ip-netns(8)."""
    if not is_published(name):
        return
    os.unlink(_shown(name))
    with contextlib.suppress(OSError):  # others have names there, or ip-netns mounted it
        os.rmdir(NETNS)
