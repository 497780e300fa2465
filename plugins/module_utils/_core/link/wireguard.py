# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The keys and peers of a tunnel, by wg(8).

Keys are read from their files, and go to the program by its input: never to a command line, a log or a file.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import socket
import typing as t

from ..definition.link import Wireguard
from ..definition.link_checks import is_key
from ..errors import Refused
from ..syscalls import regular_files
from . import tool

# A key with the end of its line, and some blanks.
_LONGEST = 128
_NONE = "(none)"


class Keys(t.NamedTuple):
    """The secret keys of a tunnel."""

    private: str
    # By public key.
    preshared: dict[str, str]


def keys_of(tunnel: Wireguard) -> Keys:
    """The keys in its files. Raises Refused, which names the file."""
    files = {each.public_key: each.preshared_key_file for each in tunnel.peers}
    return Keys(
        _key_in(tunnel.private_key_file, "wg genkey"),
        {key: _key_in(path, "wg genpsk") for key, path in files.items() if path},
    )


def _key_in(path: str, maker: str) -> str:
    hint = f"`{maker}` makes a key; the file is root's, with mode 0600."
    try:
        fd = regular_files.open_regular(path)
    except (OSError, regular_files.NotRegular) as error:
        raise Refused(f"the key in {path} cannot be read: {error}", hint) from error
    try:
        found, text = os.fstat(fd), os.read(fd, _LONGEST)
    finally:
        os.close(fd)
    if found.st_mode & 0o077:
        raise Refused(
            f"{path} can be read by others than its owner, and holds a key", "chmod 0600."
        )
    key = text.decode("ascii", "replace").strip()
    if not is_key(key):
        raise Refused(f"{path} holds no key of WireGuard", hint)
    return key


def is_set(name: str, tunnel: Wireguard, keys: Keys, *, net: int) -> bool:
    """Whether the interface has these keys and peers. Raises tool.Failed, Refused, OSError."""
    rows = [
        line.split("\t") for line in tool.change(["wg", "show", name, "dump"], net=net).splitlines()
    ]
    if not rows or len(rows[0]) < 4:
        return False
    own, *others = rows
    mark = 0 if own[3] == "off" else int(own[3], 0)
    if own[0] != keys.private or mark != tunnel.fwmark:
        return False
    if tunnel.listen_port and own[2] != str(tunnel.listen_port):
        return False
    there = {row[0]: _peer(row) for row in others if len(row) >= 8}
    wanted = {
        each.public_key: (
            keys.preshared.get(each.public_key, _NONE),
            frozenset(each.allowed_ips),
            str(each.persistent_keepalive or "off"),
        )
        for each in tunnel.peers
    }
    # A peer may have moved since, so that it has an endpoint is enough.
    reached = {row[0] for row in others if row[2] != _NONE}
    return there == wanted and all(
        not each.endpoint or each.public_key in reached for each in tunnel.peers
    )


def _peer(row: t.Sequence[str]) -> tuple[str, frozenset[str], str]:
    allowed = frozenset(row[3].split(",")) if row[3] != _NONE else frozenset()
    return row[1], allowed, row[7]


def _looked_up(endpoint: str) -> str:
    """The address of the endpoint. Who lives inside may have no names, nor a way to who knows them."""
    host, _colon, port = endpoint.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)
    except OSError as error:
        raise tool.Failed(f"the name {host} cannot be looked up: {error.strerror}") from error
    address = found[0][4][0]
    return f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"


def set_up(name: str, tunnel: Wireguard, keys: Keys, *, net: int) -> None:
    """Give the interface these keys and peers; connections of those that stay go on. Raises as is_set()."""
    lines = ["[Interface]", f"PrivateKey = {keys.private}"]
    lines += [f"ListenPort = {tunnel.listen_port}"] if tunnel.listen_port else []
    lines += [f"FwMark = {tunnel.fwmark}"]
    for each in tunnel.peers:
        lines += ["[Peer]", f"PublicKey = {each.public_key}"]
        if each.public_key in keys.preshared:
            lines.append(f"PresharedKey = {keys.preshared[each.public_key]}")
        if each.allowed_ips:
            lines.append(f"AllowedIPs = {', '.join(each.allowed_ips)}")
        if each.endpoint:
            lines.append(f"Endpoint = {_looked_up(each.endpoint)}")
        lines.append(f"PersistentKeepalive = {each.persistent_keepalive or 'off'}")
    tool.change(["wg", "syncconf", name, "/proc/self/fd/0"], net=net, given="\n".join([*lines, ""]))
