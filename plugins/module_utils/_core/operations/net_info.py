# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_net_info does: the interfaces of a target, and where their other ends are.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from ..errors import Refused
from ..link import lines, observe
from ..link.observe import Interface, Seen
from ..link.site import INSIDE, Site
from ..namespace import enter, netnsid
from ..namespace.target import Handles, Target
from . import info, link_actions
from .info import Namespace

Data = dict[str, t.Any]


class Found(t.NamedTuple):
    """What there is, as results show it."""

    interfaces: list[Data]
    routes: list[Data]
    rules: list[Data]


def of(target: Target) -> Found:
    """All of the network of the target. Raises Refused, KernelError, OSError."""
    with Site(target) as site, link_actions.looking():
        net = site.net(INSIDE)
        seen = observe.everything(net, rules=True)
        others = _Others(net, seen)
        return Found(
            [_interface(each, others) for each in seen.interfaces.values()],
            [_route(each) for each in seen.routes],
            [{"family": family, **rule} for family, rule in map(_rule, seen.rules)],
        )


class _Others:
    """The network namespaces that have other ends, looked at when they are asked for."""

    def __init__(self, net: int, here: Seen) -> None:
        self.here = here
        self._net = net
        self._ends: dict[int, tuple[Namespace, dict[int, Interface]]] | None = None

    def end_of(self, each: Interface) -> Data | None:
        """What the interface is connected with, or made of; None where it is nothing, or is not seen."""
        if each.netnsid is None:
            if not each.below:
                return None
            own = self.here.interfaces.get(each.below)
            return {
                **_NOWHERE,
                "interface": each.below,
                "index": own.number if own else 0,
                "here": True,
            }
        if self._ends is None:
            self._ends = self._look()
        if each.netnsid not in self._ends:
            return {**_NOWHERE, "index": each.below_number}
        namespace, interfaces = self._ends[each.netnsid]
        other = interfaces.get(each.below_number)
        return {
            "interface": other.name if other is not None else None,
            "index": each.below_number,
            "here": False,
            "host": namespace.id == _id_of("/proc/1/ns/net"),
            "namespace": namespace.name,
            "net": namespace.id,
            "pid": namespace.pid,
            "pins": namespace.pins,
        }

    def _look(self) -> dict[int, tuple[Namespace, dict[int, Interface]]]:
        """By the numbers that the network namespace has for others."""
        opened: dict[int, tuple[Namespace, int]] = {}
        try:
            for namespace in info.namespaces(names=("net",)):
                fd = info.opened(namespace)
                if fd is not None:
                    opened[namespace.id] = (namespace, fd)
            numbers = _numbers(self._net, {number: fd for number, (_each, fd) in opened.items()})
            wanted = {each.netnsid for each in self.here.interfaces.values()}
            return {
                number: (namespace, _by_number(fd))
                for each, (namespace, fd) in opened.items()
                for number in [numbers.get(each)]
                if number is not None and number in wanted
            }
        finally:
            for _namespace, fd in opened.values():
                os.close(fd)


def _by_number(net: int) -> dict[int, Interface]:
    try:
        return {one.number: one for one in observe.interfaces(net).values()}
    except Refused:  # a plain user may not look there
        return {}


_NOWHERE: Data = {
    "interface": None, "index": None, "here": False, "host": False, "namespace": None, "net": None,
    "pid": None, "pins": [],
}  # fmt: skip


def _numbers(net: int, fds: dict[int, int]) -> dict[int, int | None]:
    """The numbers that the open network namespace has for these."""

    def ask() -> dict[int, int | None]:
        with netnsid.Resolver() as resolver:
            return {number: resolver.id_of(fd) for number, fd in fds.items()}

    if os.path.samestat(os.fstat(net), os.stat("/proc/self/ns/net")):
        return ask()
    with Handles({"net": os.dup(net)}) as joined:
        found: dict[int, int | None] = enter.run_inside(ask, joins=joined)
        return found


def _id_of(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:  # a plain user may not look at pid 1
        return 0


def _interface(each: Interface, others: _Others) -> Data:
    end = others.end_of(each)
    return {
        "name": each.name,
        "index": each.number,
        "kind": each.kind or ("loopback" if each.name == "lo" else "physical"),
        "up": each.up,
        "mac": each.mac,
        "mtu": each.mtu,
        "master": each.master or None,
        "alias": each.alias or None,
        "addresses": [*each.addresses],
        "peer": end if each.kind == "veth" else None,
        "parent": end if each.kind != "veth" else None,
    }


def _route(data: Data) -> Data:
    via = data.get("gateway") or data.get("via", {}).get("host")
    to = str(data.get("dst", ""))
    return {
        "to": to,
        "via": via,
        "dev": data.get("dev"),
        "type": lines.type_of(data),
        "metric": observe.whole(data.get("metric", 0)),
        "table": observe.whole(data.get("table", observe.MAIN)),
        "protocol": observe.whole(data.get("protocol", 0)),
    }


def _rule(data: Data) -> tuple[int, Data]:
    family, rule = lines.rule_of(data)
    shown = {
        key: value or None for key, value in vars(rule).items() if key not in ("priority", "table")
    }
    shown["from"] = shown.pop("from_")
    return family, {"priority": rule.priority, "table": rule.table, **shown}
