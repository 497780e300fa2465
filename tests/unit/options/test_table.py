# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what somebody has written by a table of options."""

from __future__ import annotations

import typing as t

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.options import (
    definition,
    table,
)

TABLE: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "size": {"type": "int", "default": 3},
    "ratio": {"type": "float"},
    "is_so": {"type": "bool", "default": False},
    "words": {"type": "list", "elements": "str", "choices": ["one", "two"], "default": []},
    "any": {"type": "raw"},
    "where": {"type": "path"},
    "table": {"type": "dict", "default": {}},
    "below": {
        "type": "list",
        "elements": "dict",
        "options": {"path": {"type": "str", "required": True}, "opts": {"type": "list"}},
    },
    "either": {
        "type": "dict",
        "options": {"port": {"type": "int"}, "file": {"type": "str"}},
        "mutually_exclusive": [("port", "file")],
    },
}
GOOD: list[dict[str, t.Any]] = [
    {"name": "a"},
    {"name": 5, "size": "7", "ratio": "1.5", "is_so": "yes", "words": "one,two"},
    {"name": "a", "any": {"a": [1]}, "where": "/a", "table": {"b": 1}},
    {"name": "a", "is_so": 0, "ratio": 2, "words": ["two"], "below": []},
    {
        "name": "a",
        "below": [{"path": "/a", "opts": "x,y"}, {"path": "/b"}],
        "either": {"port": "1"},
    },
]


@pytest.mark.parametrize("given", GOOD)
def test_it_reads_what_ansible_reads(given: dict[str, t.Any]) -> None:
    by_ansible = ArgumentSpecValidator(TABLE).validate(given)
    assert not by_ansible.error_messages
    assert table.read(TABLE, given, "x") == by_ansible.validated_parameters


@pytest.mark.parametrize(
    ("given", "reason", "hint"),
    [
        ({}, "x has no name", ""),
        ([], "x is no object", ""),
        ({"nam": "a"}, "x has 'nam', which is unknown", "Did you mean name?"),
        ({"name": "a", "size": "many"}, "x: size is 'many', which is not a whole number", ""),
        ({"name": "a", "size": True}, "x: size is True, which is not a whole number", ""),
        ({"name": "a", "size": 1.5}, "x: size is 1.5, which is not a whole number", ""),
        ({"name": ["a"]}, "x: name is a list, which is not a text", ""),
        ({"name": "a", "is_so": "perhaps"}, "which is not true or false", ""),
        (
            {"name": "a", "words": "one,too"},
            "x: words[1] is 'too', which is unknown",
            "Did you mean two?",
        ),
        ({"name": "a", "words": {"one": 1}}, "x: words is no list", ""),
        ({"name": "a", "table": "b"}, "x: table is a text, which is not an object", ""),
        ({"name": "a", "below": ["b"]}, "x: below[0] is no object", ""),
        ({"name": "a", "below": [{"path": "b"}, {}]}, "x: below[1] has no path", ""),
        (
            {"name": "a", "below": [{"path": "b", "optz": 1}]},
            "x: below[0] has 'optz'",
            "mean opts?",
        ),
        ({"name": "a", "either": {"port": 1, "file": "f"}}, "x: either has port and file", ""),
    ],
)
def test_what_is_wrong_is_said_with_its_place(given: t.Any, reason: str, hint: str) -> None:
    with pytest.raises(Refused) as refused:
        table.read(TABLE, given, "x")
    assert reason in refused.value.reason
    assert hint in refused.value.hint


def test_nothing_is_the_default() -> None:
    """Where a template comes to nothing, as with an option that is left out."""
    found = table.read(TABLE, {"name": "a", "size": None, "words": None}, "x")
    assert found == table.read(TABLE, {"name": "a"}, "x")


def test_what_is_shown_of_it_is_short() -> None:
    with pytest.raises(Refused) as refused:
        table.read(TABLE, {"x" * 5000: 1}, "x")
    assert len(refused.value.reason) < 150


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"name": "a/b"}, "'a/b' cannot be a name"),
        ({"kinds": []}, "kinds is empty"),
        ({"hostname": "x"}, "hostname needs the kind uts"),
        ({"mounts": [{"path": "mnt"}]}, "mounts[0]: path must be an absolute path"),
        (
            {"mounts": [{"path": "/a", "fstype": "tmpfs"}, {"path": "/a/", "fstype": "tmpfs"}]},
            "mounts[1]: /a is named twice",
        ),
        ({"services": [{"name": "x"}]}, "services[0] ('x'): it has no program"),
        (
            {"services": [{"name": "x", "argv": ["a"]}, {"name": "x", "argv": ["b"]}]},
            "services[1] ('x'): service x is listed twice",
        ),
        ({"services": [{"name": "x", "argv": ["a"], "ready": {"port": 0}}]}, "port must be"),
        ({"kinds": ["net"], "mounts": [{"path": "/a", "fstype": "tmpfs"}]}, "need the kind mnt"),
        ({"rootfs": {}}, "rootfs: a root needs a source"),
        ({"rootfs": {"directory": "/a", "home": "b"}}, "rootfs: home must be an absolute path"),
        ({"steps": [{"do": "pivot"}]}, "steps[0]"),
        ({"share": {"mnt": "b"}}, "the kind mnt is not for sharing"),
        ({"share": {"net": "x"}}, "cannot share its net with itself"),
    ],
)
def test_what_a_namespace_cannot_be(entry: dict[str, t.Any], reason: str) -> None:
    listed = [{"name": "ok"}, {"name": "x", **entry}]
    with pytest.raises(Refused) as refused:
        read = [table.read(definition.NAMESPACE, each, "it") for each in listed]
        definition.requests_of(read, lock_timeout=0)
    assert reason in refused.value.reason
    assert refused.value.reason.startswith("namespaces[1] (")


def test_two_of_one_name() -> None:
    read = [table.read(definition.NAMESPACE, {"name": "a"}, "it") for _each in range(2)]
    with pytest.raises(Refused, match=r"namespaces\[1\] \('a'\): namespace a is listed twice"):
        definition.requests_of(read, lock_timeout=0)
