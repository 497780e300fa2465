# SPDX-License-Identifier: GPL-3.0-or-later
"""Tar archives block by block, for what no tar program writes."""

from __future__ import annotations

import struct

BLOCK = 512
END = bytes(2 * BLOCK)
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")


def header(**fields: bytes) -> bytes:
    """A header with these fields, and a good sum unless one of them is ``sum``."""
    values = {
        "name": b"file", "mode": b"0000644", "uid": b"0000000", "gid": b"0000000",
        "size": b"00000000000", "mtime": b"00000000000", "sum": b" " * 8, "kind": b"0",
        "target": b"", "magic": b"ustar\00000", "user": b"", "group": b"", "major": b"",
        "minor": b"", "prefix": b"",
    }  # fmt: skip
    values.update(fields)
    block = bytearray(_HEADER.pack(*values.values()))
    if "sum" not in fields:
        mend_sum(block, 0)
    return bytes(block)


def mend_sum(content: bytearray, start: int) -> None:
    """Give the header that starts there the sum that it should have."""
    content[start + 148 : start + 156] = b" " * 8
    content[start + 148 : start + 156] = b"%06o\0 " % sum(content[start : start + BLOCK])


def padded(data: bytes) -> bytes:
    """The data up to the end of its last block."""
    return data + bytes(-len(data) % BLOCK)


def extended(text: bytes, *, kind: bytes = b"x") -> bytes:
    """An extended header: of PAX (x, g), or of GNU for a long name or target (L, K)."""
    return header(name=b"extended", kind=kind, size=octal(len(text))) + padded(text)


def record(key: bytes, value: bytes) -> bytes:
    """A record of a PAX header, with its own length before it."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest


def pax(kind: bytes = b"x", **records: bytes) -> bytes:
    """A PAX header with these records; __ in a key is a dot."""
    each = [record(key.replace("__", ".").encode(), value) for key, value in records.items()]
    return extended(b"".join(each), kind=kind)


def octal(number: int) -> bytes:
    return b"%011o" % number


def binary(number: int, *, width: int = 12) -> bytes:
    """The number in GNU's form for those that have no room as digits, or are negative."""
    if number < 0:
        return b"\xff" + (number + (1 << 8 * (width - 1))).to_bytes(width - 1, "big")
    return b"\x80" + number.to_bytes(width - 1, "big")
