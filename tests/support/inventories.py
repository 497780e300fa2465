# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources of an inventory with the plugin `named`, and what Ansible makes of them."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import typing as t

from module_server import CHECKOUT

PLUGIN = {"plugin": "linux.namespaces.named"}


class Inventory:
    """What `ansible-inventory` makes of the sources in a directory."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory / "inventory"
        self._directory.mkdir()

    def write(self, name: str, content: t.Any) -> None:
        path = self._directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [pathlib.Path(sys.executable).parent / program, "-i", self._directory, *words]
        return subprocess.run(argv, check=False, capture_output=True, text=True, cwd=CHECKOUT)

    def read(self) -> tuple[dict[str, t.Any], dict[str, list[str]], str]:
        """The variables of each host, the hosts of each group, and the warnings."""
        done = self.run("ansible-inventory", "--list")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        variables = found.pop("_meta")["hostvars"]
        return _plain(variables), {k: v.get("hosts", []) for k, v in found.items()}, done.stderr


def _plain(found: t.Any) -> t.Any:
    """Without the marks of what was not written by hand."""
    if isinstance(found, dict):
        if "__ansible_unsafe" in found:
            return found["__ansible_unsafe"]
        return {key: _plain(value) for key, value in found.items()}
    return [_plain(each) for each in found] if isinstance(found, list) else found
