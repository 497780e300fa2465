# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How the host passes on what comes of a namespace, and what is meant for it: the rules, as nft(8) reads them.

The table of a namespace translates addresses. That of all of them keeps closed what was closed before
forwarding was switched on for an interface: it lets through what is published, and answers.
Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..definition import publish
from ..definition.link import Link
from ..definition.link_checks import is_v6, is_within, network_of, parted
from ..definition.part import Part
from ..definition.publish import Publication

GATE = "linux-namespaces"
_FAMILY = {4: "ip", 6: "ip6"}
_LOOPBACK = {4: "127.0.0.0/8", 6: "::1"}
VERSIONS = (4, 6)


@dataclasses.dataclass(frozen=True)
class Way(Part):
    """How the host gets to an interface of a namespace, and what it passes on."""

    # The interface of the host, which is its peer or the bridge of that.
    outer: str
    # Those inside, with their prefixes.
    addresses: tuple[str, ...] = ()
    masquerade: bool = False
    publish: tuple[str, ...] = ()
    # The port by which it is reached behind a bridge.
    port: str = ""

    @property
    def published(self) -> list[Publication]:
        """The ports of the host that lead to it."""
        return [publish.parsed(text) for text in self.publish]

    def within(self, version: int) -> list[str]:
        """Its addresses of this version of IP, with their prefixes."""
        return [text for text in self.addresses if is_v6(text) == (version == 6)]

    def published_for(self, version: int) -> list[Publication]:
        """Those of its ports that lead to an address of this version of IP."""
        return [each for each in self.published if self.within(version) and each.is_for(version)]


def way_of(link: Link, bridge: t.Sequence[str]) -> Way:
    """That of an interface which has one; ``bridge`` are the addresses of the bridge of its peer.

    The host gets to those of its addresses that are in a network of its own.
    """
    peer = link.end
    networks = {network_of(text) for text in (bridge if peer.bridge else peer.addresses)}
    within = tuple(
        text for text in link.addresses if any(is_within(text, network) for network in networks)
    )
    port = peer.name if peer.bridge else ""
    return Way(peer.bridge or peer.name, within, link.masquerade, link.publish, port)


def table_of(name: str) -> str:
    """What the table of the namespace is called."""
    return f"{GATE}-{name}"


def rules_of(name: str, ways: t.Sequence[Way]) -> str:
    """The table of the namespace, in the place of one that may be there."""
    each = [(version, way) for way in ways for version in VERSIONS]
    incoming = [
        rule
        for version, way in each
        for one in way.published_for(version)
        if not one.is_of_host_alone
        for rule in [_leading(version, way, one, but_loopback=True)]
    ]
    own = [
        _leading(version, way, one) for version, way in each for one in way.published_for(version)
    ]
    outgoing = [rule for version, way in each for rule in _translating(version, way)]
    # 127.0.0.1 is the host's alone, whoever asks: before the addresses of answers are translated back.
    guarded = [
        f'iifname "{way.outer}" ip daddr {_LOOPBACK[4]} drop'
        for way in ways
        if way.published_for(4)
    ]
    chains = [
        ("first", "filter", "prerouting", -300, guarded),
        ("incoming", "nat", "prerouting", -100, incoming),
        ("own", "nat", "output", -100, own),
        ("outgoing", "nat", "postrouting", 100, outgoing),
    ]
    return _table(table_of(name), chains)


def _leading(version: int, way: Way, one: Publication, *, but_loopback: bool = False) -> str:
    word = _FAMILY[version]
    to = parted(way.within(version)[0])[0]
    where = f"{word} daddr {one.address}"
    if one.is_at_all:
        apart = f"{word} daddr != {_LOOPBACK[version]} " if but_loopback else ""
        where = f"meta nfproto ipv{version} {apart}fib daddr type local"
    inside = f"[{to}]" if version == 6 else to
    return f"{where} {one.protocol} dport {one.port} dnat {word} to {inside}:{one.inner}"


def _translating(version: int, way: Way) -> list[str]:
    word = _FAMILY[version]
    rules = []
    if way.published_for(version):
        to = way.within(version)[0]
        address = parted(to)[0]
        # Who asks from the same network would get the answer from another address than was asked.
        for source in (network_of(to), _LOOPBACK[version]):
            rules.append(f"{word} saddr {source} {word} daddr {address} ct status dnat masquerade")
    if way.masquerade:
        for text in way.within(version):
            rules.append(f'{word} saddr {parted(text)[0]} oifname != "{way.outer}" masquerade')
    return rules


class Opened(t.NamedTuple):
    """Interfaces that pass on packets of a version of IP since we have them do so."""

    version: int
    interfaces: tuple[str, ...]
    # Whether all others do so as well: older kernels know but one switch for all, with IPv6.
    all: bool = False


def gate_of(ways: t.Sequence[Way], opened: t.Sequence[Opened]) -> str:
    """The table of all namespaces, whose ways these are: empty where nothing was opened."""
    rules = [rule for each in opened for rule in _gate(ways, each)]
    return _table(GATE, [("forward", "filter", "forward", 0, rules)]) if rules else ""


def _gate(ways: t.Sequence[Way], opened: Opened) -> list[str]:
    if not opened.interfaces:
        return []
    word, family = _FAMILY[opened.version], f"meta nfproto ipv{opened.version}"
    # What a bridge passes from port to port comes by here with br_netfilter.
    rules = [f'{family} iifname "{name}" oifname "{name}" accept' for name in opened.interfaces]
    for way in ways:
        inside = [parted(text)[0] for text in way.within(opened.version)]
        if way.masquerade and inside and way.outer in opened.interfaces:
            rules.append(f'iifname "{way.outer}" {word} saddr {_set(inside)} accept')
    some = f" iifname {_set(_quoted(opened.interfaces))}" if not opened.all else ""
    for verdict in ("ct state established,related accept", "ct status dnat accept", "drop"):
        rules.append(f"{family}{some} {verdict}")
    return rules


def _quoted(names: t.Iterable[str]) -> list[str]:
    return [f'"{name}"' for name in sorted(names)]


def _set(words: t.Iterable[str]) -> str:
    return f"{{ {', '.join(words)} }}"


def _table(name: str, chains: t.Iterable[tuple[str, str, str, int, list[str]]]) -> str:
    lines = [f"table inet {name}", f"delete table inet {name}", f"table inet {name} {{"]
    for chain, kind, hook, priority, rules in chains:
        if rules:
            lines.append(f"chain {chain} {{ type {kind} hook {hook} priority {priority};")
            lines += [*dict.fromkeys(rules), "}"]
    return "\n".join([*lines, "}", ""])
