# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A socket that is opened for a service, and outlives its program: sd_listen_fds(3) hands it over.

One that is a file lies in a directory of root's own, and is bound to its path inside (service/socket_files.py):

    /run/linux-namespaces.sockets/web/app/5d0f9a31

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .. import host_paths
from ..errors import Refused
from ..process import accounts
from .data import Fields
from .service_words import SOCKET_TYPES

# Of its directories on the host.
MODE = 0o700
# Of the file, as systemd has it (systemd.socket(5), SocketMode=).
DEFAULT_MODE = 0o666
# How many connections the kernel holds for a program, as long as net.core.somaxconn allows: systemd
# before version 250 has 128.
BACKLOG = 4096
# So many descriptors go with one message, and less (SCM_MAX_FD of net/scm.h).
MOST = 64
# Of an address of unix(7), sun_path, which ends with a null character.
_LONGEST_PATH = 107
# systemd.socket(5), FileDescriptorName=.
_LONGEST_NAME = 255
_HINT = "Such as 127.0.0.1:8080, '[::1]:53' or /run/app.sock."


@dataclasses.dataclass(frozen=True)
class Socket:
    """One of them. The suboptions of ns_service have the same names."""

    # An address and a port, as 127.0.0.1:80 and [::1]:80, or the path of a file inside.
    listen: str
    # One of SOCKET_TYPES.
    type: str = "stream"
    # What the program knows it by; empty for the name of the service.
    name: str = ""
    # Of the file: its permissions, and names or numbers as they are known inside. Empty for root.
    mode: int | None = None
    owner: str = ""
    group: str = ""
    # Whether accept(2) waits for who connects, as it does unless somebody says otherwise.
    blocking: bool = True

    @property
    def is_file(self) -> bool:
        """Whether it is a file, and no address."""
        return self.listen.startswith("/")

    @property
    def address(self) -> tuple[str, int]:
        """The address, a number, and the port of one that is no file."""
        host, _colon, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def port(self) -> int | None:
        """The port of one that is no file."""
        return None if self.is_file else self.address[1]

    @property
    def is_of_ipv6(self) -> bool:
        """Whether its address is one."""
        return self.listen.startswith("[")

    def is_same(self, other: Socket) -> bool:
        """Whether the other one may take its place, with all that wait in it."""
        return (self.listen, self.type) == (other.listen, other.type)

    def checked(self) -> Socket:
        """This, when it makes sense by itself. Raises Refused."""
        if self.type not in SOCKET_TYPES:
            raise Refused(f"type of a socket is one of {', '.join(SOCKET_TYPES)}, not {self.type}")
        self._check_file() if self.is_file else self._check_address()
        is_name = self.name.isascii() and self.name.isprintable() and ":" not in self.name
        if not is_name or len(self.name) > _LONGEST_NAME:
            raise Refused(
                f"{self.name!r} cannot be the name of a socket",
                f"It has up to {_LONGEST_NAME} characters of ASCII, and no colon.",
            )
        return self

    def _check_file(self) -> None:
        parts = self.listen.split("/")[1:]
        if "\0" in self.listen or not all(each not in ("", ".", "..") for each in parts):
            raise Refused(f"listen is {self.listen!r}, which is no clean path", _HINT)
        if len(os.fsencode(self.listen)) > _LONGEST_PATH:
            raise Refused(
                f"listen is a path of more than {_LONGEST_PATH} bytes: nobody could connect to it"
            )
        accounts.checked(self.owner or None, self.group or None, None)
        if ":" in self.owner:
            raise Refused(f"owner {self.owner!r} names a group as well", "Give group.")

    def _check_address(self) -> None:
        import socket  # 5 ms to load, for a service that has any

        host, colon, port = self.listen.rpartition(":")
        family = socket.AF_INET6 if self.is_of_ipv6 else socket.AF_INET
        is_whole = not self.is_of_ipv6 or (host[-1:] == "]" and host.count("]") == 1)
        try:
            socket.inet_pton(family, host.strip("[]"))
        except (OSError, ValueError):
            is_whole = False
        if not colon or not is_whole:
            raise Refused(
                f"listen is {self.listen!r}, which is neither an address with a port nor a path",
                _HINT,
            )
        if not (port.isascii() and port.isdigit()) or not 0 < int(port[:6]) < 1 << 16:
            raise Refused(f"the port of {self.listen!r} must be a number from 1 to 65535", _HINT)
        if self.mode is not None or self.owner or self.group:
            raise Refused(
                f"{self.listen} is no file, and has no mode, owner or group", "Leave them out."
            )

    def to_data(self) -> dict[str, t.Any]:
        """The JSON form, which is that of the options as well."""
        data: dict[str, t.Any] = {"listen": self.listen}
        if self.type != Socket.type:
            data["type"] = self.type
        if self.mode is not None:
            data["mode"] = f"{self.mode:04o}"
        data.update({key: getattr(self, key) for key in _WORDS if getattr(self, key)})
        if not self.blocking:
            data["blocking"] = False
        return data

    @classmethod
    def from_data(cls, data: t.Any) -> Socket:
        """That of a JSON form. Raises ValueError."""
        fields = Fields(data, "a socket")
        mode = fields.take("mode", str, "")
        found = cls(
            listen=fields.text("listen"),
            type=fields.word("type", SOCKET_TYPES, cls.type),
            mode=int(mode, 8) if mode else None,
            blocking=fields.take("blocking", bool, True),
            **{key: fields.text(key, "") for key in _WORDS},
        )
        fields.done()
        return found


_WORDS = ("name", "owner", "group")


def check(namespace: str, name: str, sockets: t.Sequence[Socket]) -> None:
    """Raises Refused for a list that a service of this name cannot have."""
    if len(sockets) > MOST:
        raise Refused(f"there are {len(sockets)} sockets, and a service may have {MOST}")
    for number, each in enumerate(sockets):
        each.checked()
        if any(each.is_same(other) for other in sockets[:number]):
            raise Refused(f"the socket {each.listen} is listed twice", "List each once.")
        if each.is_file and len(os.fsencode(place_of(namespace, name, each))) > _LONGEST_PATH:
            raise Refused(
                f"the names {namespace} and {name} are too long for the socket {each.listen}",
                "Together they may have 67 characters: the kernel has no room for longer ones.",
            )


def names_of(name: str, sockets: t.Sequence[Socket]) -> str:
    """What LISTEN_FDNAMES of a service of this name says (sd_listen_fds(3))."""
    return ":".join(each.name or name for each in sockets)


def directory_of(namespace: str, name: str) -> str:
    """Where the files of its sockets are on the host."""
    return (
        f"{host_paths.SOCKETS}/{host_paths.checked_name(namespace)}/{host_paths.checked_name(name)}"
    )


def place_of(namespace: str, name: str, socket: Socket) -> str:
    """The file on the host of one. It stays the same when others are listed before it."""
    import hashlib  # 2 ms to load, for who has such sockets

    key = hashlib.sha256(os.fsencode(f"{socket.type} {socket.listen}")).hexdigest()[:8]
    return f"{directory_of(namespace, name)}/{key}"
