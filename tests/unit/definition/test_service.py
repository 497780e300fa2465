# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service is, and what is noted of one that runs: what is written is read as the same."""

from __future__ import annotations

import json
import pathlib
import re
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import service_note
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.service import (
    Ready,
    Reload,
    RestartPolicy,
    ServiceSpec,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.service_note import (
    Note,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.kinds import NAMES
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.program import Program
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.watch import Running

WRITTEN_BY_0_1_0 = pathlib.Path(__file__).with_name("written_by_0_1_0")
TEXTS = st.text(max_size=8)
# Of variables and files.
KEYS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
WORDS = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=3).map(tuple)
# Half of a surrogate pair, which stands for no byte (surrogateescape).
LONE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
SECONDS = st.floats(min_value=0, max_value=1e6)
LIMITS = st.integers(-1, (1 << 63) - 1)
PROGRAMS = st.builds(
    Program,
    WORDS,
    environment=st.dictionaries(TEXTS, TEXTS, max_size=3),
    user=st.one_of(st.none(), TEXTS),
    capabilities=st.one_of(st.none(), st.lists(TEXTS, max_size=2)),
    limits=st.dictionaries(TEXTS, st.tuples(LIMITS, LIMITS), max_size=2),
)
# What execve(2) can be given: others are refused when they are read, see below.
ARGV = WORDS.filter(lambda words: all("\0" not in word and not LONE.search(word) for word in words))
RELOADS = st.one_of(st.none(), st.builds(Reload, signal=TEXTS), st.builds(Reload, argv=ARGV))
READIES = st.builds(
    Ready,
    port=st.one_of(st.none(), st.integers(1, 65535)),
    address=TEXTS,
    file=TEXTS,
    notify=st.booleans(),
    timeout=SECONDS,
)
POLICIES = st.builds(
    RestartPolicy,
    condition=TEXTS,
    delay=SECONDS,
    max_delay=SECONDS,
    limit=st.integers(0, 1 << 31),
    interval=SECONDS,
)
SPECS = st.builds(
    ServiceSpec,
    namespace=TEXTS,
    name=TEXTS,
    program=PROGRAMS,
    kinds=st.lists(st.sampled_from(NAMES), unique=True).map(lambda kinds: tuple(sorted(kinds))),
    reload=RELOADS,
    stop_signal=TEXTS,
    stop_timeout=SECONDS,
    ready=READIES,
    restart_policy=st.one_of(st.none(), POLICIES),
    secret_environment=st.dictionaries(KEYS, TEXTS, max_size=2),
    credentials=st.dictionaries(KEYS, TEXTS, max_size=2),
)
NOTES = st.builds(
    Note,
    SPECS,
    st.builds(Running, st.integers(1), st.integers(0)),
    st.dictionaries(st.sampled_from(NAMES), st.integers(1), min_size=1),
)
SPEC = ServiceSpec("web", "idle", Program(["/bin/idle"]))
DATA = {"namespace": "web", "name": "idle", "program": {"argv": ["/bin/idle"]}}


@given(SPECS)
def test_a_service(spec: ServiceSpec) -> None:
    assert ServiceSpec.from_data(json.loads(json.dumps(spec.to_data()))) == spec


@given(NOTES)
def test_a_note(note: Note) -> None:
    data = json.loads(json.dumps(note.to_data()))
    assert Note.from_data(data, note.spec.namespace, note.spec.name) == note


def test_a_person_may_leave_out_most_of_it() -> None:
    assert ServiceSpec.from_data(DATA) == SPEC
    # And write a whole number of seconds.
    assert ServiceSpec.from_data({**DATA, "stop_timeout": 3}).stop_timeout == 3.0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": None}, "name of the service is not a text"),
        ({"program": {"argv": "idle"}}, "argv of a program is not a list of texts"),
        ({"kinds": "net"}, "kinds of the service is not a list"),
        ({"kinds": [7]}, "kinds of the service holds something that is no text"),
        ({"reload": {}}, "reload has no signal"),
        ({"reload": {"signal": "HUP", "argv": ["x"]}}, "reload has signal, which is unknown"),
        ({"reload": {"argv": ["a\0"]}}, "argv of reload holds a null character"),
        ({"reload": {"argv": ["\ud800"]}}, "argv of reload holds a character that has no bytes"),
        ({"stop_timeout": "10"}, "stop_timeout of the service is not a number"),
        ({"stop_timeout": True}, "stop_timeout of the service is not a number"),
        ({"ready": {"port": "80"}}, "port of ready is not a whole number"),
        ({"ready": {"ports": 80}}, "ready has ports, which is unknown"),
        ({"restart": True}, "the service has restart, which is unknown"),
    ],
)
def test_what_is_no_service(change: dict[str, t.Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ServiceSpec.from_data({**DATA, **change})
    for missing in ("namespace", "name", "program"):
        with pytest.raises(ValueError, match=f"the service has no {missing}"):
            ServiceSpec.from_data({key: DATA[key] for key in DATA if key != missing})


@pytest.mark.parametrize(
    "spec",
    [
        ServiceSpec("../x", "idle", SPEC.program),
        ServiceSpec("web", "a b", SPEC.program),
        ServiceSpec("web", "idle", SPEC.program, stop_signal="NOPE"),
        ServiceSpec("web", "idle", SPEC.program, reload=Reload(signal="SIG")),
        ServiceSpec("web", "idle", SPEC.program, ready=Ready(port=0)),
        ServiceSpec("web", "idle", SPEC.program, ready=Ready(port=1 << 16)),
        ServiceSpec("web", "idle", SPEC.program, ready=Ready(file="up")),
    ],
)
def test_what_makes_no_sense(spec: ServiceSpec) -> None:
    assert SPEC.checked() is SPEC
    with pytest.raises(Refused):
        spec.checked()


def test_a_note_of_0_1_0() -> None:
    """As the code of that version wrote it."""
    data = json.loads((WRITTEN_BY_0_1_0 / "service.json").read_text())
    note = Note.from_data(data, "web", "nginx")
    assert note == Note(
        ServiceSpec(
            "web",
            "nginx",
            Program(
                ["/usr/sbin/nginx", "-g", "daemon off;"],
                environment={"PATH": "/usr/sbin:/usr/bin", "LANG": "C.UTF-8"},
                chdir="/srv",
                user="www-data",
                capabilities=["net_bind_service"],
                no_new_privs=True,
                limits={"nofile": (64, -1)},
                umask=0o22,
            ),
            kinds=("mnt", "uts"),
            reload=Reload(argv=("/usr/sbin/nginx", "-s", "reload")),
            stop_signal="QUIT",
        ),
        Running(4242, 81275),
        {"mnt": 4026532573, "net": 4026532441, "uts": 4026532574},
    )
    for key in data:
        with pytest.raises(ValueError, match=r"has no|does not say"):
            Note.from_data({each: data[each] for each in data if each != key}, "web", "nginx")


def test_a_note_of_another_service() -> None:
    data = Note(SPEC, Running(1, 1), {"mnt": 1}).to_data()
    assert Note.from_data(data, "web", "idle").spec == SPEC
    for namespace, name in (("web", "other"), ("other", "idle")):
        with pytest.raises(ValueError, match="it is of service idle in namespace web"):
            Note.from_data(data, namespace, name)


def test_a_note_of_a_later_version() -> None:
    later = {"version": service_note.VERSION + 1, "process": {}}
    with pytest.raises(ValueError, match="it has version 3, this collection reads version 2"):
        Note.from_data(later, "web", "nginx")
