# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Ports of the host that lead to those of a namespace: ``8080:80``, ``127.0.0.1:5432:5432/tcp``, ``[::1]:53:53/udp``.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ..errors import Refused
from ..printable import printable

_FORM = re.compile(
    r"(?:(?:\[(?P<six>[^\]]*)\]|(?P<four>[^:\[\]]*)):)?(?P<outer>\d{1,5}):(?P<inner>\d{1,5})(?:/(?P<protocol>tcp|udp))?\Z",
    re.ASCII,
)

_ALL = ("0.0.0.0", "::")


class Publication(t.NamedTuple):
    """A port of the host that leads to one of a namespace."""

    # The address of the host; 0.0.0.0 or :: for all that it has of a family, empty for all of both.
    address: str
    port: int
    inner: int
    protocol: str

    @property
    def text(self) -> str:
        """As it is written."""
        shown = f"[{self.address}]" if ":" in self.address else self.address
        where = f"{shown}:" if self.address else ""
        return f"{where}{self.port}:{self.inner}{'' if self.protocol == 'tcp' else f'/{self.protocol}'}"

    def is_for(self, version: int) -> bool:
        """Whether it is for addresses of this version of IP."""
        return not self.address or (":" in self.address) == (version == 6)

    @property
    def is_of_host_alone(self) -> bool:
        """Whether only the host itself gets there."""
        return bool(self.address) and ipaddress.ip_address(self.address).is_loopback

    @property
    def is_at_all(self) -> bool:
        """Whether it is at all addresses of the host, of a family or of both."""
        return self.address in ("", *_ALL)

    def clashes(self, other: Publication) -> bool:
        """Whether one connection could be meant for both."""
        if (self.port, self.protocol) != (other.port, other.protocol):
            return False
        if not any(self.is_for(version) and other.is_for(version) for version in (4, 6)):
            return False
        return self.address == other.address or self.is_at_all or other.is_at_all


def parsed(text: str) -> Publication:
    """What the text says. Raises Refused."""
    found = _FORM.match(text.strip())
    if found is None:
        raise _refused(text)
    written = found["six"] if found["six"] is not None else found["four"]
    address = ""
    if written is not None:
        try:
            one = ipaddress.ip_address(written)
        except ValueError:
            raise _refused(text) from None
        if (one.version == 6) != (found["six"] is not None) or "%" in written or one.is_multicast:
            raise _refused(text)
        address = str(one)
    outer, inner = int(found["outer"]), int(found["inner"])
    if not (0 < outer < 1 << 16 and 0 < inner < 1 << 16):
        raise Refused(f"publish has {printable(text[:60])!r}: a port is a number from 1 to 65535")
    return Publication(address, outer, inner, found["protocol"] or "tcp")


def _refused(text: str) -> Refused:
    return Refused(
        f"publish has {printable(text[:60])!r}, which is no port of the host and one inside",
        "As 8080:80, 127.0.0.1:5432:5432 or [::1]:53:53/udp.",
    )


def check_apart(listed: t.Iterable[tuple[str, str]]) -> None:
    """Raises Refused where two ports of the host are one; each comes with whose it is."""
    seen: list[tuple[str, Publication]] = []
    for whose, text in listed:
        each = parsed(text)
        for other, there in seen:
            if each.clashes(there):
                raise Refused(
                    f"{each.text} of {whose} and {there.text} of {other} are one port of the host",
                    "Publish each at a port, or at an address, of its own.",
                )
        seen.append((whose, each))
