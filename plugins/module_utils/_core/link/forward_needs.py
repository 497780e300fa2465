# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the kernel of the host has to be told so that it passes packets on: for as few interfaces as will do.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from ..namespace import sysctl
from . import past_bridge
from .firewall import Opened, Way
from .observe import Interface

# Since Linux 6.17; before, with IPv6 all interfaces pass packets on or none.
_FORCED = "/proc/sys/net/ipv6/conf/all/force_forwarding"
_ALL_6 = "net.ipv6.conf.all.forwarding"
_ALIAS = "linux-namespaces:"


class Needs(t.NamedTuple):
    """What has to be."""

    # The values of kernel parameters, by their names.
    settings: dict[str, str]
    # The interfaces on which answers for ::1 are taken.
    answers: tuple[str, ...] = ()
    # The ports of bridges that hand on what is for the host, with the bridge.
    ports: tuple[tuple[str, str], ...] = ()


def alias_of(name: str) -> str:
    """What the host's end of an interface of the namespace is called, beside its name."""
    return f"{_ALIAS}{name}"


def of(
    ways: t.Sequence[Way],
    host: t.Mapping[str, Interface],
    defaults: t.Container[str],
    before: t.Container[str],
) -> Needs:
    """What these ways need, on a host with these interfaces and default routes by these of them.

    ``before`` are the parameters that were set already.
    """
    settings: dict[str, str] = {}
    answers: list[str] = []
    ports: list[tuple[str, str]] = []
    for version in (4, 6):
        passing = [way for way in ways if _passes(way, version)]
        devices = [way.outer for way in passing]
        if passing:
            devices += _outside(version, host, defaults, {way.outer for way in ways})
        if version == 4 or _is_forced():
            word = "forwarding" if version == 4 else "force_forwarding"
            settings.update({_key(version, dev, word): "1" for dev in devices})
        elif passing:
            for dev in host:
                key = _key(6, dev, "accept_ra")
                # Who passes packets on takes no route from a router, unless told to before (ip-sysctl of the kernel).
                if dev in defaults and (key in before or value_of(key) == "1"):
                    settings[key] = "2"
            settings[_ALL_6] = "1"
        for way in ways:
            if not any(one.is_at_all or one.is_of_host_alone for one in way.published_for(version)):
                continue
            if version == 4:
                settings[_key(4, way.outer, "route_localnet")] = "1"
            else:
                answers.append(way.outer)
                if way.port and past_bridge.is_due():
                    ports.append((way.port, way.outer))
    return Needs(settings, tuple(dict.fromkeys(answers)), tuple(ports))


def _passes(way: Way, version: int) -> bool:
    others = [one for one in way.published_for(version) if not one.is_of_host_alone]
    return bool(way.within(version)) and (way.masquerade or bool(others))


def _outside(
    version: int,
    host: t.Mapping[str, Interface],
    defaults: t.Container[str],
    outers: t.Container[str],
) -> list[str]:
    """The interfaces by which others may ask or answer."""
    return [
        name
        for name, each in host.items()
        if name != "lo"
        and name not in outers
        and not each.alias.startswith(_ALIAS)
        and (name in defaults or (_has(each, version) and not _is_ours(each, host)))
    ]


def _has(interface: Interface, version: int) -> bool:
    return any((":" in text) == (version == 6) for text in interface.addresses)


def _is_ours(interface: Interface, host: t.Mapping[str, Interface]) -> bool:
    """Whether it is a bridge to namespaces alone."""
    ports = [each for each in host.values() if each.master == interface.name]
    return interface.kind == "bridge" and all(each.alias.startswith(_ALIAS) for each in ports)


def opened(before: t.Mapping[str, str], host: t.Iterable[str]) -> list[Opened]:
    """The interfaces that pass packets on since they were told to; ``before`` are the values from before that."""
    found = []
    for version, word in ((4, "forwarding"), (6, "force_forwarding")):
        start, end = f"net.ipv{version}.conf.", f".{word}"
        names = [
            key[len(start) : -len(end)].replace("/", ".")
            for key, value in before.items()
            if key.startswith(start) and key.endswith(end) and value == "0" and key != _ALL_6
        ]
        found.append(Opened(version, tuple(sorted(names))))
    if before.get(_ALL_6) == "0":
        found.append(Opened(6, tuple(sorted({*host} - {"lo"})), all=True))
    return found


def value_of(key: str) -> str:
    """The value of the parameter; of an interface that is still to come, which it will have. Raises KernelError."""
    words = key.split(".")
    if len(words) == 5 and not os.path.isdir(f"/proc/sys/net/{words[1]}/conf/{_device(words[3])}"):
        words[3] = "default"
    return sysctl.read(".".join(words))


def is_gone(key: str) -> bool:
    """Whether the interface is no more that the parameter is of."""
    words = key.split(".")
    return not os.path.isdir(f"/proc/sys/net/{words[1]}/conf/{_device(words[3])}")


def is_general(key: str) -> bool:
    """Whether somebody has all interfaces pass packets on by now, so that no single one is to be told otherwise."""
    words = key.split(".")
    return (
        words[3] != "all"
        and words[4] == "forwarding"
        and sysctl.read(f"net.{words[1]}.conf.all.forwarding") == "1"
    )


def _key(version: int, device: str, word: str) -> str:
    # In the name of a parameter a slash stands for the dot of a name in it (sysctl(8)).
    return f"net.ipv{version}.conf.{device.replace('.', '/')}.{word}"


def _device(word: str) -> str:
    return word.replace("/", ".")


def _is_forced() -> bool:
    return os.path.exists(_FORCED)
