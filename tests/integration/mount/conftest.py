# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of ns_mount in hostile roots share."""

from __future__ import annotations

from hostile_places import filled, hostile, jailed, place, unpivoted

__all__ = ["filled", "hostile", "jailed", "place", "unpivoted"]
