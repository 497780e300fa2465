# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the inventory plugin share."""

from __future__ import annotations

import pathlib

import pytest
from inventories import Inventory


@pytest.fixture
def inventory(tmp_path: pathlib.Path) -> Inventory:
    return Inventory(tmp_path)
