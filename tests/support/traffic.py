# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections between networks: who answers, and whom the other end sees."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import typing as t

import network
import waiting

_SERVER = """
import socket, sys
kind = socket.SOCK_DGRAM if sys.argv[2] == "udp" else socket.SOCK_STREAM
server = socket.socket(socket.AF_INET6, kind)
server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("::", int(sys.argv[1])))
if kind == socket.SOCK_STREAM:
    server.listen()
print("ready", flush=True)
while True:
    if kind == socket.SOCK_DGRAM:
        asked, who = server.recvfrom(16)
        server.sendto(who[0].encode(), who)
        continue
    client, who = server.accept()
    with client:
        client.sendall(who[0].encode())
"""
_CLIENT = """
import socket, sys
address, port, protocol = sys.argv[1], int(sys.argv[2]), sys.argv[3]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
try:
    with socket.socket(family, kind) as client:
        client.settimeout(float(sys.argv[4]))
        client.connect((address, port))
        client.send(b"x") if protocol == "udp" else None
        print(client.recv(64).decode())
except OSError as error:
    print("nothing:", error)
"""


def _within(where: str) -> list[str]:
    return ["nsenter", f"--net={where}"] if where else []


@contextlib.contextmanager
def answering(port: int, *, where: str = "", protocol: str = "tcp") -> t.Iterator[None]:
    """A program that answers with the address of who asks; ``where`` is the file of its network namespace."""
    argv = [*_within(where), sys.executable, "-c", _SERVER, str(port), protocol]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            assert server.stdout.readline() == "ready\n"
            yield
        finally:
            server.kill()


def seen_by(
    address: str, port: int, *, where: str = "", protocol: str = "tcp", patience: float = 2
) -> str:
    """The address that the program there has seen, which it answers with; empty for no answer in these seconds."""
    argv = [
        *_within(where),
        sys.executable,
        "-c",
        _CLIENT,
        address,
        str(port),
        protocol,
        str(patience),
    ]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    return "" if said.startswith("nothing:") else said.removeprefix("::ffff:")


@contextlib.contextmanager
def other_host(name: str, addresses: t.Sequence[str]) -> t.Iterator[str]:
    """The network of another host: the file of it. There an interface of this name leads here, with the addresses."""
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        try:
            holder.stdout.readline()
            network.ip(f"link add {name} type veth peer name {name} netns {holder.pid}")
            where = f"/proc/{holder.pid}/ns/net"
            for each in addresses:
                nodad = " nodad" if ":" in each else ""
                network.ip_in(where, f"addr add {each} dev {name}{nodad}")
            for each in ("lo", name):
                network.ip_in(where, f"link set {each} up")
            yield where
        finally:
            holder.kill()
            holder.wait()
            waiting.wait_until(lambda: name not in network.interfaces())
