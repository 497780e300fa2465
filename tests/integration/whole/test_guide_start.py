# SPDX-License-Identifier: GPL-3.0-or-later
"""The first guide, as a reader follows it."""

from __future__ import annotations

import json
import os
import pathlib
import sys

import guides
from command import Nsctl
from module_server import CHECKOUT
from results import RunModule

GUIDE = CHECKOUT / "docs/docsite/rst/guide_start.rst"


def test_the_guide(nsctl: Nsctl, run_module: RunModule, tmp_path: pathlib.Path) -> None:
    hosts = {"all": {"hosts": {"host1": guides.THIS_HOST}}}
    (tmp_path / "hosts.yml").write_text(json.dumps(hosts))
    paths = [os.path.dirname(sys.executable), os.path.dirname(nsctl.path), os.environ["PATH"]]
    env = {
        **os.environ,
        "PATH": ":".join(paths),
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_GATHERING": "explicit",
    }
    try:
        guides.follow(guides.blocks_of(GUIDE), tmp_path, env)
    finally:
        run_module("ns_namespace", {"name": "first", "state": "absent", "force": True})
