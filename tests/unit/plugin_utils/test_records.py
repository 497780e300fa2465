# SPDX-License-Identifier: GPL-3.0-or-later
"""What is taken of the answers of hosts."""

from __future__ import annotations

import contextlib
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds
from ansible_collections.linux.namespaces.plugins.module_utils._core.facts.states import STATES
from ansible_collections.linux.namespaces.plugins.module_utils._core.host_paths import is_name
from ansible_collections.linux.namespaces.plugins.plugin_utils import _records

GOOD = {"name": "web", "state": "up", "kinds": ["mnt"], "root": "/srv/web", "persistent": False}
JSON = some.recursive(
    some.one_of(some.none(), some.booleans(), some.floats(), some.integers(), some.text()),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
    max_leaves=8,
)
NEARLY = some.fixed_dictionaries(
    {"name": some.sampled_from(["web", "a.b", "-", "", "{{ x }}"]) | JSON},
    optional={
        "state": some.sampled_from(STATES) | JSON,
        "kinds": some.lists(some.sampled_from(kinds.NAMES)) | JSON,
        "root": some.text(alphabet="/.x{%\x1b ").map("/{}".format) | JSON,
        "persistent": JSON,
        "ansible_host": JSON,
    },
)


def test_what_nsctl_says() -> None:
    more = {"processes": [1], "reason": "", "kinds": {"uts": {"id": 1}, "mnt": {"id": 2}}}
    said = json.dumps([{**GOOD, **more}], indent=2).encode()
    assert _records.parsed(said) == ({"web": {**GOOD, "kinds": ["mnt", "uts"]}}, [])
    assert _records.parsed(b"web\nshop\n").known == {
        "web": {"name": "web"},
        "shop": {"name": "shop"},
    }
    assert _records.parsed(b"") == ({}, [])


def test_oddities_are_counted() -> None:
    found = _records.checked([f"{number} {{{{" for number in range(1000)])
    assert found.oddities.endswith("and 997 more")
    assert "{{" not in found.oddities
    assert len(found.oddities) < 500


def test_as_many_as_there_may_be() -> None:
    many = [f"n{number}" for number in range(4096)]
    assert list(_records.checked(many).known) == many
    with pytest.raises(ValueError, match="4097 namespaces"):
        _records.checked([*many, "n"])


@given(some.lists(NEARLY | JSON))
def test_any(answer: list[t.Any]) -> None:
    found = _records.checked(answer)
    for name, record in found.known.items():
        assert record.keys() <= {"name", *_records.FACTS}
        assert record["name"] == name
        assert is_name(name)
        assert record.get("state", "up") in STATES
        assert set(record.get("kinds", ())) <= set(kinds.NAMES)
        assert record.get("persistent", True) in (True, False)
        root = record.get("root", "/")
        assert root.startswith("/")
        assert root.isprintable()
        assert "{{" not in root
        assert ".." not in root.split("/")
    assert found.oddities.isprintable()
    # What was kept in a cache is the same again.
    assert _records.checked(list(found.known.values())) == (found.known, [])


@given(
    some.one_of(JSON.map(json.dumps), some.text()).map(lambda text: text.encode("utf-8", "replace"))
)
def test_any_bytes(said: bytes) -> None:
    with contextlib.suppress(ValueError):
        _records.parsed(said)
