# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Files with holes in a tar stream: the maps of the four formats, and writing them.

GNU tar's manual, appendix "Storing Sparse Files": the old GNU format, and PAX 0.0, 0.1 and 1.0.
A map is a list of (offset, length) of what is not a hole.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from .byte_stream import ByteStream

MAP = b"GNU.sparse.map"
# PAX 0.0 has one record for each number, which together are the map of PAX 0.1.
REPEATED = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
_PIECES_LIMIT = 1 << 20
# Of a number below 1 << 63.
_DIGITS_LIMIT = 19

Pieces = tuple[tuple[int, int], ...]
TakeBlock = t.Callable[[], bytes]
Damaged = t.Callable[[str], Exception]


def is_pax(records: t.Mapping[bytes, bytes]) -> bool:
    """Whether these records of an extended header tell of a file with holes."""
    return MAP in records or b"GNU.sparse.major" in records


def gnu_map(header: bytes, take_block: TakeBlock, damaged: Damaged) -> tuple[Pieces, int]:
    """The map and the size of the file from an old GNU header and the blocks that follow it."""
    pieces = _gnu_pieces(header[386:482], damaged)
    full = _octal(header[483:495], damaged)
    more = header[482]
    while more:
        block = take_block()
        if not block or len(pieces) > _PIECES_LIMIT:
            raise damaged("a map of holes without end")
        pieces += _gnu_pieces(block[:504], damaged)
        more = block[504]
    return tuple(pieces), full


def _gnu_pieces(text: bytes, damaged: Damaged) -> list[tuple[int, int]]:
    pieces = []
    for start in range(0, len(text), 24):
        if not text[start]:
            break
        offset = _octal(text[start : start + 12], damaged)
        pieces.append((offset, _octal(text[start + 12 : start + 24], damaged)))
    return pieces


def _octal(field: bytes, damaged: Damaged) -> int:
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.rstrip(b"\0 ") or b"0", 8)
    except ValueError:
        raise damaged(f"{field!r} is no number") from None


def pax_map(
    records: t.Mapping[bytes, bytes], take_block: TakeBlock, damaged: Damaged
) -> tuple[Pieces, int]:
    """The map and the size of the file from PAX records; of PAX 1.0 the data starts with it."""
    try:
        if b"GNU.sparse.major" in records:
            full = _decimal(records[b"GNU.sparse.realsize"])
            numbers = _leading_numbers(take_block, damaged)
        else:
            full = _decimal(records[b"GNU.sparse.size"])
            numbers = [_decimal(number) for number in records[MAP].split(b",")]
    except (KeyError, ValueError) as error:
        raise damaged("a map of holes that is none") from error
    if len(numbers) % 2:
        raise damaged("a map of holes with half a piece")
    return tuple(zip(numbers[::2], numbers[1::2])), full


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > _DIGITS_LIMIT:
        raise ValueError("no number")
    return int(text)


def _leading_numbers(take_block: TakeBlock, damaged: Damaged) -> list[int]:
    """Lines of digits, the first of which says how many pairs follow, padded to a block."""
    text = b""
    numbers: list[int] = []
    while True:
        block = take_block()
        if not block:
            raise damaged("a map of holes without end")
        *lines, text = (text + block).split(b"\n")
        numbers += [_decimal(line) for line in lines]
        if numbers and numbers[0] > _PIECES_LIMIT:
            raise damaged(f"a map of {numbers[0]} pieces")
        if numbers and len(numbers) >= 1 + 2 * numbers[0]:
            return numbers[1 : 1 + 2 * numbers[0]]
        if len(text) > _DIGITS_LIMIT:  # it would be looked through again with each block
            raise damaged("a map of holes that is none")


def check(pieces: Pieces, size: int, stored: int, damaged: Damaged) -> None:
    """Raise what ``damaged`` makes unless the map fits the file and what is stored of it."""
    position = 0
    for offset, length in pieces:
        if offset < position or length < 0:
            raise damaged("a map of holes that runs backwards")
        position = offset + length
    if not position <= size < 1 << 63 or sum(length for _offset, length in pieces) != stored:
        raise damaged("a map of holes that does not fit its file")


def write(pieces: Pieces, size: int, stream: ByteStream, target_fd: int) -> None:
    """Write the pieces, leaving the holes. Raises Refused, OSError."""
    for offset, length in pieces:
        os.lseek(target_fd, offset, os.SEEK_SET)
        stream.copy(target_fd, length)
    os.ftruncate(target_fd, size)
