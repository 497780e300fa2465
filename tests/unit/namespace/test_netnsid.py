# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's answer to the question which number a net namespace has."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import netnsid

NEW_NSID, ERROR = 88, 2


def answer(kind: int, *attributes: tuple[int, int]) -> bytes:
    """As the kernel answers RTM_GETNSID: a header, struct rtgenmsg, attributes."""
    payload = b"\0\0\0\0" + b"".join(
        struct.pack("=HHl", 8, name, value) for name, value in attributes
    )
    return struct.pack("=LHHLL", 16 + len(payload), kind, 0, 0, 0) + payload


def padded(first: bytes, *attributes: tuple[int, int]) -> bytes:
    """An answer with an attribute of another form before these."""
    message = answer(NEW_NSID, *attributes)
    body = message[16:20] + first + message[20:]
    return struct.pack("=L", 16 + len(body)) + message[4:16] + body


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (answer(NEW_NSID, (1, 7)), 7),
        (answer(NEW_NSID, (1, 0)), 0),
        (answer(NEW_NSID, (1, -1)), None),
        (answer(NEW_NSID, (5, 3), (1, 7)), 7),
        (answer(NEW_NSID), None),
        (answer(ERROR, (1, 7)), None),
        # An attribute of no length must not hold us up.
        (answer(NEW_NSID)[:16] + bytes(20), None),
        # Attributes begin at a multiple of four bytes, whatever their length.
        (padded(b"\x05\0\x09\0x\0\0\0", (1, 7)), 7),
        # What lies behind the message, or is cut off, is not of it.
        (answer(NEW_NSID) + struct.pack("=HHl", 8, 1, 7), None),
        (answer(NEW_NSID, (1, 7))[:-1], None),
    ],
)
def test_netnsid(message: bytes, expected: int | None) -> None:
    assert netnsid.parse(message) == expected
