# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of mount(2), which takes all of them in one page."""

from __future__ import annotations

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import by_page


@pytest.mark.parametrize(
    ("source", "pairs", "needed"),
    [
        ("x", [("size", "1" * 255)], False),
        ("x", [("size", "1" * 256)], True),
        ("x", [("size", "\u00e4" * 128)], True),
        ("x" * 256, [], True),
        ("x", [("y" * 256, None)], False),
    ],
)
def test_what_is_too_long(source: str, pairs: by_page.Pairs, needed: bool) -> None:
    assert by_page.is_needed(source, pairs) == needed


def test_flags_are_no_text() -> None:
    pairs = [("ro", None), ("a", "1"), ("b", None), ("async", None), ("c", "x\\,y"), ("d", "")]
    assert by_page.text_of(pairs, where="/mnt") == "a=1,b,c=x\\,y,d="


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([("a", "x,y")], "the option a of the mount on /mnt holds a comma"),
        ([("a", "x" * (by_page.LONGEST - 1))], f"are {by_page.LONGEST + 1} bytes long"),
    ],
)
def test_what_it_cannot_take(pairs: by_page.Pairs, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        by_page.text_of(pairs, where="/mnt")
    assert reason in refused.value.reason


def test_a_page_is_enough() -> None:
    assert len(by_page.text_of([("a", "x" * (by_page.LONGEST - 2))], where="/")) == by_page.LONGEST
