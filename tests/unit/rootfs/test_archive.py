# SPDX-License-Identifier: GPL-3.0-or-later
"""The digest of an archive, which is taken while it is unpacked."""

from __future__ import annotations

import hashlib
import pathlib
import threading

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.progress import silent
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources.archive import (
    Archive,
)

SIZE = 1 << 31  # takes long to read


def test_it_is_that_of_the_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"content")
    with Archive(str(path)).opened(may_be_missing=False) as opened:
        with opened.content(on_host=True, patience=1, progress=silent) as stream:
            stream.begin()
            found = stream.digest()
        assert found == opened.digest() == "sha256:" + hashlib.sha256(b"content").hexdigest()


def test_it_is_given_up_with_the_unpacking(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        file.truncate(SIZE)
    threads = threading.active_count()
    with Archive(str(path)).opened(may_be_missing=False) as opened:
        with (
            pytest.raises(InterruptedError),
            opened.content(on_host=True, patience=1, progress=silent) as stream,
        ):
            stream.begin()
            assert threading.active_count() == threads + 1
            raise InterruptedError
        assert threading.active_count() == threads
