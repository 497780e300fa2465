# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes of services: cut, with bytes flipped, with other values."""

from __future__ import annotations

import json
import pathlib

import pytest
from command import Nsctl
from fuzzing import bounded, changed_documents, damaged, fuzz, no_defect
from hypothesis import strategies as st
from results import RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import service_note
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.service import (
    Ready,
    Reload,
    ServiceSpec,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.service_note import (
    Note,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import watch
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.program import Program
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.watch import Running

# A process that there is not: nothing is ended for a note here.
GONE = Running(4_194_304, 1 << 40)


def note_of(namespace: str) -> bytes:
    spec = ServiceSpec(
        namespace=namespace,
        name="idle",
        program=Program(
            ("sleep", "1000"), environment={"A": "b"}, user="web", limits={"nofile": (1, 2)}
        ),
        kinds=("ipc", "uts"),
        reload=Reload(argv=("true",)),
        stop_signal="QUIT",
        ready=Ready(port=80, timeout=1.5),
    )
    return json.dumps(Note(spec, GONE, {"mnt": 1, "uts": 2}).to_data()).encode()


def changed(good: bytes) -> st.SearchStrategy[bytes]:
    documents = changed_documents(json.loads(good))
    return damaged(good) | documents.map(lambda document: json.dumps(document).encode())


@pytest.fixture
def note(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Where the note of the service idle in the namespace web is read."""
    monkeypatch.setattr(host_paths, "BASE", str(tmp_path))
    path = pathlib.Path(service_note.path_of("web", "idle"))
    path.parent.mkdir(parents=True)
    return path


def used() -> None:
    """Read it, and do what is done with every note."""
    with bounded(Refused):
        found = service_note.read("web", "idle")
        assert found is not None
        watch.is_alive(found.process)
        json.dumps(found.to_data())
        found.spec.checked()
        found.spec.program.checked()


def test_cut_at_each_byte_and_with_each_flipped(note: pathlib.Path) -> None:
    good = note_of("web")
    for position in range(len(good)):
        note.write_bytes(good[:position])
        used()
        note.write_bytes(
            good[:position] + bytes([good[position] ^ 1 << position % 8]) + good[position + 1 :]
        )
        used()


@fuzz(250, text=changed(note_of("web")))
def test_other_values(text: bytes, note: pathlib.Path) -> None:
    note.write_bytes(text)
    used()


@fuzz(3, data=st.data())
def test_in_a_namespace_that_lives(
    data: st.DataObject, run_module: RunModule, lives: str, nsctl: Nsctl
) -> None:
    done = run_module("ns_namespace", {"name": lives, "persistent": False})
    assert not done.get("failed"), done
    path = pathlib.Path(service_note.path_of(lives, "idle"))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data.draw(changed(note_of(lives))))
    service = {"namespace": lives, "name": "idle", "supervisor": "none"}
    try:
        for args in (
            {"state": "started", "argv": ["sleep", "9"]},
            {"state": "stopped"},
            {"state": "absent"},
        ):
            no_defect(run_module("ns_service", {**service, **args}, check=True))
        no_defect(run_module("ns_namespace", {"name": lives, "state": "absent"}, check=True))
        with bounded(seconds=60):
            for words in (["show", lives], ["list"], ["down", lives, "--check"]):
                no_defect(nsctl(*words, code=None))
    finally:
        path.unlink()
