# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the kernel runs a file with: after #! of a script, in PT_INTERP of an ELF file.

Without the modules re and struct, which take as long to load as a tenth of `nsctl exec`.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

# So much of a file the kernel looks at (BINPRM_BUF_SIZE).
START = 256

_BLANKS = b" \t"
_PT_INTERP = 3
_LARGEST_TABLE = 65536
_LONGEST_PATH = 4096
# Where these lie in the header of the file: offset, size and number of the program headers; and in
# each of those: offset and size of what it is about. By the size that it has, each with its length.
_FIELDS = {
    32: (((28, 4), (42, 2), (44, 2)), ((4, 4), (16, 4))),
    56: (((32, 8), (54, 2), (56, 2)), ((8, 8), (32, 8))),
}
_ORDERS: tuple[t.Literal["little", "big"], ...] = ("little", "big")


def of_script(start: bytes) -> tuple[bytes, ...]:
    """The words after #! at the start of a file: a path, and an argument if there is one.

    Empty for what is no script, and for what the kernel takes for none (fs/binfmt_script.c). Pure.
    """
    if not start.startswith(b"#!"):
        return ()
    # A short file is followed by nulls.
    line = start[2:START].ljust(START - 2, b"\0")
    end = line.find(b"\n")
    if end < 0 or b"\0" in line[:end]:
        path = line.lstrip(_BLANKS)
        if _end_of_word(path) == len(path):  # it may go on
            return ()
        end = len(line) - 1
    line = line[:end].strip(_BLANKS)
    if not line:
        return ()
    end = _end_of_word(line)
    path, rest = line[:end], line[end:]
    if not rest or rest.startswith(b"\0"):
        return (path,)
    return (path, rest.lstrip(_BLANKS).partition(b"\0")[0])


def _end_of_word(text: bytes) -> int:
    return next((at for at, byte in enumerate(text) if byte in b" \t\0"), len(text))


def of_elf(fd: int) -> list[str]:
    """The paths in PT_INTERP of an ELF file: of its loader.

    Empty for what is no such file, or a damaged one, and for one that needs no loader. The kernel
    does not heed what the file says of its own class and byte order (fs/binfmt_elf.c), so it is
    read in every way: one that was made for it may have a loader in more than one.
    """
    header = os.pread(fd, 64, 0)
    if header[:4] != b"\x7fELF":
        return []
    found = [_loader(fd, header, size, order) for size in _FIELDS for order in _ORDERS]
    return [path for path in found if path]


def _loader(fd: int, header: bytes, entry_size: int, order: t.Literal["little", "big"]) -> str:
    """The path, if the program headers have this size, and numbers this order of bytes."""

    def numbers(data: bytes, places: tuple[tuple[int, int], ...]) -> list[int]:
        return [int.from_bytes(data[at : at + length], order) for at, length in places]

    of_file, of_entry = _FIELDS[entry_size]
    offset, size, number = numbers(header, of_file)
    if size != entry_size:
        return ""
    table = _read(fd, offset, min(size * number, _LARGEST_TABLE))
    for at in range(0, len(table), size):
        entry = table[at : at + size]
        if int.from_bytes(entry[:4], order) == _PT_INTERP:
            path_offset, length = numbers(entry, of_entry)
            path = _read(fd, path_offset, min(length, _LONGEST_PATH))
            # One without its end is damaged to the kernel as well.
            return os.fsdecode(path.split(b"\0")[0]) if path[length - 1 :] == b"\0" else ""
    return ""


def _read(fd: int, offset: int, length: int) -> bytes:
    # A damaged file may say that it lies further than a file can be long.
    return os.pread(fd, length, offset) if offset < 1 << 62 else b""
