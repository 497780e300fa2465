# SPDX-License-Identifier: GPL-3.0-or-later
"""The plays run on a host of the tests' own: own_host.py."""

from __future__ import annotations

from fixtures import host, host_unchanged, new_name, run_module, server

__all__ = ["host", "host_unchanged", "new_name", "run_module", "server"]
