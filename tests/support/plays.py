# SPDX-License-Identifier: GPL-3.0-or-later
"""Running plays of roles on this host, and counting what they change."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import typing as t

from module_server import CHECKOUT

Variables = dict[str, t.Any]


def play(playbook: pathlib.Path, *, check: bool = False, **variables: t.Any) -> int:
    """Run the playbook, which must not fail, with these extra variables; how much it changed."""
    argv = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), str(playbook)]
    argv += ["--extra-vars", json.dumps(variables), "-v"]
    if check:
        argv.append("--check")
    done = subprocess.run(argv, check=False, capture_output=True, text=True, cwd=CHECKOUT)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    (changed,) = re.findall(r"changed=(\d+)", done.stdout)
    return int(changed)


def apply(top: pathlib.Path, role: str, variables: Variables, *, check: bool = False) -> int:
    """Apply the role of this collection, with a playbook in ``top``; how much it changed."""
    playbook = top / "play.yml"
    playbook.write_text(json.dumps([play_of(role, variables)]))
    return play(playbook, check=check)


def play_of(role: str, variables: Variables) -> Variables:
    """The play that does so."""
    return {
        "hosts": "localhost",
        "gather_facts": False,
        "roles": [{"role": f"linux.namespaces.{role}", "vars": variables}],
    }
