# SPDX-License-Identifier: GPL-3.0-or-later
"""Text in columns, without what could steer a terminal."""

from __future__ import annotations

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
