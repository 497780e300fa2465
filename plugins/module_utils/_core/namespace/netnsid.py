# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The number that the caller's net namespace has for another one (NETNSID of lsns(8)).

From include/uapi/linux/net_namespace.h: RTM_GETNSID of rtnetlink(7).
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import socket
import struct

_RTM_NEWNSID = 88
_RTM_GETNSID = 90
_NLM_F_REQUEST = 1
_NETNSA_NSID = 1
_NETNSA_FD = 3
_UNASSIGNED = -1

_HEADER = struct.Struct("=LHHLL")  # struct nlmsghdr
_FAMILY = struct.Struct("=B3x")  # struct rtgenmsg, padded
_ATTRIBUTE = struct.Struct("=HHl")  # struct nlattr with four bytes of payload


class Resolver:
    """Asks the kernel. Use it in a with statement."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def id_of(self, fd: int) -> int | None:
        """The number of the open net namespace file ``fd``; None where it has none."""
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
            self._socket.send(
                _HEADER.pack(_HEADER.size + 12, _RTM_GETNSID, _NLM_F_REQUEST, 0, 0)
                + _FAMILY.pack(socket.AF_UNSPEC)
                + _ATTRIBUTE.pack(_ATTRIBUTE.size, _NETNSA_FD, fd)
            )
            answer = self._socket.recv(4096)
        except OSError:  # a kernel or a sandbox without it: the number is a nicety
            return None
        return parse(answer)

    def __enter__(self) -> Resolver:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._socket is not None:
            self._socket.close()


def parse(answer: bytes) -> int | None:
    """The number in the kernel's answer; None where it is an error or none is assigned."""
    length, kind, _flags, _sequence, _port = _HEADER.unpack_from(answer)
    if kind != _RTM_NEWNSID:
        return None
    offset = _HEADER.size + _FAMILY.size
    while offset + _ATTRIBUTE.size <= min(length, len(answer)):
        size, name, number = _ATTRIBUTE.unpack_from(answer, offset)
        if name == _NETNSA_NSID:
            return None if number == _UNASSIGNED else int(number)
        offset += max(size + 3 & ~3, 4)
    return None
