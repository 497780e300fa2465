# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags of fstab(5), and the links that udev makes for them."""

from __future__ import annotations

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import tag
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.steps import (
    MountStep,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused


@pytest.mark.parametrize(
    ("src", "name", "value", "link"),
    [
        ("UUID=3e6b-DE", "UUID", "3e6b-DE", "by-uuid/3e6b-DE"),
        ('UUID="3e6b"', "UUID", "3e6b", "by-uuid/3e6b"),
        ("LABEL='my disk'", "LABEL", "my disk", "by-label/my\\x20disk"),
        ("LABEL=a=b/../c", "LABEL", "a=b/../c", "by-label/a=b\\x2f..\\x2fc"),
        ("LABEL=\\", "LABEL", "\\", "by-label/\\x5c"),
        ("PARTLABEL=é\udcff", "PARTLABEL", "é\udcff", "by-partlabel/é\\xff"),
        ("PARTUUID=#+-.:=@_", "PARTUUID", "#+-.:=@_", "by-partuuid/#+-.:=@_"),
        ("ID=wwn-0x5", "ID", "wwn-0x5", "by-id/wwn-0x5"),
    ],
)
def test_of(src: str, name: str, value: str, link: str) -> None:
    found = tag.of(src)
    assert (found.name, found.value) == (name, value)
    assert found.link == f"/dev/disk/{link}"
    assert MountStep("/mnt", src).has_tag


@pytest.mark.parametrize("src", ["UUID=", 'LABEL=""', 'LABEL="x', "LABEL=\"x'", 'ID="', "ID=a\0b"])
def test_what_names_nothing(src: str) -> None:
    with pytest.raises(Refused):
        tag.of(src)


@pytest.mark.parametrize("src", ["", "UUID", "uuid=x", "/dev/x", "label=x", "SERIAL=x", "/UUID=x"])
def test_what_is_no_tag(src: str) -> None:
    assert not MountStep("/mnt", src).has_tag
