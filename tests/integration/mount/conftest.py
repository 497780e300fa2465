# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of ns_mount share: a target, and what those in hostile roots have."""

from __future__ import annotations

import pytest
from hostile_places import filled, hostile, jailed, place, unpivoted
from unshared_process import Unshared, UnsharedProcess

__all__ = ["filled", "hostile", "jailed", "place", "unpivoted"]


@pytest.fixture
def target(unshared_process: UnsharedProcess) -> Unshared:
    """A process in a mount namespace of its own."""
    return unshared_process()
