# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which ports of the host are somebody else's already.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import ipaddress
import typing as t

from ..definition import publish
from ..definition.publish import Publication
from ..errors import Refused
from . import tool
from .firewall import Way
from .forward_ledger import Ledger


class _Listener(t.NamedTuple):
    """Where a program waits for others."""

    protocol: str
    # Empty for all addresses of both families.
    address: str
    port: int


def check(name: str, ways: t.Sequence[Way], ledger: Ledger, *, net: int) -> None:
    """Raises Refused where a port is another namespace's, or a program of the host listens at it.

    ``net`` is the open file of the host's network namespace. Raises OSError as well.
    """
    new = [text for way in ways for text in way.publish]
    others = [
        (f"namespace {other}", text)
        for other, entry in ledger.entries.items()
        if other != name
        for way in entry.ways
        for text in way.publish
    ]
    publish.check_apart([*others, *((f"namespace {name}", text) for text in new)])
    own = ledger.entries.get(name)
    known = {text for way in own.ways for text in way.publish} if own is not None else set()
    asked = [publish.parsed(text) for text in new if text not in known]
    for one in asked:
        for listener in _listeners(net) if asked else ():
            if _is_for(one, listener):
                where = f"[{listener.address}]" if ":" in listener.address else listener.address
                raise Refused(
                    f"a program of the host listens at {where or '*'}:{listener.port} ({one.protocol}),"
                    f" which {one.text} would take from it",
                    "Publish another port, or at another address, or end that one: `ss -lntup` names it.",
                )


def _is_for(one: Publication, listener: _Listener) -> bool:
    if (one.protocol, one.port) != (listener.protocol, listener.port):
        return False
    there = Publication(listener.address, listener.port, listener.port, listener.protocol)
    return one.clashes(there)


def _listeners(net: int) -> list[_Listener]:
    _status, said, _complaints = tool.run(["ss", "-Hlntu"], net=net)
    found = []
    for line in said.splitlines():
        words = line.split()
        if len(words) < 6:
            continue
        address, _colon, port = words[4].rpartition(":")
        address = address.strip("[]").partition("%")[0]
        if port.isdecimal() and (address == "*" or _is_address(address)):
            found.append(_Listener(words[0], "" if address == "*" else address, int(port)))
    return found


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
