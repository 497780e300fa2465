# SPDX-License-Identifier: GPL-3.0-or-later
"""Text in columns, without what could steer a terminal."""

from __future__ import annotations

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl import columns


def test_columns() -> None:
    rows = [("NAME", "STATE"), ("a-long-name", "up"), ("x\ny\x1b[0m", "")]
    assert columns.columns(rows, indent="  ") == [
        "  NAME           STATE",
        "  a-long-name    up",
        "  x\\x0ay\\x1b[0m",
    ]
    assert columns.columns([]) == []


def test_cells_are_as_wide_as_they_are_shown() -> None:
    rows = [("a\tb", "x", ""), ("schön", "", ""), ("", "", "last  ")]
    assert columns.columns(rows) == [
        "a\\x09b  x",
        "schön",
        "           last",
    ]


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
        ("\u202egnp", "\\x202egnp"),
        ("\udcff", "\\xdcff"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert columns.printable(text) == shown
