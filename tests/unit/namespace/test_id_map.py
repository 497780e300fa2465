# SPDX-License-Identifier: GPL-3.0-or-later
"""Id maps: what the option means, and what is refused before the kernel would say EINVAL."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import id_map
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace.id_map import (
    Caller,
    IdMaps,
    Range,
    Subordinate,
)

LAST = (1 << 32) - 2
ALICE = Caller(
    1000,
    100,
    "alice",
    uids=(Subordinate(100000, 65536), Subordinate(300000, 1000)),
    gids=(Subordinate(200000, 65536),),
)
ROOT = Caller(0, 0, "root", uids=(Subordinate(100000, 65536),), gids=(Subordinate(100000, 65536),))


def explicit(*uid: tuple[int, int, int], gid: t.Any = ((0, 0, 1),)) -> dict[str, t.Any]:
    return {
        which: [dict(zip(("inside", "outside", "count"), each)) for each in ranges]
        for which, ranges in (("uid", uid), ("gid", gid))
    }


def refusal(value: t.Any, caller: Caller = ALICE) -> Refused:
    with pytest.raises(Refused) as refused:
        id_map.parse(value, caller)
    return refused.value


def test_root_maps_the_caller_alone_to_root() -> None:
    assert id_map.parse("root", ALICE) == IdMaps((Range(0, 1000, 1),), (Range(0, 100, 1),))


def test_current_maps_the_caller_to_itself() -> None:
    maps = id_map.parse("current", ALICE)
    assert maps == IdMaps((Range(1000, 1000, 1),), (Range(100, 100, 1),))


def test_auto_gives_a_plain_user_itself_as_root_and_all_of_its_ranges_after_that() -> None:
    maps = id_map.parse("auto", ALICE)
    assert maps.uid == (Range(0, 1000, 1), Range(1, 100000, 65536), Range(65537, 300000, 1000))
    assert maps.gid == (Range(0, 100, 1), Range(1, 200000, 65536))


def test_auto_makes_the_root_inside_of_a_caller_that_is_root_nobody_outside() -> None:
    assert id_map.parse("auto", ROOT).uid == (Range(0, 100000, 65536),)


@pytest.mark.parametrize(
    ("caller", "names"),
    [
        (Caller(1000, 100, "alice"), ["/etc/subuid", "alice", "usermod --add-subuids"]),
        (
            Caller(1000, 100, "alice", uids=(Subordinate(1, 1),)),
            ["/etc/subgid", "alice", "usermod --add-subgids"],
        ),
        (Caller(1000, 100, ""), ["/etc/subuid", "1000"]),
    ],
)
def test_auto_without_a_range_names_the_file_and_the_user(caller: Caller, names: list[str]) -> None:
    refused = refusal("auto", caller)
    for name in names:
        assert name in refused.reason + refused.hint


def test_explicit_ranges_are_taken_as_they_are_and_may_come_as_text() -> None:
    value = {
        "gid": [{"inside": 0, "outside": 5, "count": 1}],
        "uid": [{"inside": "0", "outside": "1000", "count": "1"}],
    }
    assert id_map.parse(value, ALICE) == IdMaps((Range(0, 1000, 1),), (Range(0, 5, 1),))


def test_what_is_recorded_is_read_again_as_the_same_maps() -> None:
    maps = id_map.parse("auto", ALICE)
    assert id_map.parse(maps.as_data(), ROOT) == maps


@pytest.mark.parametrize(
    ("side", "ranges", "first", "second"),
    [
        ("inside", [(0, 100000, 1000), (999, 200000, 10)], "0-999", "999-1008"),
        ("outside", [(0, 100000, 1000), (2000, 100500, 1)], "100000-100999", "100500"),
        ("outside", [(5000, 7, 1), (0, 0, 5000)], "0-4999", "7"),
        ("inside", [(3, 10, 1), (3, 20, 1)], "3", "3"),
    ],
)
def test_an_overlap_is_refused_with_both_ranges_named(
    side: str, ranges: list[tuple[int, int, int]], first: str, second: str
) -> None:
    assert f"uid ranges {first} and {second} {side} overlap" in refusal(explicit(*ranges)).reason
    gids = refusal(explicit((0, 0, 1), gid=ranges)).reason
    assert f"gid ranges {first} and {second} {side} overlap" in gids


def test_ranges_that_touch_do_not_overlap() -> None:
    maps = id_map.parse(explicit((0, 100000, 1000), (1000, 101000, 1000)), ALICE)
    assert len(maps.uid) == 2


@pytest.mark.parametrize(
    ("each", "named"),
    [
        ((0, LAST, 2), f"{LAST}-{LAST + 1}"),
        ((LAST, 0, 2), f"{LAST}-{LAST + 1}"),
        ((0, 0, 1 << 32), f"0-{(1 << 32) - 1}"),
        ((1 << 40, 0, 1), str(1 << 40)),
    ],
)
def test_a_range_past_the_last_id_is_refused_and_named(
    each: tuple[int, int, int], named: str
) -> None:
    refused = refusal(explicit(each))
    assert named in refused.reason
    assert str(LAST) in refused.reason


def test_all_ids_there_are_can_be_mapped() -> None:
    assert id_map.parse(explicit((0, 0, LAST + 1)), ROOT).uid == (Range(0, 0, LAST + 1),)


@pytest.mark.parametrize("each", [(-1, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, -5)])
def test_numbers_below_zero_and_empty_ranges_are_refused(each: tuple[int, int, int]) -> None:
    assert "below zero or no ids" in refusal(explicit(each)).reason


@pytest.mark.parametrize(
    "value",
    [
        "Root",
        "",
        7,
        None,
        [],
        {},
        {"uid": []},
        {"uid": [], "gid": []},
        {"uid": "0", "gid": "0"},
        {**explicit((0, 0, 1)), "pid": []},
        {"uid": [[0, 0, 1]], "gid": [[0, 0, 1]]},
        {"uid": [{"inside": 0, "outside": 0}], "gid": []},
        explicit(("x", 0, 1)),  # type: ignore[arg-type]
        explicit((True, 0, 1)),
        explicit((0.5, 0, 1)),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_map_is_refused(value: t.Any) -> None:
    assert "id_map" in refusal(value).reason


def test_more_ranges_than_the_kernel_takes_are_refused() -> None:
    many = [(number, number, 1) for number in range(0, 700, 2)]
    assert "350 uid ranges" in refusal(explicit(*many)).reason
    wide = [(number, number, 1) for number in range(10**9, 10**9 + 400, 2)]
    assert "4096 bytes" in refusal(explicit(*wide)).hint


def test_subordinate_ranges_belong_to_a_user_by_name_or_by_uid() -> None:
    text = "alice:100000:65536\n# alice:1:1\n\nbob:1:1\n1000:300000:10\nalice2:5:5\n"
    found = id_map.subordinates(text, uid=1000, name="alice")
    assert found == [Subordinate(100000, 65536), Subordinate(300000, 10)]
    assert id_map.subordinates(text, uid=4, name="") == []


@pytest.mark.parametrize(
    "line",
    ["alice:1", "alice:x:1", "alice:1:0", "alice:-1:5", "alice:1:1:1", "alice:1:" + "9" * 5_000],
)
def test_a_damaged_line_gives_no_range(line: str) -> None:
    assert id_map.subordinates(line, uid=1000, name="alice") == []


@given(
    st.lists(
        st.builds(
            Range,
            st.integers(0, 50),
            st.integers(0, 50),
            st.integers(1, 20),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_ranges_are_refused_exactly_when_an_id_is_mapped_twice(ranges: list[Range]) -> None:
    def is_unique(side: str) -> bool:
        ids = [getattr(each, side) + step for each in ranges for step in range(each.count)]
        return len(ids) == len(set(ids))

    value = {"uid": [vars(each) for each in ranges], "gid": [vars(Range(0, 0, 1))]}
    if is_unique("inside") and is_unique("outside"):
        assert id_map.parse(value, ROOT).uid == tuple(ranges)
    else:
        assert "overlap" in refusal(value).reason
