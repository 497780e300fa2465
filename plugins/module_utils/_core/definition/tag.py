# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A device named by what is on it, as in /etc/fstab: UUID=..., LABEL="my disk" (fstab(5)).

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..errors import Refused

# Where udev keeps a link for each.
_LINKS = "/dev/disk/by-"
# What it leaves as it is in the name of one, beside letters and digits.
_PLAIN = b"#+-.:=@_"


class Tag(t.NamedTuple):
    """A device by what is on it."""

    # One of steps.TAGS.
    name: str
    value: str

    @property
    def link(self) -> str:
        """The link to the device that udev makes, where it manages the host's devices."""
        return f"{_LINKS}{self.name.lower()}/{_encoded(self.value)}"


def of(src: str) -> Tag:
    """The tag that ``src`` is, with or without quotes around its value. Raises Refused."""
    name, _equals, value = src.partition("=")
    if value[:1] in ("'", '"'):
        if len(value) < 2 or value[-1] != value[0]:
            raise Refused(
                f"a quote is not closed in src {src}", f"Write {name}={value[0]}...{value[0]}."
            )
        value = value[1:-1]
    if not value or "\0" in value:
        raise Refused(f"src {src!r} names no device", f"Write what blkid(8) shows: {name}=...")
    return Tag(name, value)


def _encoded(value: str) -> str:
    """As udev writes it in the name of a link: what is not plain, and is no letter, as \\x20."""
    return "".join(map(_encoded_character, value))


def _encoded_character(character: str) -> str:
    data = character.encode("utf-8", "surrogateescape")
    is_plain = len(data) > 1 or data.isalnum() or data in _PLAIN
    if is_plain:
        return character
    return "".join(f"\\x{byte:02x}" for byte in data)
