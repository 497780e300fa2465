# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The lines for `ip` that make an interface, and that make one that is there what is wanted.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..definition.link import Link, Route, Rule
from ..definition.link_checks import is_v6, parted
from ..definition.link_words import HOST as ON_HOST
from ..definition.link_words import MODES, MOVED
from .observe import LOCAL, MAIN, Interface, Seen, is_of_people, whole
from .site import HOST, INSIDE, Change, net_of

# What `ip` takes a metric of 0 for (IP6_RT_PRIO_USER of the kernel's net/ip6_route.h).
_METRIC_6 = 1024
_BLACKHOLE = "6"  # RTN_BLACKHOLE
RouteKey = tuple[str, int, int]


def making(link: Link) -> Change:
    """What makes the interface, in the place where that is done."""
    name, inside = link.name, net_of(INSIDE)
    below = HOST if link.parent_in == ON_HOST else INSIDE
    mac = f" address {link.mac}" if link.mac else ""
    mtu = f" mtu {link.mtu}" if link.mtu else ""
    title = f"make {link.kind} {name}"
    if link.kind == "veth":
        peer = link.end
        outer = net_of(peer.namespace or HOST)
        line = f"link add name {name}{mac}{mtu} type veth peer name {peer.name}{mtu} netns {outer}"
        return Change(title, INSIDE, line)
    if link.kind == MOVED:
        line = f"link set dev {link.original} netns {inside} name {name}"
        return Change(f"move {link.original} of the host inside as {name}", HOST, line)
    if link.kind == "wireguard":
        # Where it is made its outer socket stays: the tunnel is the only way out (wireguard(8) of its authors).
        return Change(title, HOST, f"link add name {name}{mtu} netns {inside} type wireguard")
    if link.parent:
        mode = link.mode or MODES.get(link.kind, ("",))[0]
        special = f"id {link.id}" if link.kind == "vlan" else f"mode {mode}"
        whose = f" netns {inside}" if below == HOST else ""
        line = (
            f"link add link {link.parent} name {name}{mac}{mtu}{whose} type {link.kind} {special}"
        )
        return Change(title, below, line)
    special = f" table {link.table}" if link.kind == "vrf" else ""
    return Change(title, INSIDE, f"link add name {name}{mac}{mtu} type {link.kind}{special}")


def calling(link: Link, alias: str) -> Change:
    """What gives the end on the host a name for people; only after it was made it can have one."""
    line = f"link set dev {link.end.name} alias {alias}"
    return Change(f"make veth {link.name}", HOST, line)


def removing(name: str, found: Interface, original: str) -> list[Change]:
    """What removes one that is there; one of hardware, or that was moved, goes back to the host.

    There it is called ``original``, which is empty for one that was made here.
    """
    if original:
        title = f"give {name} back to the host as {original}"
        lines = [
            f"link set dev {name} down",
            f"link set dev {name} netns {net_of(HOST)} name {original}",
        ]
        return [Change(title, INSIDE, line) for line in lines]
    return [Change(f"remove {found.kind or 'interface'} {name}", INSIDE, f"link del dev {name}")]


def settings(link: Link, found: Interface | None, place: str = INSIDE) -> list[Change]:
    """What gives it its addresses and the rest; ``found`` is how it is, None for one just made."""
    dev = link.name
    changes = []

    def change(title: str, line: str) -> None:
        changes.append(Change(title, place, line))

    def state(word: str) -> None:
        change(f"set {dev} {word}", f"link set dev {dev} {word}")

    is_set = found is None and link.kind != MOVED and place == INSIDE  # what makes it sets these
    if link.mac and not is_set and (found is None or found.mac != link.mac):
        change(f"set mac of {dev} to {link.mac}", f"link set dev {dev} address {link.mac}")
    if link.mtu and not is_set and (found is None or found.mtu != link.mtu):
        change(f"set mtu of {dev} to {link.mtu}", f"link set dev {dev} mtu {link.mtu}")
    master = found.master if found is not None else ""
    if link.master != master:
        way = f"master {link.master}" if link.master else "nomaster"
        title = f"put {dev} into {link.master}" if link.master else f"take {dev} out of {master}"
        change(title, f"link set dev {dev} {way}")
    is_up = found is not None and found.up
    goes_down = is_up and not link.up
    if goes_down:
        state("down")
    there = found.addresses if found is not None else ()
    # With the interface go those of IPv6 (net.ipv6.conf.*.keep_addr_on_down).
    kept = [text for text in there if not (goes_down and is_v6(text))]
    for text in link.addresses:
        if text not in kept:
            change(f"add address {text} to {dev}", _address(text, dev))
    for text in there:
        if text not in link.addresses:
            change(f"remove address {text} of {dev}", f"addr del {_words(text)} dev {dev}")
    if link.up and not is_up:
        state("up")
    return changes


def kept_addresses(link: Link, place: str = INSIDE) -> list[Change]:
    """The addresses again, where others were removed: with the first of its network go all the others."""
    title = f"keep the addresses of {link.name}"
    return [
        Change(title, place, _address(text, link.name))
        for text in link.addresses
        if not is_v6(text)
    ]


def _address(text: str, dev: str) -> str:
    # It is to be of use at once: nobody else has it in a network of one's own.
    return f"addr replace {_words(text)} dev {dev}{' nodad' if is_v6(text) else ''}"


def _words(text: str) -> str:
    own, other, length = parted(text)
    return f"{own} peer {other}/{length}" if other else f"{own}/{length}"


def route_changes(
    link: Link, seen: Seen, others: t.Container[tuple[RouteKey, str]], *, anew: bool
) -> list[Change]:
    """What gives it its routes, and takes those that people gave it beside them.

    ``others`` are those that other interfaces have by way of it. ``anew`` what is there is not counted on.
    """
    dev = link.name
    found = {key: route for route in seen.routes for key in [_key_of(route)] if key is not None}
    changes = []
    for route in link.routes:
        there = found.get(_key(route))
        if anew or there is None or not _is_like(there, route, dev):
            changes.append(
                Change(f"add {_title(route, dev)}", INSIDE, f"route replace {_route(route, dev)}")
            )
    wanted = {_key(route) for route in link.routes}
    for key, data in found.items():
        is_own = data.get("dev") == dev and is_of_people(data) and str(data.get("type", "1")) == "1"
        if is_own and key not in wanted and (key, dev) not in others:
            to, metric, table = key
            line = f"route del {to} dev {dev} metric {metric} table {table}"
            changes.append(Change(f"remove route {to} of {dev}", INSIDE, line))
    return changes


def blackholes_gone(old: t.Iterable[Route], kept: t.Iterable[Route], seen: Seen) -> list[Change]:
    """What takes away the blackholes that were recorded, and are wanted no more."""
    wanted = {_key(route) for route in kept if route.blackhole}
    there = {_key_of(each) for each in seen.routes if str(each.get("type")) == _BLACKHOLE}
    return [
        Change(f"remove route blackhole {route.to}", INSIDE, f"route del {_route(route, '')}")
        for route in old
        if route.blackhole and _key(route) not in wanted and _key(route) in there
    ]


def _title(route: Route, dev: str) -> str:
    where = "blackhole " if route.blackhole else ""
    via = f" via {route.via}" if route.via else ""
    table = f" in table {route.table}" if route.table else ""
    return f"route {where}{route.to}{via}{table} to {dev}"


def _route(route: Route, dev: str) -> str:
    words = ["blackhole", route.to] if route.blackhole else [route.to]
    if route.via:
        words += [
            "via",
            *(["inet6"] if is_v6(route.via) and not is_v6(route.to) else ()),
            route.via,
        ]
    if not route.blackhole:
        words += ["dev", route.dev or dev]
    if route.metric:
        words += ["metric", str(route.metric)]
    return " ".join([*words, "table", str(route.table or MAIN), "proto", "static"])


def _key(route: Route) -> RouteKey:
    metric = route.metric or (_METRIC_6 if is_v6(route.to) else 0)
    return route.to, metric, route.table or MAIN


def routes_by(link: Link) -> list[tuple[RouteKey, str]]:
    """The routes that it has by way of other interfaces, with these."""
    return [(_key(route), route.dev) for route in link.routes if route.dev]


def _key_of(data: t.Mapping[str, t.Any]) -> RouteKey | None:
    to, table = str(data.get("dst", "")), whole(data.get("table", MAIN))
    if table == LOCAL or str(data.get("type", "1")) not in ("1", _BLACKHOLE):
        return None
    is_six = "pref" in data or is_v6(to)
    if to == "default":
        to = "::/0" if is_six else "0.0.0.0/0"
    elif "/" not in to:
        to += "/128" if is_six else "/32"
    return to, whole(data.get("metric", 0)), table


def _is_like(data: t.Mapping[str, t.Any], route: Route, dev: str) -> bool:
    if (str(data.get("type", "1")) == _BLACKHOLE) != route.blackhole:
        return False
    if route.blackhole:
        return True
    via = data.get("gateway") or data.get("via", {}).get("host", "")
    return (via, data.get("dev")) == (route.via, route.dev or dev)


def rule_changes(old: t.Iterable[Rule], wanted: t.Iterable[Rule], seen: Seen) -> list[Change]:
    """What adds the rules that are wanted, and takes away those of the ``old`` that are not."""
    there = [rule_of(each) for each in seen.rules]
    changes = []
    kept = {each for rule in wanted for each in _by_family(rule)}
    for rule in wanted:
        for family, each in _by_family(rule):
            if (family, each) not in there:
                changes.append(_rule("add", family, each))
    for rule in old:
        for family, each in _by_family(rule):
            if (family, each) in there and (family, each) not in kept:
                changes.append(_rule("del", family, each))
    # Those of one family are one run of ip.
    return sorted(changes, key=lambda change: change.words)


def _by_family(rule: Rule) -> list[tuple[int, Rule]]:
    if rule.from_ or rule.to:
        return [(6 if is_v6(rule.from_ or rule.to) else 4, rule)]
    return [(4, rule), (6, rule)]


def _rule(verb: str, family: int, rule: Rule) -> Change:
    words = [f"priority {rule.priority}"]
    for word, value in (
        ("from", rule.from_),
        ("to", rule.to),
        ("iif", rule.iif),
        ("oif", rule.oif),
    ):
        words += [f"{word} {value}"] if value else []
    words += [f"fwmark {rule.fwmark}"] if rule.fwmark else []
    title = f"{'add' if verb == 'add' else 'remove'} rule {rule.priority}: table {rule.table}"
    line = f"rule {verb} {' '.join(words)} table {rule.table}"
    return Change(title, INSIDE, line, ("-6",) if family == 6 else ())


# RTN_* of linux/rtnetlink.h, as `ip -N` has them; 1 is left out.
_TYPES = {
    "1": "unicast", "2": "local", "3": "broadcast", "4": "anycast", "5": "multicast", "6": "blackhole",
    "7": "unreachable", "8": "prohibit", "9": "throw",
}  # fmt: skip


def type_of(data: t.Mapping[str, t.Any]) -> str:
    """The type of a route that is there, by its word (ip-route(8))."""
    number = str(data.get("type", "1"))
    return _TYPES.get(number, number)


def rule_of(data: t.Mapping[str, t.Any]) -> tuple[int, Rule]:
    """A rule that is there, with the version of IP that it is for."""

    def prefix(key: str) -> str:
        text = str(data.get(key, "all"))
        if text == "all":
            return ""
        length = data.get(f"{key}len", 128 if is_v6(text) else 32)
        return f"{text}/{length}"

    return data["family"], Rule(
        priority=whole(data.get("priority", 0)),
        table=whole(data.get("table", 0)),
        from_=prefix("src"),
        to=prefix("dst"),
        iif=str(data.get("iif", "")),
        oif=str(data.get("oif", "")),
        fwmark=whole(data.get("fwmark", 0)),
    )
