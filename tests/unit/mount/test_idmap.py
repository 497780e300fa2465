# SPDX-License-Identifier: GPL-3.0-or-later
"""X-mount.idmap, as mount(8) spells it, and when two of them say the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import options
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.id_ranges import (
    IdRange,
    joined,
    ranges_of,
)


@pytest.mark.parametrize(
    ("text", "uids", "gids"),
    [
        ("0:1000:8", [(0, 1000, 8)], [(0, 1000, 8)]),
        ("b:0:1000:8", [(0, 1000, 8)], [(0, 1000, 8)]),
        ("u:0:1:2  g:3:4:5 6:7:8", [(0, 1, 2), (6, 7, 8)], [(3, 4, 5), (6, 7, 8)]),
    ],
)
def test_ranges(text: str, uids: list[IdRange], gids: list[IdRange]) -> None:
    assert ranges_of(text) == (tuple(uids), tuple(gids))
    assert options.parse((f"X-mount.idmap={text}",)).idmap == text


@pytest.mark.parametrize(
    "text", ["", " ", "0", "u:0:1", "0:1:2:3", "x:0:1:2", "0:-1:2", "a:b:c", "u:0:1:2", "g:0:1:2"]
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(Refused) as refused:
        options.parse((f"X-mount.idmap={text}",))
    assert refused.value.hint


def test_a_path_is_taken_as_it_is() -> None:
    assert options.parse(("X-mount.idmap=/proc/42/ns/user",)).idmap == "/proc/42/ns/user"


def test_an_image_is_no_bind() -> None:
    assert options.parse(("loop",)).loop
    for words in (["bind", "loop"], ["loop=/dev/loop0"]):
        with pytest.raises(Refused):
            options.parse(tuple(words))


SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=6)


@given(SIZES, SIZES)
def test_pieces_of_one_range_are_that_range(one: list[int], other: list[int]) -> None:
    def pieces(sizes: list[int]) -> list[IdRange]:
        return [(sum(sizes[:n]), 100 + sum(sizes[:n]), size) for n, size in enumerate(sizes)]

    assert joined(reversed(pieces(one))) == [(0, 100, sum(one))]
    assert (joined(pieces(one)) == joined(pieces(other))) == (sum(one) == sum(other))


def test_what_lies_apart_stays_apart() -> None:
    apart = [(0, 100, 2), (2, 300, 2), (9, 302, 1)]
    assert joined(apart) == apart
