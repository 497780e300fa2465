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
# each of those: offset and size of what it is about. By EI_CLASS, each with its length.
_FIELDS = {
    1: (((28, 4), (42, 2), (44, 2)), ((4, 4), (16, 4))),
    2: (((32, 8), (54, 2), (56, 2)), ((8, 8), (32, 8))),
}
_MSB = 2  # EI_DATA


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


def of_elf(fd: int) -> str:
    """The path in PT_INTERP of an ELF file: of its loader.

    Empty for what is no such file, or a damaged one, and for one that needs no loader.
    """
    header = os.pread(fd, 64, 0)
    if header[:4] != b"\x7fELF" or len(header) < 6:
        return ""
    fields = _FIELDS.get(header[4])
    order: t.Literal["little", "big"] = "big" if header[5] == _MSB else "little"
    if fields is None:
        return ""

    def numbers(data: bytes, places: tuple[tuple[int, int], ...]) -> list[int]:
        return [int.from_bytes(data[at : at + length], order) for at, length in places]

    offset, size, number = numbers(header, fields[0])
    table = _read(fd, offset, min(size * number, _LARGEST_TABLE))
    for at in range(0, len(table), size or 1):
        entry = table[at : at + size]
        if int.from_bytes(entry[:4], order) == _PT_INTERP:
            path_offset, length = numbers(entry, fields[1])
            path = _read(fd, path_offset, min(length, _LONGEST_PATH))
            # One without its end is damaged to the kernel as well.
            return os.fsdecode(path.split(b"\0")[0]) if path[length - 1 :] == b"\0" else ""
    return ""


def _read(fd: int, offset: int, length: int) -> bytes:
    # A damaged file may say that it lies further than a file can be long.
    return os.pread(fd, length, offset) if offset < 1 << 62 else b""
