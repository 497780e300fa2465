# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of the host that lead to those of a namespace: how they are written, and which are one."""

from __future__ import annotations

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import publish
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("8080:80", ("", 8080, 80, "tcp")),
        (" 8080:80/tcp ", ("", 8080, 80, "tcp")),
        ("53:53/udp", ("", 53, 53, "udp")),
        ("127.0.0.1:5432:5432", ("127.0.0.1", 5432, 5432, "tcp")),
        ("0.0.0.0:80:80", ("0.0.0.0", 80, 80, "tcp")),
        ("[::1]:5432:5432/tcp", ("::1", 5432, 5432, "tcp")),
        ("[::]:80:8080", ("::", 80, 8080, "tcp")),
        ("[2001:DB8:0::1]:53:53/udp", ("2001:db8::1", 53, 53, "udp")),
    ],
)
def test_parsed(text: str, found: tuple[str, int, int, str]) -> None:
    one = publish.parsed(text)
    assert one == found
    assert publish.parsed(one.text) == one


@pytest.mark.parametrize(
    "text",
    [
        "", "80", "0:80", "80:0", "65536:80", "80:65536", "a:80", "80:80/sctp", "80:80/", "-1:80", "80:80:80",
        "80-81:80-81", "::1:80:80", "[127.0.0.1]:80:80", "127.0.0.256:80:80", "[fe80::1%eth0]:80:80",
        "224.0.0.1:80:80", "localhost:80:80", "[]:80:80", ":80:80", "8\u0660:80", "127.0.0.1:80:80; drop",
        '"80":80', "080000:80",
    ],
)  # fmt: skip
def test_refused(text: str) -> None:
    with pytest.raises(Refused, match="publish has"):
        publish.parsed(text)


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        ("80:80", "80:81", True),
        ("80:80", "81:80", False),
        ("80:80", "80:80/udp", False),
        ("80:80", "127.0.0.1:80:80", True),
        ("80:80", "[::1]:80:80", True),
        ("0.0.0.0:80:80", "[::1]:80:80", False),
        ("0.0.0.0:80:80", "[::]:80:80", False),
        ("0.0.0.0:80:80", "10.0.0.1:80:80", True),
        ("10.0.0.2:80:80", "10.0.0.1:80:80", False),
        ("[::]:80:80", "80:80", True),
    ],
)
def test_which_are_one(one: str, other: str, is_one: bool) -> None:
    for pair in ((one, other), (other, one)):
        first, second = map(publish.parsed, pair)
        assert first.clashes(second) is is_one
        listed = [("namespace a", pair[0]), ("namespace b", pair[1])]
        if is_one:
            with pytest.raises(Refused, match="one port of the host"):
                publish.check_apart(listed)
        else:
            publish.check_apart(listed)
