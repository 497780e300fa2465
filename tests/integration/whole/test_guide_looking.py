# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide on looking at a host and at a fleet, as a reader follows it."""

from __future__ import annotations

import os
import pathlib
import subprocess

import guides
from command import Nsctl
from module_server import CHECKOUT
from results import RunModule

# What is gone from the host is looked for by its path in all namespaces, also in those of tests that run
# beside this one: so no other test has anything at /stock.
GUIDE = CHECKOUT / "docs/docsite/rst/guide_looking.rst"


def test_the_guide(nsctl: Nsctl, run_module: RunModule, tmp_path: pathlib.Path) -> None:
    guides.write_hosts(tmp_path)
    try:
        guides.follow(guides.blocks_of(GUIDE), tmp_path, guides.environment(nsctl))
    finally:
        listed = [{"name": name} for name in ("shop", "front")]
        gone = run_module("ns_definition", {"namespaces": listed, "state": "absent", "force": True})
        subprocess.run(["umount", "/stock"], check=False, stderr=subprocess.DEVNULL)
        os.rmdir("/stock")
    assert not gone.get("failed"), gone
