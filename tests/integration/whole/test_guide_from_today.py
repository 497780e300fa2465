# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide for those who know other tools: all of its tasks, in one play."""

from __future__ import annotations

import os
import pathlib
import subprocess

import guides
import shop
import yaml
from command import Nsctl
from module_server import CHECKOUT
from results import RunModule

GUIDE = CHECKOUT / "docs/docsite/rst/guide_from_today.rst"
NAMES = ("report", "app", "jobs", "blue")


def test_the_guide(nsctl: Nsctl, run_module: RunModule, tmp_path: pathlib.Path) -> None:
    blocks = [block for block in guides.blocks_of(GUIDE) if block.language == "yaml"]
    tasks = [task for each in blocks if not each.caption for task in yaml.safe_load(each.text)]
    (image,) = [yaml.safe_load(each.text) for each in blocks if each.caption]
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": "/usr/bin/python3", "pid_of_server": os.getpid()},
        "tasks": tasks,
    }
    (tmp_path / "all.yml").write_text(yaml.safe_dump([play], sort_keys=False))
    (tmp_path / "image.yml").write_text(yaml.safe_dump(image))
    argv = ["ansible-playbook", "-i", "webservers,"]
    env = guides.environment(nsctl)
    try:
        with shop.on_host():
            pathlib.Path("/srv/app").mkdir()
            pathlib.Path("/srv/data").mkdir()
            pathlib.Path("/srv/tree").rename("/srv/app/rootfs")
            pathlib.Path("/srv/app/rootfs/usr/bin/shop").rename("/srv/app/rootfs/usr/bin/app")
            shown = ""
            for _time in range(2):
                done = subprocess.run(
                    [*argv, str(tmp_path / "all.yml")],
                    env=env,
                    check=False,
                    capture_output=True,
                    text=True,
                )
                assert done.returncode == 0, done.stdout + done.stderr
                shown = done.stdout
            # Only the two programs that are run each time.
            assert "changed=1 " in shown, shown
            # An image takes a registry: the role takes its variables.
            checked = [*argv, "--syntax-check", str(tmp_path / "image.yml")]
            assert subprocess.run(checked, env=env, check=False).returncode == 0
            argument_specs = (CHECKOUT / "roles/service/meta/argument_specs.yml").read_text()
            known = yaml.safe_load(argument_specs)["argument_specs"]["main"]["options"]
            assert set(image[0]["tasks"][0]["vars"]) <= set(known)
            listed = [{"name": name} for name in NAMES]
            gone = run_module(
                "ns_definition", {"namespaces": listed, "state": "absent", "force": True}
            )
            assert not gone.get("failed"), gone
    finally:
        for name in NAMES:
            run_module("ns_namespace", {"name": name, "state": "absent", "force": True})
