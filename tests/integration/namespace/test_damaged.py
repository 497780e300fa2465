# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_namespace state=absent where a definition, of this name or of another, cannot be read."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from host_state import host_state
from named_namespaces import NewName, record_of
from processes_inside import living
from results import Converge, RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core.host_paths import BASE

GOOD = {"do": "mount", "path": "/mnt", "src": "x", "fstype": "tmpfs", "opts": []}


def with_step(step: t.Any) -> t.Callable[[str], bytes]:
    """What makes of a definition one with this step in it."""

    def changed(text: str) -> bytes:
        return json.dumps({**json.loads(text), "steps": [GOOD, step]}).encode()

    return changed


DAMAGES: dict[str, t.Callable[[str], bytes]] = {
    "empty": lambda _text: b"",
    "cut short": lambda text: text[: len(text) // 2].encode(),
    "no text": lambda _text: b"\xff\xfe\0",
    "a list": lambda _text: b"[]",
    "another version": lambda text: text.replace('"version": 1', '"version": 99').encode(),
    "no properties": lambda text: text.replace('"properties"', '"property"').encode(),
    "a step that is none": with_step(7),
    "an unknown step": with_step({"do": "fly"}),
    "a step without a path": with_step({"do": "mount", "src": "x", "fstype": "", "opts": []}),
    "a root without a source": with_step({"do": "unpack", "path": "/srv"}),
}


@pytest.mark.parametrize("how", list(DAMAGES))
@pytest.mark.parametrize("where", ["record", "state"])
def test_it_is_removed_and_says_what_could_not_be_read(
    converge: Converge, run_module: RunModule, new_name: NewName, where: str, how: str
) -> None:
    before = host_state()
    name = new_name()
    converge("ns_namespace", {"name": name, "kinds": ["mnt", "net"]})
    file = record_of(name) if where == "record" else pathlib.Path(BASE, name, "state.json")
    file.write_bytes(DAMAGES[how](file.read_text()))
    # Whatever would go on from what it says stops, and names the file.
    refused = run_module("ns_namespace", {"name": name, "kinds": ["mnt", "net"]})
    assert refused["failed"]
    assert str(file) in refused["reason"]
    task = {"name": name, "state": "absent"}
    predicted = run_module("ns_namespace", task, check=True)
    with living(name):
        assert run_module("ns_namespace", task)["processes"]  # it is not removed under them
    done = run_module("ns_namespace", task)
    for result in (predicted, done):
        assert not result.get("failed"), result
        assert result["changed"]
        (warning,) = result["warnings"]
        assert str(file) in str(warning)
    assert predicted["actions"] == done["actions"]
    assert host_state() == before
    converge("ns_namespace", {"name": name})


def test_a_damaged_one_does_not_keep_others(
    converge: Converge, run_module: RunModule, new_name: NewName
) -> None:
    damaged, other = new_name(), new_name()
    for name in (damaged, other):
        converge("ns_namespace", {"name": name})
    record_of(damaged).write_text("garbage")
    done = converge("ns_namespace", {"name": other, "state": "absent"})
    assert done["changed"]
    assert not record_of(other).exists()
    assert record_of(damaged).read_text() == "garbage"
    converge("ns_namespace", {"name": other})
    done = run_module("ns_namespace", {"name": damaged, "state": "absent"})
    assert done["changed"]
    assert not record_of(damaged).exists()


@pytest.mark.parametrize("what", ["directory", "dangling link", "fifo"])
def test_something_else_in_the_place_of_the_file(
    converge: Converge, run_module: RunModule, new_name: NewName, what: str
) -> None:
    name = new_name()
    converge("ns_namespace", {"name": name})
    record = record_of(name)
    record.unlink()
    if what == "directory":
        record.mkdir()
    elif what == "fifo":
        os.mkfifo(record)
    else:
        record.symlink_to("/no/such/file")
    done = run_module("ns_namespace", {"name": name, "state": "absent"})
    assert not done.get("failed"), done
    assert not os.path.lexists(record)
