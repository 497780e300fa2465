# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of a host in messages: whatever it was, it steers no terminal and begins no template."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ansible_collections.linux.namespaces.plugins.plugin_utils._heard import LONGEST, for_people


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"sudo: a password is required\r\n", "sudo: a password is required"),
        ("one\n\n  two\r\n", "one; two"),
        ("\x1b]0;x\x07 \x9b31m", "\\x1b]0;x\\x07 \\x9b31m"),
        ("\u202eevil \ud800", "\\u202eevil \\ud800"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("{{ x }} {% y %} {# z #} {{{{", "\\x7b{ x }} \\x7b% y %} \\x7b# z #} \\x7b\\x7b\\x7b{"),
        ("漢字 {a}", "漢字 {a}"),
        ("", ""),
    ],
)
def test_as_it_is_shown(said: str | bytes, shown: str) -> None:
    assert for_people(said) == shown


def test_the_end_is_what_is_shown() -> None:
    shown = for_people(b"A" * 10_000_000 + b"\nthe reason")
    assert shown.startswith("...A")
    assert shown.endswith("A; the reason")
    assert len(shown) == LONGEST


@given(some.one_of(some.text(), some.binary(), some.text(alphabet="{%#}\x1b\n a")))
def test_any(said: str | bytes) -> None:
    shown = for_people(said)
    assert shown.isprintable()
    assert not any(opening in shown for opening in ("{{", "{%", "{#"))
    assert len(shown) <= LONGEST
    assert for_people(shown) == shown
