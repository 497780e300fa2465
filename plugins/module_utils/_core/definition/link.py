# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""An interface of a network namespace, as ns_link has it.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import dataclasses

from .dns import Dns
from .link_words import HOST, MOVED
from .part import Part


@dataclasses.dataclass(frozen=True)
class Route(Part):
    """A route by way of an interface, or a blackhole."""

    to: str
    via: str = ""
    # Empty for the interface that has the route.
    dev: str = ""
    metric: int = 0
    # 0 for the main one.
    table: int = 0
    blackhole: bool = False


@dataclasses.dataclass(frozen=True)
class Rule(Part):
    """A rule that says which packets are routed by which table (ip-rule(8))."""

    priority: int
    table: int
    from_: str = ""
    to: str = ""
    iif: str = ""
    oif: str = ""
    fwmark: int = 0


@dataclasses.dataclass(frozen=True)
class Peer(Part):
    """The other end of a veth."""

    name: str = ""
    # The named namespace that it is in; empty for the host.
    namespace: str = ""
    # The bridge that it is a port of, where it is.
    bridge: str = ""
    addresses: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class WireguardPeer(Part):
    """Who is at another end of a tunnel."""

    public_key: str
    preshared_key_file: str = ""
    endpoint: str = ""
    allowed_ips: tuple[str, ...] = ()
    # In seconds; 0 for never.
    persistent_keepalive: int = 0


@dataclasses.dataclass(frozen=True)
class Wireguard(Part):
    """A tunnel. Of its keys that are secret only the files are known."""

    private_key_file: str
    # 0 for any.
    listen_port: int = 0
    fwmark: int = 0
    peers: tuple[WireguardPeer, ...] = dataclasses.field(default=(), metadata={"of": WireguardPeer})


@dataclasses.dataclass(frozen=True)
class Link(Part):
    """An interface: see the options of ns_link, which have the same names."""

    name: str
    kind: str
    up: bool = True
    mac: str = ""
    # 0 leaves what the kernel gives.
    mtu: int = 0
    # The bridge or vrf of the same namespace that it is a port of.
    master: str = ""
    addresses: tuple[str, ...] = ()
    routes: tuple[Route, ...] = dataclasses.field(default=(), metadata={"of": Route})
    rules: tuple[Rule, ...] = dataclasses.field(default=(), metadata={"of": Rule})
    peer: Peer | None = dataclasses.field(default=None, metadata={"of": Peer})
    parent: str = ""
    parent_in: str = HOST
    mode: str = ""
    id: int = 0
    table: int = 0
    wireguard: Wireguard | None = dataclasses.field(default=None, metadata={"of": Wireguard})
    force: bool = False
    # Whether what comes of it goes on from the host with the address of the host.
    masquerade: bool = False
    # Ports of the host that lead to it, as publish.py has them.
    publish: tuple[str, ...] = ()
    dns: Dns | None = dataclasses.field(default=None, metadata={"of": Dns})

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"the interface {self.name}"

    @property
    def end(self) -> Peer:
        """The other end of a veth. Raises ValueError where it has none."""
        if self.peer is None:
            raise ValueError(f"{self.name} has no peer")
        return self.peer

    @property
    def owner(self) -> str:
        """The named namespace that its peer is in; empty where there is none."""
        return self.peer.namespace if self.peer is not None else ""

    @property
    def outside(self) -> tuple[str, str] | None:
        """The interface outside that is its alone: its peer, or itself before it was moved. None for none.

        Where that is, a named namespace or empty for the host, and its name.
        """
        if self.peer is not None:
            return self.peer.namespace, self.peer.name
        return ("", self.original) if self.kind == MOVED else None

    @property
    def is_of_host(self) -> bool:
        """Whether it needs an interface of the host to be made of, or to be a port of."""
        if self.peer is not None:
            return bool(self.peer.bridge) and not self.peer.namespace
        return self.kind == MOVED or (bool(self.parent) and self.parent_in == HOST)

    @property
    def is_forwarded(self) -> bool:
        """Whether the host passes packets on, to it or of it."""
        return self.masquerade or bool(self.publish)

    @property
    def original(self) -> str:
        """What one that was moved is called on the host."""
        return self.parent or self.name
