# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin and hosts that answer what `nsctl` never does: what they say stays text."""

from __future__ import annotations

import json
import pathlib
import shlex
import sys
import typing as t

import pytest
from inventories import PLUGIN, Inventory

from ansible_collections.linux.namespaces.plugins.module_utils._core.host_paths import COMMAND

GOOD = {
    "name": "web",
    "state": "up",
    "kinds": {"mnt": {"id": 1}},
    "root": "/srv/web",
    "persistent": True,
}
# As the plugin documents them, and what makes most of what a host says.
DOCUMENTED = {
    "keyed_groups": [
        {"key": "ns_state", "prefix": "namespaces"},
        {"key": "ns_kinds", "prefix": "with"},
    ],
    "compose": {"ansible_python_interpreter": "'/usr/bin/python3'"},
    "groups": {"shops": "ns_name.startswith('shop')"},
}
EVERYTHING = {
    "keyed_groups": [
        {"key": "ns_root", "prefix": "in", "parent_group": "{{ ns_root }}"},
        {"key": "ns_state", "separator": ""},
        {"key": "ns_name ~ ns_root"},
        {"key": "{'root': ns_root}"},
    ],
    "compose": {"again": "ns_root", "more": "'x' ~ ns_root", "all_of_it": "[ns_root, ns_kinds]"},
    "groups": {"odd": "ns_root is search('x')", "odder": "ns_state == 'up'"},
}


@pytest.fixture
def answer() -> t.Iterator[t.Callable[[str], None]]:
    """Makes this host answer some text where it is asked for its namespaces."""
    command = pathlib.Path(COMMAND)

    def to_be(text: str, code: int = 0, error: str = "") -> None:
        output = command.parent / "answer"
        output.write_bytes(text.encode("utf-8", "surrogatepass"))
        script = f"cat {output}; printf %s {shlex.quote(error)} >&2; exit {code}"
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)

    yield to_be
    for path in (command, command.parent / "answer"):
        path.unlink(missing_ok=True)


def here(inventory: Inventory, options: dict[str, t.Any]) -> None:
    variables = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory.write("hosts.yml", {"all": {"hosts": {"here": variables}}})
    inventory.write("more.yml", {**PLUGIN, "ask": True, **options})


def code(path: pathlib.Path) -> list[str]:
    """Templates that would make a file, had they the chance."""
    touch = f"touch {path}"
    return [
        f"{{{{ lookup('pipe', '{touch}') }}}}",
        f"{{% set x = lookup('pipe', '{touch}') %}}/x",
        f"/srv/{{{{ query('ansible.builtin.pipe', '{touch}') }}}}",
        f"/{{{{ lookup('pipe', '{touch}') }}}}x",
        f"/{{{{{{{{ lookup('pipe', '{touch}') }}}}}}}}",
        f"/srv/x\n#jinja2: x\n{{{{ lookup('pipe', '{touch}') }}}}",
    ]


@pytest.mark.parametrize("options", [DOCUMENTED, EVERYTHING], ids=["documented", "everything"])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("with_names", [False, True])
def test_nothing_of_an_answer_runs(
    inventory: Inventory,
    answer: t.Callable[..., None],
    tmp_path: pathlib.Path,
    options: dict[str, t.Any],
    strict: bool,
    with_names: bool,
) -> None:
    ran = tmp_path / "ran"
    records: list[t.Any] = [GOOD]
    for number, text in enumerate(code(ran)):
        for field in (
            "state",
            "root",
            "persistent",
            "reason",
            "ansible_host",
            "ansible_shell_type",
        ):
            records.append({**GOOD, "name": f"n{number}{field}", field: text})
        records.append({**GOOD, "name": f"n{number}kinds", "kinds": {text: {}, "net": {}}})
        records.append({**GOOD, "name": f"n{number}listed", "kinds": [text]})
        if with_names:
            records += [{**GOOD, "name": text}, text]
    answer(json.dumps(records))
    here(inventory, {**options, "strict": strict})
    variables, groups, warnings = inventory.read()
    assert not ran.exists()
    assert groups["with_mnt" if options is DOCUMENTED else "odder"]
    assert variables["web@here"]["ns_root"] == "/srv/web"
    assert len(variables) > 15
    assert "Left out of the namespaces of here: " in warnings
    assert "{{" not in warnings
    play = "{{ ns_root | default('') }} {{ ns_state | default('') }} {{ ns_kinds | default('') }}"
    done = inventory.run("ansible", "namespaces", "-m", "debug", "-a", f"msg='{play}'")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not ran.exists()


def test_a_path_is_text_in_plays(
    inventory: Inventory, answer: t.Callable[..., None], tmp_path: pathlib.Path
) -> None:
    """What has the form of a path is not filled in as a template either, however it is used."""
    names = {
        f"n{number}": root for number, root in enumerate(("/{ { x } }", "/x'y", "/$(id)", "/`id`"))
    }
    answer(json.dumps([{**GOOD, "name": name, "root": root} for name, root in names.items()]))
    here(inventory, EVERYTHING)
    variables = inventory.read()[0]
    assert {name: variables[f"{name}@here"]["ns_root"] for name in names} == names
    assert {name: variables[f"{name}@here"]["again"] for name in names} == names
    target = tmp_path / "seen"
    words = f"dest={target} content='{{{{ groups.namespaces | map('extract', hostvars, 'ns_root') | to_json }}}}'"
    done = inventory.run("ansible", "here", "-m", "copy", "-a", words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(json.loads(target.read_text())) == sorted(names.values())


OF_CACHE = {"cache": True, "cache_plugin": "jsonfile"}


def test_a_cache_is_what_a_host_said(
    inventory: Inventory, answer: t.Callable[..., None], tmp_path: pathlib.Path
) -> None:
    """Of a version as well that kept it as it came; what only looks like Ansible's own marks too."""
    ran, kept = tmp_path / "ran", tmp_path / "kept"
    answer(json.dumps([GOOD]))
    here(inventory, {**EVERYTHING, **OF_CACHE, "cache_connection": str(kept)})
    first = inventory.read()[0]
    (file,) = kept.iterdir()
    answer("[]")
    assert inventory.read()[0] == first
    trusted = {
        "__ansible_type": "_AnsibleTaggedStr",
        "tags": [{"__ansible_type": "TrustedAsTemplate"}],
        "value": code(ran)[0],
    }
    odd: list[t.Any] = [
        *code(ran),
        trusted,
        {"__ansible_vault": "$ANSIBLE_VAULT;1.1;AES256\n00"},
        {"__ansible_unsafe": code(ran)[0]},
        {"__ansible_type": "nosuch"},
        None,
        1e309,
    ]
    records = [
        {**GOOD, "name": f"n{number}", field: text}
        for number, text in enumerate(odd)
        for field in ("state", "root", "kinds")
    ]
    content = file.read_text()
    for broken in (
        json.dumps({"here": [GOOD, *records, *odd]}),
        json.dumps({"here": odd[0], "there": [GOOD]}),
        json.dumps([GOOD]),
        json.dumps("x"),
    ):
        # As its version of Ansible wraps it.
        whole = json.loads(content)
        text = json.dumps({**whole, "__payload__": broken}) if "__payload__" in whole else broken
        file.write_text(text)
        inventory.read()
        done = inventory.run(
            "ansible", "all", "-m", "debug", "-a", "msg='{{ ns_root | default() }}'"
        )
        assert "Traceback" not in done.stdout + done.stderr
        assert not ran.exists()


DEEP = 100_000


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * DEEP + "]" * DEEP, "nested too deeply"),
        ('[{"name":' * DEEP, "not known"),
        ("[" + '"web",' * 5000 + '"web"]', "5001 namespaces, more than"),
        ("x " * 5000, "5000 namespaces, more than"),
        ("[" + " " * (17 << 20) + "]", "more than 16777216"),
        ("[" + "9" * 10_000 + "]", "not known"),
        ("[1", "not known"),
        ("[\x1b]0;x\x07]", "not known"),
    ],
    ids=["deep", "deep-cut", "many", "many-names", "large", "number", "cut", "escapes"],
)
def test_answers_that_are_none(
    inventory: Inventory, answer: t.Callable[..., None], text: str, why: str
) -> None:
    answer(text)
    here(inventory, DOCUMENTED)
    variables, groups, warnings = inventory.read()
    assert why in " ".join(warnings.split())
    assert set(variables) == {"here"}
    assert "namespaces" not in groups
    assert_calm(warnings)


def test_odd_records_leave_the_others(inventory: Inventory, answer: t.Callable[..., None]) -> None:
    odd = [
        None,
        True,
        1,
        1.5,
        [],
        {},
        [["web"]],
        {"name": None},
        {"name": ["web"]},
        {"name": {"web": 1}},
        "",
        ".",
        "..",
        "../web",
        "web ",
        "w\u0435b",
        "\u202eweb",
        "web\n",
        "\ud800",
        "w" * 65,
        "a/b",
        "-x",
        {"name": "web", "state": "down"},
        {"name": "a1", "kinds": "mnt"},
        {"name": "a2", "kinds": [["mnt"], {}]},
        {"name": "a3", "kinds": 7},
        {"name": "a4", "state": ["up"]},
        {"name": "a5", "state": "UP"},
        {"name": "a6", "state": "up\n"},
        {"name": "b1", "root": "srv"},
        {"name": "b2", "root": "/srv/../x"},
        {"name": "b3", "root": "/a//b"},
        {"name": "b4", "root": "/" + "x" * 5000},
        {"name": "b5", "root": "/\x1b[2J"},
        {"name": "b6", "root": "/\ud800"},
        {"name": "b7", "root": "/\u202e"},
        {"name": "b8", "root": "//"},
        {"name": "c1", "persistent": "yes"},
        {"name": "c2", "persistent": 1},
        {
            **dict.fromkeys(("ansible_host", "ansible_connection", "ns_host"), "x"),
            "name": "foreign",
            "ansible_become_method": "x",
        },
    ]
    answer(
        json.dumps([GOOD, *odd])[:-1] + ', {"name": "nan", "root": NaN, "persistent": Infinity}]'
    )
    here(inventory, {**DOCUMENTED, "strict": False})
    variables, groups, warnings = inventory.read()
    assert groups["namespaces"] == ["web@here", "foreign@here"]
    foreign = variables["foreign@here"]
    assert foreign["ns_host"] == "here"
    assert foreign["ansible_connection"] == "linux.namespaces.local"
    assert not {"ansible_host", "ansible_become_method"} & set(foreign)
    assert variables["web@here"]["ns_state"] == "up"
    assert_calm(warnings)


def assert_calm(text: str) -> None:
    assert all(character.isprintable() or character == "\n" for character in text)
    assert len(text) < 4000
    assert "{{" not in text
    assert "{%" not in text
    assert "Traceback" not in text


def test_no_answer_becomes_a_host_of_others(
    inventory: Inventory, answer: t.Callable[..., None]
) -> None:
    """A name of the answer and the host's own, as the inventory has one that lies elsewhere."""
    answer(json.dumps([GOOD, {**GOOD, "name": "mine"}, {**GOOD, "name": "noted"}]))
    here(inventory, {})
    local = {"ansible_connection": "local"}
    hosts = {
        "here": local,
        "web@here": {"ansible_host": "192.0.2.1"},
        "noted@here": {"note": "of the operator"},
    }
    inventory.write("hosts.yml", {"all": {"hosts": hosts}})
    variables, groups, warnings = inventory.read()
    assert sorted(groups["namespaces"]) == ["mine@here", "noted@here"]
    assert variables["web@here"] == {"ansible_host": "192.0.2.1"}
    assert variables["noted@here"]["note"] == "of the operator"
    assert "web@here, which is another host already" in " ".join(warnings.split())


def test_strict_holds_back_no_other_host(
    inventory: Inventory, answer: t.Callable[..., None]
) -> None:
    """What is fatal for the others with the names alone, without their state, is left out."""
    answer("web shop")
    here(inventory, {**DOCUMENTED, "strict": True})
    local = {"ansible_connection": "local"}
    hosts = {"here": local, "told": {**local, "namespaces": [GOOD]}}
    inventory.write("hosts.yml", {"all": {"hosts": hosts}})
    _variables, groups, warnings = inventory.read()
    assert groups["namespaces"] == ["web@told"]
    assert "Left out of the namespaces of here: web@here" in " ".join(warnings.split())
