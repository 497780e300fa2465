# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of ns_mount in hostile roots share."""

from __future__ import annotations

from hostile_places import hostile, jailed, place, unpivoted

__all__ = ["hostile", "jailed", "place", "unpivoted"]
