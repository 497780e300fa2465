# SPDX-License-Identifier: GPL-3.0-or-later
"""The last lines of a unit: those since a moment, whatever the clock was set to meanwhile."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linux.namespaces.plugins.module_utils._core.service import journal


def entry(seconds: float, message: t.Any, **fields: str) -> str:
    microseconds = str(int(seconds * 1_000_000))
    return json.dumps({"__MONOTONIC_TIMESTAMP": microseconds, "MESSAGE": message, **fields})


def test_what_came_since() -> None:
    # The clock of the wall was set back in between: it says nothing.
    lines = [
        entry(10.0, "of before", __REALTIME_TIMESTAMP="99000000"),
        entry(20.0, "first", __REALTIME_TIMESTAMP="50000000"),
        entry(20.5, [108, 97, 255, 116], __REALTIME_TIMESTAMP="1"),
        entry(21.0, 'said "so"'),
    ]
    found = journal.texts_since("\n".join(lines), 20.0)
    assert found == ["first", "la\ufffdt", 'said "so"']


@pytest.mark.parametrize(
    "line",
    ["", "-- No entries --", "{}", "[]", "7", entry(30, None), entry(30, [999]), entry(30, 7),
     '{"__MONOTONIC_TIMESTAMP": "x", "MESSAGE": "x"}', '{"__MONOTONIC_TIMESTAMP": [], "MESSAGE": ""}'],
)  # fmt: skip
def test_what_is_no_entry_is_left_out(line: str) -> None:
    assert journal.texts_since(f"{line}\n{entry(30, 'kept')}", 20.0)[-1:] == ["kept"]


@given(st.text())
def test_whatever_is_printed(text: str) -> None:
    assert all(isinstance(each, str) for each in journal.texts_since(text, 0.0))
