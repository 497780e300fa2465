# SPDX-License-Identifier: GPL-3.0-or-later
"""The first guide, as a reader follows it."""

from __future__ import annotations

import pathlib

import guides
from command import Nsctl
from module_server import CHECKOUT
from results import RunModule

GUIDE = CHECKOUT / "docs/docsite/rst/guide_start.rst"


def test_the_guide(nsctl: Nsctl, run_module: RunModule, tmp_path: pathlib.Path) -> None:
    guides.write_hosts(tmp_path)
    try:
        guides.follow(guides.blocks_of(GUIDE), tmp_path, guides.environment(nsctl))
    finally:
        run_module("ns_namespace", {"name": "first", "state": "absent", "force": True})
