# SPDX-License-Identifier: GPL-3.0-or-later
"""The pure parts of what the info modules read."""

from __future__ import annotations

import pathlib
import struct

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import netnsid
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import mount_info
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc

NEW_NSID, ERROR = 88, 2


def answer(kind: int, *attributes: tuple[int, int]) -> bytes:
    """As the kernel answers RTM_GETNSID: a header, struct rtgenmsg, attributes."""
    payload = b"\0\0\0\0" + b"".join(
        struct.pack("=HHl", 8, name, value) for name, value in attributes
    )
    return struct.pack("=LHHLL", 16 + len(payload), kind, 0, 0, 0) + payload


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (answer(NEW_NSID, (1, 7)), 7),
        (answer(NEW_NSID, (1, 0)), 0),
        (answer(NEW_NSID, (1, -1)), None),
        (answer(NEW_NSID, (5, 3), (1, 7)), 7),
        (answer(NEW_NSID), None),
        (answer(ERROR, (1, 7)), None),
        # An attribute of no length must not hold us up.
        (answer(NEW_NSID)[:16] + bytes(20), None),
    ],
)
def test_netnsid(message: bytes, expected: int | None) -> None:
    assert netnsid.parse(message) == expected


def test_disk_names(tmp_path: pathlib.Path) -> None:
    device = tmp_path / "vda1"
    device.touch()
    for link in ("1234-ABCD", r"two\x20words", r"back\x5cslash", "schön"):
        (tmp_path / link).mkdir()
        (tmp_path / link / link).symlink_to(device)
    found = {
        name: mount_info.disk_names(str(tmp_path / link))[str(device)]
        for name, link in (("plain", "1234-ABCD"), ("space", r"two\x20words"),
                           ("backslash", r"back\x5cslash"), ("letters", "schön"))
    }  # fmt: skip
    assert found == {
        "plain": "1234-ABCD",
        "space": "two words",
        "backslash": "back\\slash",
        "letters": "schön",
    }
    assert mount_info.disk_names(str(tmp_path / "none")) == {}


def test_links_of_namespaces() -> None:
    assert proc.parse_link("mnt:[4026531832]") == 4026531832
    assert proc.parse_link("pid_for_children:[1]") == 1
