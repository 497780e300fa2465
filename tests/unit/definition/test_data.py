# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.data import Fields


def test_a_table() -> None:
    assert Fields({"sysctl": {"a": "1"}}, "web").table("sysctl", str) == {"a": "1"}
    assert Fields({}, "web").table("sysctl", str) == {}


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("a\0b", "1", "a name in sysctl of web holds a null character"),
        ("\ud800", "1", "a name in sysctl of web holds a character that has no bytes"),
        ("a", 1, "a of sysctl of web is not"),
    ],
)
def test_what_a_table_cannot_hold(name: str, value: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Fields({"sysctl": {name: value}}, "web").table("sysctl", str)
