# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Answers for ::1 from behind a bridge, on a host whose bridges have their packets filtered (br_netfilter).

There the address of an answer is translated back to ::1 while the bridge has it, and IPv6 then takes it from no
interface but lo (ip6_rcv_core() of the kernel's net/ipv6/ip6_input.c). So what is for the host is handed to it
before the bridge has it, at the port by which it comes.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from . import tool

_FILTERED = "/proc/sys/net/bridge/bridge-nf-call-ip6tables"
_PLACE = ["ingress", "protocol", "ipv6", "pref", "6"]


def is_due() -> bool:
    """Whether the bridges of the host have their packets filtered."""
    try:
        with open(_FILTERED, encoding="utf-8") as parameter:
            return parameter.read().strip() != "0"
    except OSError:
        return False


def is_there(port: str, bridge: str, *, net: int) -> bool:
    """Whether the port hands on to the bridge's own what is for it. Raises OSError, Refused."""
    _status, said, _complaints = tool.run(["tc", "filter", "show", "dev", port, *_PLACE], net=net)
    return f"Redirect to device {bridge})" in said


def begin(port: str, bridge: str, addresses: t.Iterable[str], *, net: int) -> None:
    """Have it do so for these addresses of the bridge. Raises tool.Failed, OSError, Refused."""
    end(port, net=net)
    tool.change(["tc", "qdisc", "add", "dev", port, "clsact"], net=net)
    for address in addresses:
        match = ["u32", "match", "ip6", "dst", f"{address}/128"]
        action = ["action", "mirred", "ingress", "redirect", "dev", bridge]
        tool.change(["tc", "filter", "add", "dev", port, *_PLACE, *match, *action], net=net)


def end(port: str, *, net: int) -> None:
    """Have it do so no more; it may be gone. Raises OSError, Refused."""
    tool.run(["tc", "qdisc", "del", "dev", port, "clsact"], net=net)
