# SPDX-License-Identifier: GPL-3.0-or-later
"""Which step of a definition is meant by a path, before and after pivots."""

from __future__ import annotations

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import places
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.places import Places
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.steps import (
    MountStep,
    PivotStep,
    RootStep,
    Step,
)

# A root, a pivot into it, a second root inside and a pivot into that.
STEPS: list[Step] = [
    MountStep("/srv/web"),
    RootStep("/srv/web", archive="/root.tar"),
    MountStep("/opt"),
    PivotStep("/srv/web"),
    MountStep("/opt"),
    MountStep("/inner"),
    PivotStep("/srv/web/inner"),
    MountStep("/last"),
]


@pytest.mark.parametrize(
    ("among", "expected"),
    [
        (None, [(3, "/srv/web"), (6, "/inner")]),
        (["/srv/web"], [(3, "/srv/web")]),
        # Nobody has pivoted into the first: the second is called as it was given.
        (["/srv/web/inner"], [(6, "/srv/web/inner")]),
        (["/nosuch"], []),
        ([], []),
    ],
)
def test_pivots_of_steps(among: list[str] | None, expected: list[tuple[int, str]]) -> None:
    assert places.pivots_of(STEPS, among) == expected


@pytest.mark.parametrize(
    ("path", "index", "expected"),
    [
        ("/srv/web", 0, ("/", None)),
        ("/srv/web/run", 0, ("/run", None)),
        ("/srv/website", 0, ("/srv/website", 3)),
        ("/opt", 2, ("/opt", 3)),
        # Behind the pivot a path begins at the new root, or is named as before.
        ("/opt", 4, ("/opt", None)),
        ("/srv/web/opt", 4, ("/opt", None)),
        ("/srv", 4, ("/srv", None)),
    ],
)
def test_names_after_a_pivot(path: str, index: int, expected: tuple[str, int | None]) -> None:
    assert places.name_after(path, index, [(3, "/srv/web")]) == expected


@pytest.mark.parametrize(
    ("path", "index", "expected"),
    [
        ("/srv/web/inner/a", 0, ("/a", None)),
        ("/srv/web/other", 0, ("/other", 6)),
        ("/opt", 2, ("/opt", 3)),
        ("/inner/a", 4, ("/a", None)),
        ("/other", 4, ("/other", 6)),
        ("/other", 7, ("/other", None)),
    ],
)
def test_names_after_two_pivots(path: str, index: int, expected: tuple[str, int | None]) -> None:
    assert places.name_after(path, index, places.pivots_of(STEPS)) == expected


@pytest.mark.parametrize(
    ("do", "path", "expected"),
    [
        ("mount", "/last", 7),
        ("mount", "/srv/web/inner/last", 7),
        ("mount", "/inner/last", 7),
        # The place that became the root, by each of its names; who else was mounted on / before
        # the second pivot is gone with its old root.
        ("mount", "/", 5),
        ("mount", "/srv/web/inner", 5),
        ("mount", "/opt", None),
        ("unpack", "/", None),
        ("mount", "/nosuch", None),
        # A pivot is known by its new root, as it was given.
        ("pivot", "/srv/web", 3),
        ("pivot", "/srv/web/inner", 6),
        ("pivot", "/inner", None),
        ("pivot", "/", None),
    ],
)
def test_which_step_is_meant(do: str, path: str, expected: int | None) -> None:
    assert Places(STEPS).index(do, path) == expected


def test_a_step_of_before_a_pivot_is_known_by_both_names() -> None:
    before = [MountStep("/srv/web"), MountStep("/srv/web/data"), MountStep("/data")]
    assert Places(before).index("mount", "/srv/web/data") == 1
    assert Places(before).index("mount", "/data") == 2
    after = Places([*before, PivotStep("/srv/web")])
    assert after.index("mount", "/srv/web/data") == 1
    assert after.index("mount", "/data") == 1  # the third is gone with the old root


def test_of_two_steps_at_a_place_it_is_the_first() -> None:
    steps = [MountStep("/a"), RootStep("/a", archive="/root.tar"), MountStep("/a", fstype="tmpfs")]
    found = Places(steps)
    assert (found.index("mount", "/a"), found.index("unpack", "/a")) == (0, 1)


def test_no_steps() -> None:
    assert Places([]).index("mount", "/") is None
