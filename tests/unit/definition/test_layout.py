# SPDX-License-Identifier: GPL-3.0-or-later
"""What a path names before and after the pivots of a namespace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import layout
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.layout import (
    Layout,
    PivotNote,
)

PATHS = st.lists(st.sampled_from(["a", "ab", "b", "srv", "web"]), max_size=5).map(
    lambda parts: "/" + "/".join(parts)
)


@pytest.mark.parametrize(
    ("path", "above", "expected"),
    [
        ("/srv", "/srv", True),
        ("/srv/web", "/srv", True),
        ("/srvx", "/srv", False),
        ("/srv", "/srv/web", False),
        ("/srv", "/", True),
        ("/", "/", True),
        ("/", "/srv", False),
    ],
)
def test_is_below(path: str, above: str, expected: bool) -> None:
    assert layout.is_below(path, above) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", []),
        ("/srv", ["/"]),
        ("/srv/web/run", ["/", "/srv", "/srv/web"]),
    ],
)
def test_ancestors(path: str, expected: list[str]) -> None:
    assert list(layout.ancestors(path)) == expected


@given(PATHS, PATHS)
def test_what_a_path_is_below_is_an_ancestor_of_it(path: str, above: str) -> None:
    assert layout.is_below(path, above) == (path == above or above in layout.ancestors(path))


@pytest.mark.parametrize(
    ("pivoted", "path", "expected"),
    [
        ((), "/srv/web/mnt", "/srv/web/mnt"),
        (("/srv/web",), "/srv/web/mnt", "/mnt"),
        (("/srv/web",), "/srv/web", "/"),
        (("/srv/web",), "/srv/webs", "/srv/webs"),
        (("/srv/web",), "/mnt", "/mnt"),
        # Each new root was named before its own pivot.
        (("/srv/web", "/inner"), "/srv/web/inner/mnt", "/mnt"),
        (("/srv/web", "/inner"), "/inner/mnt", "/mnt"),
        (("/srv/web", "/inner"), "/srv/web/mnt", "/mnt"),
    ],
)
def test_now(pivoted: tuple[str, ...], path: str, expected: str) -> None:
    assert Layout(pivoted=pivoted).now(path) == expected


@given(PATHS.filter(lambda path: path != "/"), PATHS)
def test_both_names_are_the_same_place(new_root: str, path: str) -> None:
    after = Layout(pivoted=(new_root,))
    if not layout.is_below(path, new_root):
        assert after.now(new_root + path if path != "/" else new_root) == path
        assert after.now(path) == path


@pytest.mark.parametrize(
    ("root", "expected"),
    [(7, ("/a", "/b")), (5, ("/a",)), (99, ("/a",))],
)
def test_which_pivots_were_done(root: int, expected: tuple[str, ...]) -> None:
    # The last one was begun and perhaps never done; those before it were.
    noted = (PivotNote("/a", 5, 5), PivotNote("/b", 7, 7))
    assert Layout(noted=noted).settled(root).pivoted == expected


def test_a_first_pivot_that_was_only_begun() -> None:
    begun = Layout(noted=(PivotNote("/a", 5, 5),))
    assert begun.settled(4).pivoted == ()
    assert begun.settled(5).pivoted == ("/a",)
    assert Layout().settled(5).pivoted == ()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/srv/web/var/run", "/srv/web"),
        ("/srv/web/data/x", "/srv/web"),
        ("/srv/web", "/"),
        ("/srv", "/"),
        ("/other", "/"),
        ("/data/x", "/data"),
    ],
)
def test_base(path: str, expected: str) -> None:
    mounted = frozenset({"/srv/web", "/srv/web/data", "/data"})
    assert Layout(mounted=mounted).base_of(path) == expected
    assert Layout(mounted=mounted, pivoted=("/srv/web",)).base_of(path) == "/"


def test_below_the_root_itself_the_root_is_the_base() -> None:
    assert Layout(mounted=frozenset({"/"})).base_of("/srv") == "/"
