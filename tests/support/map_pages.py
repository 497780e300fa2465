# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of playbooks/map.yml: of made-up results, and by the playbook itself."""

from __future__ import annotations

import html.parser
import json
import os
import pathlib
import subprocess
import sys
import typing as t

from map_facts import Results
from module_server import CHECKOUT

_TEMPLATE = CHECKOUT / "playbooks/templates/map.html.j2"


def render(top: pathlib.Path, results: Results) -> pathlib.Path:
    """Have Ansible make the page of these results, in the directory ``top``."""
    data, page = top / "results.json", top / "namespaces.html"
    data.write_text(json.dumps(results))
    found = f"{{{{ lookup('ansible.builtin.file', '{data}') | from_json }}}}"
    task = {
        "ansible.builtin.template": {"src": str(_TEMPLATE), "dest": str(page), "mode": "0600"},
        "vars": {"map_results": found},
    }
    playbook = top / "render.yml"
    playbook.write_text(
        json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}])
    )
    # What a host may send with the setting off, which holds for from_json as well: half a character.
    done = run_playbook(str(playbook), ANSIBLE_MODULE_STRICT_UTF8_RESPONSE="false")
    assert done.returncode == 0, done.stdout + done.stderr
    return page


def run_playbook(
    *words: str, cwd: pathlib.Path = CHECKOUT, **environment: str
) -> subprocess.CompletedProcess[str]:
    argv = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), *words]
    variables = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), **environment}
    return subprocess.run(argv, check=False, capture_output=True, text=True, cwd=cwd, env=variables)


class _Scripts(html.parser.HTMLParser):
    """The elements of the page, and what is in its scripts, as a browser would tell them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.data = ""
        self._is_data = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._is_data = ("type", "application/json") in attrs

    def handle_endtag(self, tag: str) -> None:
        self._is_data = self._is_data and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._is_data:
            self.data += data


def data_of(page: pathlib.Path) -> t.Any:
    """What the page carries for other tools."""
    return json.loads(_parsed(page).data)


def tags_of(page: pathlib.Path) -> list[str]:
    """The elements in the text of the page, before any script runs."""
    return _parsed(page).tags


def _parsed(page: pathlib.Path) -> _Scripts:
    found = _Scripts()
    found.feed(page.read_text())
    found.close()
    return found
