# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benches share."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from timed import BASE, NAME, run, task


@pytest.fixture
def namespace(tmp_path: pathlib.Path) -> t.Iterator[None]:
    """A host that has a named namespace, with a mount inside."""
    absent = task("absent", "ns_namespace", name=NAME, state="absent", force=True)
    present = task("present", "ns_namespace", name=NAME)
    base = task("base", "ns_mount", namespace=NAME, **BASE)
    run([absent, present, base], tmp_path / "before")
    yield
    run([absent], tmp_path / "after")
