# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.option_values import (
    normalised,
)

PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("percent", [1, 7, 33, 50, 99, 100, 130])
def test_a_percentage_is_of_all_memory_in_whole_pages(percent: int) -> None:
    memory = os.sysconf("SC_PHYS_PAGES") * PAGE
    size = normalised("size", f"{percent}%")
    assert isinstance(size, int)
    assert size % PAGE == 0
    assert 0 <= size - memory * percent // 100 < PAGE


@given(st.integers(0, 2**40), st.sampled_from(["", "k", "m", "g", "K", "M", "G"]))
def test_a_size_is_a_whole_number_of_pages_in_bytes(number: int, unit: str) -> None:
    factor = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}[unit.lower()]
    size = normalised("size", f"{number}{unit}")
    assert isinstance(size, int)
    assert 0 <= size - number * factor < PAGE
    assert size % PAGE == 0


@given(st.sampled_from(["size", "nr_inodes", "mode", "uid", "hidepid", "any"]), st.text())
def test_any_text_can_be_compared(key: str, value: str) -> None:
    assert normalised(key, value) == normalised(key, value)
    assert normalised(key, None) is None
