# SPDX-License-Identifier: GPL-3.0-or-later
"""Definitions and state files: cut at each byte, with each byte flipped, with other values."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from command import Nsctl
from full_definition import full
from fuzzing import TIMES, bounded, changed_documents, damaged, fuzz, no_defect
from host_state import host_state
from hypothesis import strategies as st
from results import RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused

FULL = full("web")


class Here(t.NamedTuple):
    """The files of a definition, and what is good in them."""

    record: pathlib.Path
    state: pathlib.Path
    good: dict[str, bytes]

    def file(self, name: str) -> pathlib.Path:
        return self.record if name == "record" else self.state


@pytest.fixture
def here(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """The files of FULL, in a directory of the test."""
    monkeypatch.setattr(definitions, "DIRECTORY", str(tmp_path / "etc"))
    monkeypatch.setattr(host_paths, "BASE", str(tmp_path / "run"))
    (tmp_path / "run/web").mkdir(parents=True)
    definitions.save(FULL)
    record, state = tmp_path / "etc/web.json", tmp_path / "run/web/state.json"
    return Here(record, state, {"record": record.read_bytes(), "state": state.read_bytes()})


def used() -> None:
    """Read it, and do what is done with every definition."""
    with bounded(Refused):
        found = definitions.load("web")
        assert found is not None
        assert found.layout.now("/srv/web/x")
        found.within_reach([note.new_root for note in found.pivoted])
        found.find("mount", "/srv/web")
        definitions.archives_of(found)
        # It can be written as it was read.
        for each in [found.properties, *found.all_steps, *found.pivoted]:
            json.dumps(each.to_data())


@pytest.mark.parametrize("name", ["record", "state"])
def test_cut_at_each_byte(name: str, here: Here) -> None:
    good = here.good[name]
    for length in range(len(good)):
        here.file(name).write_bytes(good[:length])
        used()


@pytest.mark.parametrize("name", ["record", "state"])
def test_with_each_byte_flipped(name: str, here: Here) -> None:
    good = here.good[name]
    for position in range(len(good)):
        for bit in range(8) if TIMES > 1 else (position * 5 % 8,):
            made = bytearray(good)
            made[position] ^= 1 << bit
            here.file(name).write_bytes(made)
            used()


def changed(good: bytes) -> st.SearchStrategy[bytes]:
    documents = changed_documents(json.loads(good))
    return damaged(good) | documents.map(lambda document: json.dumps(document).encode())


@fuzz(250, name=st.sampled_from(["record", "state"]), data=st.data())
def test_other_values(name: str, data: st.DataObject, here: Here) -> None:
    here.file(name).write_bytes(data.draw(changed(here.good[name])))
    used()
    here.file(name).write_bytes(here.good[name])


@fuzz(3, name=st.sampled_from(["record", "state"]), data=st.data())
def test_of_a_namespace_that_lives(
    name: str, data: st.DataObject, run_module: RunModule, lives: str, nsctl: Nsctl
) -> None:
    """Everything that reads it says what is wrong, and state absent leaves nothing."""
    before = host_state()
    mount = {"namespace": lives, "path": "/mnt", "src": "fuzz", "fstype": "tmpfs"}
    try:
        for module, args in (
            ("ns_namespace", {"name": lives, "kinds": ["mnt", "uts"], "hostname": "fuzz"}),
            ("ns_mount", mount),
        ):
            done = run_module(module, args)
            assert not done.get("failed"), done
        file = pathlib.Path(definitions.path_of(lives))
        if name == "state":
            file = pathlib.Path(host_paths.directory(lives), "state.json")
        file.write_bytes(data.draw(changed(file.read_bytes())))
        for words in (
            ["list"],
            ["show", lives],
            ["up", lives, "--check"],
            ["down", lives, "--check"],
        ):
            with bounded(seconds=60):
                said = nsctl(*words, code=None)
            no_defect(said)
            assert said.returncode in (0, 1), said
        for module, args in (("ns_namespace", {"name": lives}), ("ns_mount", mount)):
            no_defect(run_module(module, args, check=True))
    finally:
        gone = run_module("ns_namespace", {"name": lives, "state": "absent"})
    assert not gone.get("failed"), gone
    no_defect(gone)
    assert host_state() == before
