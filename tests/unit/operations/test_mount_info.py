# SPDX-License-Identifier: GPL-3.0-or-later
"""The names that udev has for disks."""

from __future__ import annotations

import pathlib

from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import mount_info


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
