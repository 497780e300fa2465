# SPDX-License-Identifier: GPL-3.0-or-later
"""What nsctl adopt says: the types of the fixtures adopt and applied."""

from __future__ import annotations

import json
import typing as t

from command import Nsctl


class Adopted(t.NamedTuple):
    # The options of the namespace.
    entry: dict[str, t.Any]
    # What is not in them.
    left: list[str]


class Adopt(t.Protocol):
    def __call__(self, name: str, *words: str) -> Adopted: ...


class Applied(t.Protocol):
    def __call__(self, entry: dict[str, t.Any]) -> str: ...


def is_as_it_should_be(nsctl: Nsctl, entry: dict[str, t.Any], **options: t.Any) -> bool:
    """Whether nothing is to be done for the namespace of these options."""
    done = nsctl("apply", "-", input=json.dumps({"namespaces": [entry]}), **options)
    return done.stdout.splitlines()[-1] == f"{entry['name']}: as it should be"
