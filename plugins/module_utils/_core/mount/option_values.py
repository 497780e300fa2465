# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The values of options of file systems, of which several spellings mean the same.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os

_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50, "e": 1 << 60}

_PAGE = os.sysconf("SC_PAGE_SIZE")

_HIDEPID = {"0": "off", "1": "noaccess", "2": "invisible", "4": "ptraceable"}


def normalised(key: str, value: str | None) -> str | int | None:
    """A value in the form in which two spellings of it are equal: 10m and 10240k.

    Sizes are in bytes, also of percentages and of blocks.
    """
    if value is None:
        return None
    if key == "size":
        size = _size_of_percentage(value) if value.endswith("%") else _number(value)
        return value if size is None else -(-size // _PAGE) * _PAGE
    if key in ("nr_blocks", "nr_inodes"):
        number = _number(value)
        return value if number is None else number * (_PAGE if key == "nr_blocks" else 1)
    if key in ("mode", "ptmxmode", "umask", "fmask", "dmask") and _is_octal(value):
        return int(value, 8)
    if key == "hidepid":
        return _HIDEPID.get(value, value)
    if key == "subvol":  # of btrfs, which shows the way from its root
        return f"/{value.strip('/')}"
    if _is_decimal(value):
        return int(value)
    number = as_number(value)
    return value if number is None else number


def as_number(text: str) -> int | None:
    """The number that the text says, as 65536k does; None where it says none."""
    digits = text[:-1] if text[-1:].lower() in _UNITS else text
    return _number(text) if _is_decimal(digits) else None


def _is_octal(text: str) -> bool:
    return bool(text) and set(text) <= set("01234567")


def _is_decimal(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20


def _size_of_percentage(text: str) -> int | None:
    """The share of all memory, rounded as mm/shmem.c does."""
    if not _is_decimal(text[:-1]):
        return None
    return int(text[:-1]) * os.sysconf("SC_PHYS_PAGES") * _PAGE // 100


def _number(text: str) -> int | None:
    """A number as memparse() of the kernel reads it: decimal, 0 or 0x before it, and a unit."""
    digits, unit = text.lower(), 1
    if digits[-1:] in _UNITS and not digits.startswith("0x"):
        digits, unit = digits[:-1], _UNITS[digits[-1]]
    if not (digits.isascii() and digits.isalnum() and len(digits) <= 24):
        return None
    try:
        return int(digits, 8 if _is_octal(digits) and digits[0] == "0" else 0) * unit
    except ValueError:
        return None
