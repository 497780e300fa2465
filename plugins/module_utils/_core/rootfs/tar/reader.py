# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Reading the entries of a tar stream: ustar, GNU and PAX (tar(5), pax(1)).

Names are bytes, as the kernel takes them. Owners are numbers: the names in an archive are those
of another system. Nothing is kept of an entry once the next one is read.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import struct
import typing as t
import zlib

from ...errors import Refused
from . import sparse
from .byte_stream import ByteStream

BLOCK = 512
FILE, LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = (
    b"0", b"1", b"2", b"3", b"4", b"5", b"6",
)  # fmt: skip

KIND_NAMES = {
    FILE: "file",
    LINK: "hard link",
    SYMLINK: "symbolic link",
    CHARACTER: "character device",
    BLOCK_DEVICE: "block device",
    DIRECTORY: "directory",
    FIFO: "fifo",
}
DEVICES = (CHARACTER, BLOCK_DEVICE)

# What the extended headers of an entry may hold together: names and attributes, of which the kernel
# takes far less.
_EXTENDED_LIMIT = 1 << 20
# What a header for all entries may say: the rest is of one entry alone, and would have to be gone
# through again for each that follows.
_FOR_ALL = (b"uid", b"gid", b"mtime")
_OF_ONE = (b"path", b"linkpath", b"size", b"GNU.sparse.", b"SCHILY.xattr.")
# A device number has 12 and 20 bits (include/linux/kdev_t.h).
_MAJOR_LIMIT, _MINOR_LIMIT = 1 << 12, 1 << 20
# XATTR_NAME_MAX and XATTR_SIZE_MAX of include/uapi/linux/limits.h.
_XATTR_NAME_LIMIT, _XATTR_SIZE_LIMIT = 255, 1 << 16
_ZEROS = bytes(BLOCK)
# Mode, uid and gid together, then size, time, sum, flag, the target of a link, magic, the names of
# the owners, the device numbers, and what comes before the name.
_HEADER = struct.Struct("100s24s12s12s8sc100s6s66x8s8s155s12x")
_KINDS = {
    **dict.fromkeys((b"0", b"\0", b"7", b"S"), FILE),
    **dict.fromkeys((DIRECTORY, b"D"), DIRECTORY),
    **{kind: kind for kind in (LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, FIFO)},
}
_WITHOUT_DATA = (LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO)
_XATTR = b"SCHILY.xattr."
_UNUSED = (b"atime", b"ctime")  # which tar(1) writes for every entry
_NEWLINE = ord("\n")


class Entry(t.NamedTuple):
    """One entry of an archive."""

    name: bytes
    # FILE, LINK (a hard link), SYMLINK and so on.
    kind: bytes
    mode: int
    uid: int
    gid: int
    # Of the file, in bytes.
    size: int
    # When it was changed last, in nanoseconds.
    time: int
    # Of a link.
    target: bytes
    # Of a device node: major and minor number.
    device: tuple[int, int]
    xattrs: dict[str, bytes]
    # How many bytes of the stream hold it.
    stored: int
    # (offset, length) of what is stored, where the file has holes; else None.
    pieces: tuple[tuple[int, int], ...] | None


_NO_XATTRS: dict[str, bytes] = {}


def _number(field: bytes) -> int:
    """A number as octal digits, or in binary where the first byte says so (GNU).

    Raises ValueError.
    """
    try:
        return int(field.rstrip(b"\0 ") or b"0", 8)
    except ValueError:
        if field[0] not in (0x80, 0xFF):
            # What follows the first null byte is left over from another entry.
            return int(field.partition(b"\0")[0].strip() or b"0", 8)
    number = int.from_bytes(field[1:], "big")
    number -= 1 << (8 * (len(field) - 1)) if field[0] == 0xFF else 0
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError(f"{number} is too large")
    return number


# The owner, mode and time of one entry are mostly those of another.
_often = functools.lru_cache(maxsize=256)


@_often
def _mode_and_owner(field: bytes) -> tuple[int, int, int]:
    return _number(field[:8]) & 0o7777, _number(field[8:16]), _number(field[16:])


@_often
def _nanoseconds(field: bytes) -> int:
    return _number(field) * 1_000_000_000


def _is_sum(block: bytes, field: bytes) -> bool:
    """Whether the field has the sum of the block, taken with the field as eight spaces (POSIX)."""
    wanted = _number(field)
    # The lower half of Adler-32 is the sum of all bytes plus one, modulo 65521, and far quicker
    # to have than by sum().
    if zlib.adler32(block) & 0xFFFF == (wanted - 8 * 0x20 + sum(field) + 1) % 65521:
        return True
    # Old tars of Sun's summed signed characters.
    signed = sum(byte - 256 if byte > 127 else byte for byte in block[:148] + block[156:])
    return signed + 8 * 0x20 == wanted


class Reader:
    """The entries of a tar stream, one after the other."""

    def __init__(self, stream: ByteStream, *, name: str, needs_end: bool = True) -> None:
        """``name`` is what errors call the stream. A layer of an image may lack the end mark."""
        self._needs_end = needs_end
        self._stream = stream
        self._name = name
        # Records of extended headers that hold for all entries.
        self._globals: dict[bytes, bytes] = {}
        # Of the last entry's data, with padding, what is not read yet.
        self._left = 0

    def damaged(self, why: str) -> Refused:
        """What to raise where the stream is no good tar archive."""
        return Refused(
            f"{self._name} is no tar archive, or damaged: {why}, at byte {self._stream.position}",
            "Make or fetch it again.",
        )

    def copy_data(self, entry: Entry, target_fd: int) -> None:
        """Write the data of the entry just read to ``target_fd``. Raises Refused, OSError."""
        self._left -= entry.stored
        if entry.pieces is None:
            self._stream.copy(target_fd, entry.stored)
        else:
            sparse.write(entry.pieces, entry.size, self._stream, target_fd)

    def next(self) -> Entry | None:
        """The next entry, or None at the end. Raises Refused."""
        if self._left:
            self._stream.skip(self._left)
            self._left = 0
        long: dict[bytes, bytes] = {}
        extended = 0
        while True:
            block = self._stream.take(BLOCK)
            if not block:
                if not self._needs_end:
                    return None
                raise self._stream.truncated()
            if block == _ZEROS:
                return None
            fields = _HEADER.unpack(block)
            try:
                if not _is_sum(block, fields[4]):
                    raise self.damaged("the sum of a header is wrong")
                if fields[5] not in b"xgLKXV":
                    return self._entry(block, fields, long)
                size = _number(fields[2])
            except ValueError as error:
                raise self.damaged(f"a field of a header is no number ({error})") from None
            if not 0 <= size <= _EXTENDED_LIMIT - extended:
                raise self.damaged(f"an extended header of {extended + size} bytes")
            if fields[5] != b"g":
                extended += size
            self._extend(long, fields[5], size)

    def _extend(self, long: dict[bytes, bytes], flag: bytes, size: int) -> None:
        """Take the extended header that follows, for the entry after it, or for all."""
        text = self._stream.take(-(-size // BLOCK) * BLOCK)[:size] if size else b""
        if flag in b"xX":
            long.update(self._pax(text))
        elif flag == b"g":
            said = self._pax(text)
            if any(key.startswith(_OF_ONE) for key in said):
                raise self.damaged("a header for all entries that is about one")
            self._globals.update((key, said[key]) for key in _FOR_ALL if key in said)
        elif flag != b"V":  # V is the label of a volume
            long[b"path" if flag == b"L" else b"linkpath"] = text.partition(b"\0")[0]

    def _entry(self, block: bytes, fields: tuple[bytes, ...], long: dict[bytes, bytes]) -> Entry:
        name, owner, size, time, _sum, flag, target, magic, major, minor, prefix = fields
        kind = _KINDS.get(flag, b"")
        name = name.partition(b"\0")[0]
        if prefix[0] and magic == b"ustar\0":
            name = prefix.partition(b"\0")[0] + b"/" + name
        if kind == FILE:
            # Before POSIX a directory was a file whose name ends with a slash.
            if name[-1:] == b"/" and b"path" not in long:
                kind = DIRECTORY
        elif not kind:
            raise self.damaged(f"an entry of the unknown type {flag!r}")
        target = target.partition(b"\0")[0] if kind in (LINK, SYMLINK) else b""
        mode, uid, gid = _mode_and_owner(owner)
        full = _number(size)
        xattrs = _NO_XATTRS
        said = {**self._globals, **long} if self._globals else long
        if said:
            name = said.get(b"GNU.sparse.name") or said.get(b"path", name)
            target = said.get(b"linkpath", target)
            full = self._decimal(said[b"size"]) if b"size" in said else full
            uid = self._decimal(said[b"uid"]) if b"uid" in said else uid
            gid = self._decimal(said[b"gid"]) if b"gid" in said else gid
            xattrs = self._xattrs(said)
        stored = 0 if flag in _WITHOUT_DATA else full
        pieces = None
        if flag == b"S" or (said and kind == FILE and sparse.is_pax(said)):
            pieces, full, stored = self._sparse(flag, block, said, stored)
        if stored < 0:
            raise self.damaged(f"a size of {stored} bytes")
        self._left = -(-stored // BLOCK) * BLOCK
        return Entry(
            name,
            kind,
            mode,
            uid,
            gid,
            full,
            self._pax_time(said[b"mtime"]) if b"mtime" in said else _nanoseconds(time),
            target,
            self._device(_number(major), _number(minor)) if kind in DEVICES else (0, 0),
            xattrs,
            stored,
            pieces,
        )

    def _sparse(
        self, flag: bytes, block: bytes, said: dict[bytes, bytes], stored: int
    ) -> tuple[sparse.Pieces, int, int]:
        """The pieces of a file with holes, its size, and how many bytes of the stream hold it."""
        if flag == b"S":
            pieces, full = sparse.gnu_map(block, self._take_block, self.damaged)
        else:
            before = self._stream.position
            pieces, full = sparse.pax_map(said, self._take_block, self.damaged)
            stored -= self._stream.position - before
        sparse.check(pieces, full, stored, self.damaged)
        return pieces, full, stored

    def _device(self, major: int, minor: int) -> tuple[int, int]:
        if not (0 <= major < _MAJOR_LIMIT and 0 <= minor < _MINOR_LIMIT):
            raise self.damaged(f"a device of the numbers {major} and {minor}")
        return major, minor

    def _xattrs(self, said: dict[bytes, bytes]) -> dict[str, bytes]:
        found = {}
        for key, value in said.items():
            if key.startswith(_XATTR):
                name = key[len(_XATTR) :]
                if not 0 < len(name) <= _XATTR_NAME_LIMIT or b"\0" in name:
                    raise self.damaged(f"an attribute of the name {name[:40]!r}")
                if len(value) > _XATTR_SIZE_LIMIT:
                    raise self.damaged(f"an attribute of {len(value)} bytes")
                found[name.decode("utf-8", "surrogateescape")] = value
        return found

    def _take_block(self) -> bytes:
        return self._stream.take(BLOCK)

    def _decimal(self, text: bytes) -> int:
        if not text.isdigit() or len(text) > 18:
            raise self.damaged(f"{text[:40]!r} is no number")
        return int(text)

    def _pax_time(self, text: bytes) -> int:
        whole, _point, part = text.partition(b".")
        sign = -1 if whole[:1] == b"-" else 1
        digits = self._decimal(whole.lstrip(b"-") or b"0")
        return sign * (digits * 1_000_000_000 + self._decimal(part[:9].ljust(9, b"0")))

    def _pax(self, text: bytes) -> dict[bytes, bytes]:
        """The records of an extended header: "LENGTH KEY=VALUE\\n", the length being of all that."""
        records: dict[bytes, bytes] = {}
        position = 0
        while position < len(text) and text[position]:
            space = text.find(b" ", position, position + 20)
            end = position + (self._decimal(text[position:space]) if space > 0 else 0)
            # A length that ends before its own space, as 0, would lead nowhere, for ever; so would
            # one without a space.
            is_whole = position < space < end <= len(text) and text[end - 1] == _NEWLINE
            key, equals, value = text[space + 1 : max(end - 1, 0)].partition(b"=")
            if not is_whole or not equals:
                raise self.damaged("an extended header is no list of records")
            if key in sparse.REPEATED:
                records[sparse.MAP] = (
                    records[sparse.MAP] + b"," + value if sparse.MAP in records else value
                )
            elif key not in _UNUSED:
                records[key] = value
            position = end
        return records
