# SPDX-License-Identifier: GPL-3.0-or-later
"""Classes that are their fields."""

from __future__ import annotations

import pickle

from ansible_collections.linux.namespaces.plugins.module_utils._core.values import Value


class Point(Value):
    __slots__ = ("x", "y")

    def __init__(self, x: int, y: object = 0) -> None:
        self.x = x
        self.y = y


class Other(Point):
    pass


def test_two_with_the_same_fields_are_equal() -> None:
    assert Point(1) == Point(1, 0)
    assert {Point(1), Point(1, 0)} == {Point(1)}
    assert Point(1) != Point(1, 1)
    assert Point(1) != Other(1)
    assert Point(1) != (1, 0)


def test_replacing_leaves_the_first_as_it_was() -> None:
    point = Point(1, y=2)
    assert point.replace(y=3) == Point(1, 3)
    assert Other(1).replace(x=2) == Other(2) != Point(2)
    assert point == Point(1, 2)


def test_it_is_shown_and_sent_as_it_is() -> None:
    assert repr(Point(1, "z")) == "Point(x=1, y='z')"
    assert pickle.loads(pickle.dumps(Point(1, [2]))) == Point(1, [2])
