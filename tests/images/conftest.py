# SPDX-License-Identifier: GPL-3.0-or-later
"""The services run on a host of the tests' own: own_host.py."""

from __future__ import annotations

from fixtures import host, host_unchanged

__all__ = ["host", "host_unchanged"]
