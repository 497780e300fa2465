# SPDX-License-Identifier: GPL-3.0-or-later
"""Text without what could steer a terminal."""

from __future__ import annotations

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("web-1", "web-1"),
        ("two words", "two words"),
        ("schön 名", "schön 名"),
        ("", ""),
        ("a\nb\tc\r", "a\\x0ab\\x09c\\x0d"),
        ("\x1b]0;title\x07\x9b31m", "\\x1b]0;title\\x07\\x9b31m"),
        # What turns the direction of text, and bytes that are not UTF-8.
        ("\u202egnp", "\\u202egnp"),
        ("\udcff", "\\udcff"),
        # What takes no room, and what is no character.
        ("a\u200bb\ufeff\U000e0041", "a\\u200bb\\ufeff\\U000e0041"),
        ("\x7f\u2028\ue000", "\\x7f\\u2028\\ue000"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable.printable(text) == shown


def test_in_sentence() -> None:
    assert printable.in_sentence("") == ""
    assert printable.in_sentence("one\ntwo\r\nthree\n") == "one; two; three"


def test_printable_lines() -> None:
    text = "one\n\ttwo\x1b[31m\r\n\u2066three\n"
    assert printable.printable_lines(text) == "one\n\ttwo\\x1b[31m\\x0d\n\\u2066three\n"
    assert printable.printable_lines("plain") == "plain"
