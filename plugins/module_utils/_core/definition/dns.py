# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Who a namespace asks for names, and what names it knows: resolv.conf(5) and hosts(5).

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing as t

from ..errors import Refused
from ..printable import printable
from .part import Part

MARK = "# Written by linux.namespaces; what is changed here is lost."
RESOLVER, HOSTS = "resolv.conf", "hosts"
FILES = (RESOLVER, HOSTS)
# MAXNS of resolv.h: more are not asked.
_MOST_SERVERS = 3
_NAME = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?\Z"
)
_OPTION = re.compile(r"[a-z][a-z0-9-]*(:\d{1,5})?\Z")
_KNOWN_AT_HOME = ("127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback")


@dataclasses.dataclass(frozen=True)
class Host(Part):
    """An address, and the names that it is known by."""

    address: str
    names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Dns(Part):
    """Who is asked, and what is known without."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    hosts: tuple[Host, ...] = dataclasses.field(default=(), metadata={"of": Host})


def checked(dns: Dns) -> Dns:
    """This, when it makes sense by itself; addresses as the kernel writes them. Raises Refused."""
    for text in dns.search:
        if text != "." and not _NAME.match(text):
            raise Refused(f"dns: search has {printable(text[:60])!r}, which is no name of a domain")
    for text in dns.options:
        if not _OPTION.match(text):
            raise Refused(
                f"dns: options has {printable(text[:60])!r}",
                "As ndots:2 or edns0 (resolv.conf(5)).",
            )
    hosts = []
    for host in dns.hosts:
        if not host.names:
            raise Refused(f"dns: hosts has {printable(host.address[:60])} without names")
        for name in host.names:
            if not _NAME.match(name):
                raise Refused(
                    f"dns: hosts has {printable(name[:60])!r}, which is no name of a host"
                )
        hosts.append(host.replace(address=_address(host.address, "hosts")))
    servers = tuple(dict.fromkeys(_address(text, "servers") for text in dns.servers))
    _check_number(servers)
    return dns.replace(servers=servers, hosts=tuple(hosts))


def _address(text: str, option: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise Refused(
            f"dns: {option} has {printable(text[:60])!r}, which is no address",
            "As 10.9.0.1 or fd00:9::1.",
        ) from None


def _check_number(servers: t.Collection[str]) -> None:
    if len(servers) > _MOST_SERVERS:
        raise Refused(
            f"dns: {len(servers)} servers are named",
            f"The C library asks the first {_MOST_SERVERS}: name no more.",
        )


def files_of(every: t.Sequence[Dns]) -> dict[str, str]:
    """What is in the files of a namespace whose interfaces say this, by their names. Raises Refused."""
    servers = [*dict.fromkeys(text for dns in every for text in dns.servers)]
    search = [*dict.fromkeys(text for dns in every for text in dns.search)]
    options = [*dict.fromkeys(text for dns in every for text in dns.options)]
    hosts = [*dict.fromkeys(host for dns in every for host in dns.hosts)]
    _check_number(servers)
    found = {}
    if servers or search or options:
        lines = [f"nameserver {text}" for text in servers]
        lines += [f"search {' '.join(search)}"] if search else []
        lines += [f"options {' '.join(options)}"] if options else []
        found[RESOLVER] = "\n".join([MARK, *lines, ""])
    if hosts:
        lines = [f"{host.address} {' '.join(host.names)}" for host in hosts]
        found[HOSTS] = "\n".join([MARK, *_KNOWN_AT_HOME, *lines, ""])
    return found
