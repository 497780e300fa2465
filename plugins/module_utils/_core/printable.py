# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Text for people: names, command lines and messages from inside are not ours.

They could steer the terminal that shows them, turn the direction of what follows, or look like a
line of our own.
Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations


class Shown(str):
    """A line in which what is data was made printable: what else is in it may be a colour."""

    __slots__ = ()


def printable(text: str) -> str:
    """``text`` as one line, in which whatever is no visible character is escaped."""
    if text.isprintable() or isinstance(text, Shown):
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def printable_lines(text: str) -> str:
    """The same for a text of several lines, which it keeps, and tabs in them."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in "\n\t" else _escaped(each) for each in text
    )


def in_sentence(text: str) -> str:
    """What a program has written, in several lines, as part of a sentence."""
    return "; ".join(text.splitlines())


def _escaped(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
