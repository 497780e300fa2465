# SPDX-License-Identifier: GPL-3.0-or-later
"""The directories of an overlay in the words of mount(8)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import layers
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.layers import Layer

PATHS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).map(
    lambda name: f"/{name}"
)
LAYERS = st.tuples(
    st.lists(PATHS.map(lambda path: Layer(layers.LOWER, path)), min_size=1),
    st.lists(PATHS.map(lambda path: Layer(layers.DATA, path))),
    st.lists(PATHS.map(lambda path: Layer(layers.UPPER, path)), max_size=1),
).map(lambda parts: [layer for part in parts for layer in part])


@pytest.mark.parametrize(
    ("text", "lower", "data"),
    [
        ("/a", ["/a"], []),
        ("/a:/b", ["/a", "/b"], []),
        ("/a::/b", ["/a"], ["/b"]),
        ("/a:/b::/c::/d", ["/a", "/b"], ["/c", "/d"]),
        (r"/a\:b:/c", ["/a:b", "/c"], []),
        (r"/a\\:/b", ["/a\\", "/b"], []),
        (r"/a\,b", ["/a,b"], []),
        ("/a\\", ["/a\\"], []),
    ],
)
def test_a_list(text: str, lower: list[str], data: list[str]) -> None:
    found = layers.of([("lowerdir", text), ("index", "off")])
    assert [each.path for each in found if each.key == layers.LOWER] == lower
    assert [each.path for each in found if each.key == layers.DATA] == data


@pytest.mark.parametrize("text", ["", ":", "/a:", ":/a", "/a::"])
def test_a_directory_without_a_name(text: str) -> None:
    pairs = [("lowerdir", text)]
    with pytest.raises(Refused):
        layers.of(pairs)
    # A mount table holds what others have made.
    layers.of(pairs, shown=True)


def test_in_the_order_of_the_options() -> None:
    pairs = [("upperdir", "/u"), ("lowerdir+", "/a:b"), ("lowerdir+", "/c"), ("workdir", r"/w\\")]
    found = [Layer("upperdir", "/u"), Layer("lowerdir+", "/a:b"), Layer("lowerdir+", "/c")]
    assert layers.of(pairs) == [*found, Layer("workdir", "/w\\")]


@given(LAYERS)
def test_the_text_names_the_same(found: list[Layer]) -> None:
    for pairs in (layers.as_text(found), layers.one_by_one(found)):
        assert layers.of(pairs) == found
