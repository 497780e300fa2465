# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of explained failures share: what is said, and where."""

from __future__ import annotations

import contextlib
import pathlib
import typing as t

import pytest
from results import Result

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts


def failed(result: Result, call: str, errno: str, reason: str, hint: str) -> None:
    """The call failed so, for this reason, and with this in the hint."""
    assert result.get("failed"), result
    assert (result.get("syscall"), result["errno"]) == (call, errno), result
    assert reason in result["reason"]
    assert hint in result["hint"]
    assert result["hint"]
    assert result["reason"] in result["msg"]
    assert result["msg"].endswith(result["hint"])
    assert "Traceback" not in str(result)


@contextlib.contextmanager
def without(path: str) -> t.Iterator[None]:
    """A host on which nothing can be had of the file at the path, for the block."""
    mounts.mount("/dev/null", path, flags=mounts.MS_BIND)
    try:
        yield
    finally:
        mounts.umount(path)


@pytest.fixture
def here(tmp_path: pathlib.Path) -> pathlib.Path:
    """A directory with some others in it, of which mnt is to mount on."""
    for name in ("mnt", "other", "src"):
        (tmp_path / name).mkdir()
    return tmp_path
