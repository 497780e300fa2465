# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook `map`: from the hosts, whatever becomes of them, to the file."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import browser
import map_facts
import map_hostile
import map_pages
import pytest
from module_server import CHECKOUT
from playwright.sync_api import Browser
from results import RunModule

# A module of that name that answers with made-up facts, among them what Ansible would template.
_MODULE = """\
#!/usr/bin/python
import json
with open({facts!r}) as stream:
    print(stream.read())
"""
HERE: dict[str, t.Any] = {
    "ansible_connection": "local",
    "ansible_python_interpreter": sys.executable,
}
DOWN: dict[str, t.Any] = {
    "ansible_connection": "ssh",
    "ansible_host": "127.0.0.1",
    "ansible_port": 1,
    "ansible_ssh_common_args": "-o ConnectTimeout=3",
}
BROKEN = {**HERE, "ansible_python_interpreter": "/nonexistent/python"}


class Playbook:
    """The playbook, with a module that answers with made-up facts, in a directory where nothing else is."""

    def __init__(self, top: pathlib.Path) -> None:
        self.top = top
        tree = top / "collections/ansible_collections/linux/namespaces"
        (tree / "plugins/modules").mkdir(parents=True)
        (tree / "playbooks").symlink_to(CHECKOUT / "playbooks")
        (tree / "plugins/modules/ns_info.py").write_text(
            _MODULE.format(facts=str(top / "facts.json"))
        )
        self.answer(map_facts.three()["host2"])
        self.page = top / "namespaces.html"

    def answer(self, facts: t.Any) -> None:
        (self.top / "facts.json").write_text(json.dumps(facts))

    def run(
        self, hosts: dict[str, t.Any], *words: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        (self.top / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
        done = map_pages.run_playbook(
            "linux.namespaces.map",
            "--inventory",
            str(self.top / "hosts.json"),
            *words,
            cwd=self.top,
            ANSIBLE_COLLECTIONS_PATH=str(self.top / "collections"),
            **environment,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def states(self, page: pathlib.Path | None = None) -> dict[str, str]:
        """Of each host on the page."""
        return {
            host["name"]: host["state"] for host in map_pages.data_of(page or self.page)["hosts"]
        }


@pytest.fixture
def playbook(tmp_path: pathlib.Path) -> Playbook:
    return Playbook(tmp_path)


def test_every_host_is_on_the_page(playbook: Playbook) -> None:
    # The first ones are those that cannot do what is to be done once.
    done = playbook.run({"down": DOWN, "broken": BROKEN, "host1": HERE, "host2": HERE})
    states = {"down": "unreachable", "broken": "failed", "host1": "ok", "host2": "ok"}
    assert playbook.states() == states
    assert done.stdout.count("TASK [Write the page]") == 1
    data = map_pages.data_of(playbook.page)
    assert "Connection refused" in data["hosts"][0]["reason"]
    assert "/nonexistent/python" in data["hosts"][1]["reason"]
    facts = map_facts.three()["host2"]
    unnamed = [each for each in facts["namespaces"] if not each["name"]]
    assert data["hosts"][2]["facts"] == {
        "namespaces": unnamed,
        "named": facts["named"],
        "host": {**facts["host"], "checks": [map_facts.LACKING]},
    }
    assert playbook.page.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("host", [DOWN, BROKEN], ids=["down", "broken"])
def test_there_is_a_page_when_no_host_answers(playbook: Playbook, host: dict[str, t.Any]) -> None:
    playbook.run({"host1": host})
    assert list(playbook.states()) == ["host1"]


def test_with_other_settings_it_is_the_same(playbook: Playbook) -> None:
    """Another strategy, one host at a time, and a first failure that ends everything."""
    hosts = {"down": {**DOWN, "ansible_become": True}, "host1": HERE, "host2": HERE}
    settings = {
        "ANSIBLE_STRATEGY": "free",
        "ANSIBLE_ANY_ERRORS_FATAL": "true",
        "ANSIBLE_FORKS": "1",
    }
    done = playbook.run(hosts, "--diff", **settings)
    assert list(playbook.states().values()) == ["unreachable", "ok", "ok"]
    assert "application/json" not in done.stdout


def test_limited_to_some(playbook: Playbook) -> None:
    playbook.run({"down": DOWN, "host1": HERE, "host2": HERE}, "--limit", "host1")
    assert playbook.states() == {"host1": "ok"}


def test_a_host_that_another_play_has_lost(playbook: Playbook) -> None:
    other = {"hosts": "down:host1", "gather_facts": False, "tasks": [{"ansible.builtin.ping": {}}]}
    imported = {"ansible.builtin.import_playbook": "linux.namespaces.map"}
    (playbook.top / "both.yml").write_text(json.dumps([other, imported]))
    (playbook.top / "hosts.json").write_text(
        json.dumps({"all": {"hosts": {"down": DOWN, "host1": HERE}}})
    )
    map_pages.run_playbook(
        "both.yml",
        "--inventory=hosts.json",
        cwd=playbook.top,
        ANSIBLE_COLLECTIONS_PATH=str(playbook.top / "collections"),
    )
    assert playbook.states() == {"down": "not asked", "host1": "ok"}


def test_check_mode_writes_nothing(playbook: Playbook) -> None:
    playbook.run({"host1": HERE}, "--check")
    assert not playbook.page.exists()


def test_where_and_for_whom(playbook: Playbook) -> None:
    variables = {"map_file": "~/map.html", "map_mode": "0644", "map_hosts": "host2"}
    playbook.run(
        {"host1": HERE, "host2": HERE},
        "--extra-vars",
        json.dumps(variables),
        HOME=str(playbook.top),
    )
    page = playbook.top / "map.html"
    assert playbook.states(page) == {"host2": "ok"}
    assert page.stat().st_mode & 0o777 == 0o644


def test_the_insides_are_not_asked(playbook: Playbook) -> None:
    inventory = {
        "all": {
            "hosts": {"host1": HERE},
            "children": {"namespaces": {"hosts": {"web@host1": HERE}}},
        }
    }
    path = playbook.top / "inside.json"
    path.write_text(json.dumps(inventory))
    playbook.run({}, "--inventory", str(path))
    assert playbook.states() == {"host1": "ok"}


def test_nothing_that_a_host_says_is_templated(playbook: Playbook) -> None:
    left = playbook.top / "left"
    say = [*map_hostile.TEMPLATES, f"{{{{ lookup('pipe', 'touch {left}') }}}}"]
    named = [map_facts.namespace(text, {"mnt": 1}, reason=text) for text in say]
    playbook.answer(map_facts.host(named))
    playbook.run({"host1": HERE})
    (host,) = map_pages.data_of(playbook.page)["hosts"]
    assert [each["name"] for each in host["facts"]["named"]] == say
    assert [each["reason"] for each in host["facts"]["named"]] == say
    assert not left.exists()


@pytest.mark.parametrize(
    "facts", [7, [], "x", {}, {"named": 7}, {"named": [], "namespaces": 7, "host": []}]
)
def test_a_host_that_answers_something_else(playbook: Playbook, facts: t.Any) -> None:
    playbook.answer(facts)
    playbook.run({"host1": HERE, "down": DOWN})
    assert list(playbook.states()) == ["host1", "down"]


def test_this_very_host(
    tmp_path: pathlib.Path,
    chromium: Browser,
    run_module: RunModule,
    new_name: t.Callable[[], str],
) -> None:
    """With the module itself: a mount that was made, one that was taken away by hand, a shared network."""
    shop, front = new_name(), new_name()  # they are removed in this order
    mounts = [{"path": path, "src": "tmpfs", "fstype": "tmpfs"} for path in ("/mnt", "/media")]
    entries = [
        {"name": front, "kinds": ["net"]},
        {"name": shop, "kinds": ["mnt", "uts"], "share": {"net": front}, "mounts": mounts},
    ]
    made = run_module("ns_definition", {"namespaces": entries})
    assert not made.get("failed"), made
    inside = f"--mount=/run/linux-namespaces/{shop}/mnt"
    subprocess.run(["nsenter", inside, "umount", "/media"], check=True)

    done = map_pages.run_playbook(
        "linux.namespaces.map",
        "--inventory=localhost,",
        "--connection=local",
        f"--extra-vars=ansible_python_interpreter={sys.executable}",
        cwd=tmp_path,
        ANSIBLE_COLLECTIONS_PATH=str(CHECKOUT / ".build/collections"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    page = tmp_path / "namespaces.html"
    (found,) = map_pages.data_of(page)["hosts"]
    assert found["state"] == "ok", found["reason"]
    assert found["facts"]["host"]["kernel"] == os.uname().release
    with browser.opened(chromium, page, f"#{shop}@localhost") as shown:
        text = " ".join(shown.text(".namespace[open]").split())
        for part in (
            f"net: that of {front}",
            "missing /media",
            "ok /mnt tmpfs tmpfs",
            f"nsctl up {shop}",
        ):
            assert part in text, text
        shown.checked()
