# SPDX-License-Identifier: GPL-3.0-or-later
"""What is looked at in a layout is what is read."""

from __future__ import annotations

import json
import os
import pathlib

from opens import Opens
from raced import changing_places

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources import layout


def test_a_document_that_is_exchanged(tmp_path: pathlib.Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "oci-layout").write_text("{}")
    index, other = tmp_path / "index.json", tmp_path / "other"
    index.write_text(json.dumps({"manifests": []}))
    os.mkfifo(other)
    found = {"read": 0, "refused": 0}
    with Opens(other) as opens, changing_places(index, other):
        for _round in range(5000):
            try:
                layout.check_directory(str(tmp_path), image="oci:x")
                found["read"] += 1
            except Refused as error:
                assert "no file" in error.reason
                found["refused"] += 1
        assert opens.count == 0
    assert all(found.values()), found
