# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What makes sense of an interface by itself, and the form in which it is compared with the kernel's.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import typing as t

from .. import host_paths
from ..errors import Refused
from ..printable import printable
from . import dns, publish
from .link import Link, Peer, Route, Rule, Wireguard, WireguardPeer
from .link_words import KINDS, MODES

# IFNAMSIZ of linux/if.h, without the null character.
LONGEST_NAME = 15
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
# lo is there by itself; the others are something else below /proc/sys/net.
_TAKEN = ("lo", "all", "default")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?\Z")
# IPV4_MIN_MTU of linux/inetdevice.h; IPv6 takes no less than the other (RFC 8200, 5).
_LEAST_MTU, _LEAST_MTU_6, _MOST_MTU = 68, 1280, 65535
_MOST_TABLE = (1 << 32) - 1
# RT_TABLE_LOCAL of linux/rtnetlink.h, which is the kernel's; and the first and last of the rules that are.
_LOCAL, _MOST_PRIORITY = 255, 32765
_OPTIONS_OF_KINDS = (
    "peer", "parent", "mode", "id", "table", "wireguard", "force", "masquerade", "publish",
)  # fmt: skip

Address = tuple[str, str, int]


def checked(link: Link) -> Link:
    """The interface, when it makes sense by itself: its addresses as the kernel writes them.

    Raises Refused.
    """
    check_name(link.name)
    if link.kind not in KINDS:
        known = f"One of {', '.join(KINDS)}."
        raise Refused(
            f"kind is {link.kind[:60]!r}, which is unknown" if link.kind else "it has no kind",
            known,
        )
    kind = KINDS[link.kind]
    for option in _OPTIONS_OF_KINDS:
        if getattr(link, option) and option not in kind.takes:
            raise Refused(
                f"{option} is for no {link.kind}", f"A {link.kind} takes {_listed(kind.takes)}."
            )
        if not getattr(link, option) and option in kind.needs:
            raise Refused(f"{option} is missing, which a {link.kind} needs")
    if link.mac and not kind.has_mac:
        raise Refused(
            f"mac is for no {link.kind}", "The kernel gives it that of its parent, or none."
        )
    for option in ("parent", "master"):
        if getattr(link, option):
            check_name(getattr(link, option), option=option)
    if link.parent_in not in ("host", "namespace"):
        raise Refused(f"parent_in is {link.parent_in[:60]!r}, neither host nor namespace")
    _check_mode(link)
    if link.kind == "vlan" and not 1 <= link.id <= 4094:
        raise Refused(f"id is {link.id}, not a number from 1 to 4094")
    if link.kind == "vrf":
        _table(link.table, "table")
    mac = _mac(link.mac)
    found = link.replace(
        mac=mac,
        addresses=_addresses(link.addresses, "addresses"),
        routes=tuple(_route(each, link) for each in link.routes),
        rules=tuple(_rule(each) for each in link.rules),
        peer=_peer(link.peer) if link.peer is not None else None,
        wireguard=_wireguard(link.wireguard) if link.wireguard is not None else None,
        dns=dns.checked(link.dns) if link.dns is not None else None,
        publish=tuple(publish.parsed(text).text for text in link.publish),
    )
    _check_mtu(found)
    _check_ways(found)
    _check_forwarded(found)
    return found


def check_together(links: t.Sequence[Link]) -> None:
    """Raises Refused where two interfaces of a namespace cannot be there at once."""
    names: set[str] = set()
    outer: set[tuple[str, str]] = set()
    used: dict[str, str] = {}
    for link in links:
        if link.name in names:
            raise Refused(f"{link.name} is listed twice", "List each interface once.")
        names.add(link.name)
        if link.peer is not None and link.peer.name:
            place = (link.peer.namespace, link.peer.name)
            if place in outer:
                raise Refused(f"two interfaces have the peer {link.peer.name}", "Name another.")
            outer.add(place)
        for text in (*link.addresses, *(link.peer.addresses if link.peer is not None else ())):
            address = parted(text)[0]
            if address in used:
                raise Refused(
                    f"the address {address} is that of {used[address]} and of {link.name}",
                    "Give each its own.",
                )
            used[address] = link.name
    dns.files_of([link.dns for link in links if link.dns is not None])
    publish.check_apart((link.name, text) for link in links for text in link.publish)
    rules = [rule for link in links for rule in link.rules]
    if len({*rules}) < len(rules):
        raise Refused("a rule is listed twice", "List each once.")


def check_name(name: str, *, option: str = "name") -> None:
    """Raises Refused for what cannot be the name of an interface, or is one that is there by itself."""
    length = len(name.encode("utf-8", "surrogateescape"))
    if length > LONGEST_NAME:
        raise Refused(
            f"{option} is {printable(name[:60])!r}, which has {length} bytes",
            f"The name of an interface has up to {LONGEST_NAME} (IFNAMSIZ).",
        )
    if not _NAME.match(name) or name in _TAKEN:
        raise Refused(
            f"{option} is {printable(name)!r}, which is for no interface of one's own",
            "Take letters, digits, '_', '.' and '-', the first no '.' or '-'; not lo, all, default.",
        )


def parted(text: str) -> Address:
    """An address, that of the other end or nothing, and the length of the prefix. Raises ValueError."""
    own, word, peer = text.partition(" peer ")
    if not word:
        one = ipaddress.ip_interface(own)
        return str(one.ip), "", one.network.prefixlen
    other, local = ipaddress.ip_interface(peer), ipaddress.ip_address(own)
    if local.version != other.version:
        raise ValueError("of two families")
    return str(local), str(other.ip), other.network.prefixlen


def network_of(text: str) -> str:
    """The network that an address, as parted() takes it, is in, or that of its other end."""
    own, other, length = parted(text)
    return str(ipaddress.ip_network(f"{other or own}/{length}", strict=False))


def is_within(text: str, network: str) -> bool:
    """Whether an address, or that of its other end, is in the network."""
    own, other, _length = parted(text)
    return ipaddress.ip_address(other or own) in ipaddress.ip_network(network)


def is_v6(text: str) -> bool:
    """Whether an address, a prefix or a route is one of IPv6."""
    return ":" in text


def _listed(words: t.Sequence[str]) -> str:
    return ", ".join(words) or "none of them"


def _mac(text: str) -> str:
    mac = text.lower()
    if mac and (not _MAC.match(mac) or int(mac[:2], 16) & 1 or not int(mac.replace(":", ""), 16)):
        raise Refused(
            f"mac is {printable(text[:60])!r}, which is for no single interface",
            "As 02:00:00:00:00:01.",
        )
    return mac


def _check_mode(link: Link) -> None:
    modes = MODES.get(link.kind, ())
    if link.mode and link.mode not in modes:
        raise Refused(
            f"mode is {link.mode[:60]!r}, which no {link.kind} has", f"One of {', '.join(modes)}."
        )


def _check_mtu(link: Link) -> None:
    if not link.mtu:
        return
    every = (*link.addresses, *(link.peer.addresses if link.peer is not None else ()))
    least = _LEAST_MTU_6 if any(map(is_v6, every)) else _LEAST_MTU
    if not least <= link.mtu <= _MOST_MTU:
        raise Refused(f"mtu is {link.mtu}, not a number from {least} to {_MOST_MTU}")


def _check_ways(link: Link) -> None:
    if not link.up and link.routes:
        raise Refused(
            "up is false, and it is to have routes", "An interface that is down has none."
        )


def _check_forwarded(link: Link) -> None:
    if not link.is_forwarded:
        return
    what = "publish" if link.publish else "masquerade"
    if not link.addresses:
        raise Refused(f"{what} needs an address of {link.name}", "Give it addresses.")
    if link.owner:
        raise Refused(
            f"{what} is for one whose peer is on the host, not in namespace {link.owner}",
            "Leave out peer: namespace.",
        )
    for text in link.publish:
        one = publish.parsed(text)
        versions = {6 if is_v6(each) else 4 for each in link.addresses}
        if not any(one.is_for(version) for version in versions):
            raise Refused(
                f"publish has {text}, and {link.name} has no address of that family",
                f"Give {link.name} one, or publish at an address of the other.",
            )


def _addresses(texts: t.Iterable[str], option: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for text in texts:
        try:
            own, peer, length = parted(" ".join(text.split()))
        except ValueError:
            raise Refused(
                f"{option} has {printable(text[:60])!r}, which is no address",
                "As 10.9.0.2/30, fd00:9::2/64 or 10.9.0.2 peer 10.9.0.1/32.",
            ) from None
        address = ipaddress.ip_address(own)
        if address.is_multicast or address.is_unspecified or "%" in own:
            raise Refused(f"{option} has {own}, which no interface can have")
        if "/" not in text:
            raise Refused(
                f"{option} has {own} without its prefix", f"As {own}/{length}, for one alone."
            )
        if any(parted(other)[0] == own for other in found):
            raise Refused(f"{option} has {own} twice", "Give each once.")
        found[f"{own} peer {peer}/{length}" if peer else f"{own}/{length}"] = None
    return tuple(found)


def _destination(text: str, option: str) -> str:
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        strict = Refused(
            f"{option} is {printable(text[:60])!r}, which is no network",
            "As 10.1.0.0/16 or default.",
        )
        raise strict from None
    return str(found)


def _route(route: Route, link: Link) -> Route:
    if route.via:
        try:
            via = str(ipaddress.ip_address(route.via))
        except ValueError:
            raise Refused(f"via is {printable(route.via[:60])!r}, which is no address") from None
        route = route.replace(via=via)
    to = route.to
    if to == "default":
        to = "::/0" if is_v6(route.via) else "0.0.0.0/0"
    to = _destination(to, "the route's to")
    if route.via and is_v6(route.via) != is_v6(to) and is_v6(to):
        raise Refused(f"the route to {to} is via {route.via}, which is of another family")
    if route.dev:
        check_name(route.dev, option="dev")
    if route.blackhole and (route.via or route.dev):
        raise Refused(f"the route to {to} is a blackhole, and leads on", "Leave out via and dev.")
    if not 0 <= route.metric < 1 << 32:
        raise Refused(f"metric is {route.metric}, not a number of 32 bits")
    if route.table:
        _table(route.table, "table")
    dev = "" if route.dev == link.name else route.dev
    return route.replace(to=to, dev=dev, table=0 if route.table == 254 else route.table)


def _rule(rule: Rule) -> Rule:
    if not 1 <= rule.priority <= _MOST_PRIORITY:
        raise Refused(f"priority is {rule.priority}, not a number from 1 to {_MOST_PRIORITY}")
    _table(rule.table, "table")
    given = {"from": rule.from_, "to": rule.to}
    found = {key: _destination(text, f"the rule's {key}") for key, text in given.items() if text}
    if len({is_v6(text) for text in found.values()}) > 1:
        raise Refused("a rule is of two families", "Make it two rules.")
    for option in ("iif", "oif"):
        if getattr(rule, option) not in ("", "lo"):
            check_name(getattr(rule, option), option=option)
    if not 0 <= rule.fwmark < 1 << 32:
        raise Refused(f"fwmark is {rule.fwmark}, not a number of 32 bits")
    return rule.replace(from_=found.get("from", ""), to=found.get("to", ""))


def _table(number: int, option: str) -> None:
    if not 1 <= number <= _MOST_TABLE or number == _LOCAL:
        raise Refused(
            f"{option} is {number}, not a number of 32 bits from 1 on, other than {_LOCAL}"
        )


def _peer(peer: Peer) -> Peer:
    if peer.name:
        check_name(peer.name, option="peer: name")
    if peer.namespace:
        host_paths.checked_name(peer.namespace)
        if not peer.name:
            raise Refused("peer: name is missing, which one in a namespace needs")
    if peer.bridge:
        check_name(peer.bridge, option="peer: bridge")
        if peer.addresses:
            raise Refused(
                "peer has a bridge and addresses", "Those of a port belong to its bridge."
            )
    return peer.replace(addresses=_addresses(peer.addresses, "peer: addresses"))


def _wireguard(tunnel: Wireguard) -> Wireguard:
    _key_file(tunnel.private_key_file, "private_key_file")
    if not 0 <= tunnel.listen_port < 1 << 16:
        raise Refused(f"listen_port is {tunnel.listen_port}, not a number of 16 bits")
    if not 0 <= tunnel.fwmark < 1 << 32:
        raise Refused(f"fwmark is {tunnel.fwmark}, not a number of 32 bits")
    peers = tuple(_wireguard_peer(each) for each in tunnel.peers)
    if len({each.public_key for each in peers}) < len(peers):
        raise Refused("wireguard: two peers have one public_key", "List each once.")
    ways = [text for each in peers for text in each.allowed_ips]
    if len({*ways}) < len(ways):
        raise Refused(
            "wireguard: two peers have the same allowed_ips", "A packet goes to one of them."
        )
    return tunnel.replace(peers=peers)


def _wireguard_peer(peer: WireguardPeer) -> WireguardPeer:
    if not is_key(peer.public_key):
        raise Refused(
            "public_key is no key of WireGuard", "It has 44 characters, as `wg pubkey` writes it."
        )
    if peer.preshared_key_file:
        _key_file(peer.preshared_key_file, "preshared_key_file")
    if peer.endpoint:
        host, colon, port = peer.endpoint.rpartition(":")
        is_number = port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 1 << 16
        if not (colon and is_number and _is_host(host)):
            raise Refused(
                f"endpoint is {printable(peer.endpoint[:60])!r}",
                "As 192.0.2.1:51820 or [2001:db8::1]:51820.",
            )
    if not 0 <= peer.persistent_keepalive < 1 << 16:
        raise Refused(
            f"persistent_keepalive is {peer.persistent_keepalive}, not a number of 16 bits"
        )
    allowed = tuple(_destination(each, "an entry of allowed_ips") for each in peer.allowed_ips)
    return peer.replace(allowed_ips=allowed)


def is_key(text: str) -> bool:
    """Whether the text is a key of WireGuard: 32 bytes in base64."""
    try:
        return len(text) == 44 and len(base64.b64decode(text, validate=True)) == 32
    except (binascii.Error, ValueError):
        return False


def _key_file(path: str, option: str) -> None:
    if not path.startswith("/"):
        raise Refused(f"{option} must be an absolute path, not {printable(path[:60])!r}")


def _is_host(text: str) -> bool:
    if text.startswith("[") and text.endswith("]"):
        return _is_address(text[1:-1]) and is_v6(text)
    return bool(_HOST.match(text)) and len(text) < 256


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
