# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written of a step or of properties is read again as the same, by the same class."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import steps
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.properties import (
    CLOCKS,
    Properties,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.steps import (
    MountStep,
    PivotStep,
    RootStep,
    Step,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.wanted import WantedMount

# Of what system calls take: no null character, and no half of a surrogate pair.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
PATHS = TEXTS.map(lambda text: f"/{text}")
ID_MAPS = st.sampled_from([None, {"uid": [{"inside": 0, "outside": 1000, "count": 1}], "gid": []}])
MOUNTS = st.builds(
    MountStep,
    path=PATHS,
    src=TEXTS,
    fstype=TEXTS,
    words=st.lists(TEXTS, max_size=3).map(tuple),
    propagation=st.sampled_from(["", "private", "rslave", "shared"]),
    src_in=st.sampled_from(["host", "namespace"]),
)
OF_ARCHIVES = st.builds(
    RootStep,
    path=PATHS,
    archive=PATHS,
    digest=TEXTS,
    device_nodes=st.sampled_from(["keep", "skip"]),
)
OF_DIRECTORIES = st.builds(
    RootStep,
    path=PATHS,
    directory=PATHS,
    digest=TEXTS,
    device_nodes=st.sampled_from(["keep", "skip"]),
)
PIVOTS = st.builds(PivotStep, new_root=PATHS, put_old=st.one_of(st.just(""), PATHS))


@given(st.one_of(MOUNTS, OF_ARCHIVES, OF_DIRECTORIES, PIVOTS))
def test_a_step(step: Step) -> None:
    data = json.loads(json.dumps(step.to_data()))
    assert steps.from_data(data, "step 1") == step


def test_every_kind_of_step_was_tried() -> None:
    assert set(steps.KINDS) == {MountStep.do, RootStep.do, PivotStep.do}


def test_a_mount_is_kept_with_its_secrets_and_shown_without() -> None:
    step = MountStep("/srv", "//u:p@h/x", "cifs", ("ro", "password=hunter2"), "private")
    assert step.line == "cifs //u:********@h/x ro,password=******** private"
    assert step.shown().to_data()["opts"] == ["ro", "password=********"]
    assert step.to_data()["opts"] == ["ro", "password=hunter2"]
    assert WantedMount.of(step).line == step.line


@given(MOUNTS)
def test_a_wanted_mount_is_recorded_as_the_step_that_it_is(step: MountStep) -> None:
    assert WantedMount.of(step).step() == step
    assert WantedMount.of(step).state == "mounted"


@given(
    st.builds(
        Properties,
        kinds=st.lists(st.sampled_from(["mnt", "net", "user"]), unique=True).map(
            lambda kinds: tuple(sorted(kinds))
        ),
        propagation=st.sampled_from(["private", "unchanged"]),
        hostname=st.one_of(st.none(), TEXTS),
        domainname=st.one_of(st.none(), TEXTS),
        id_map=ID_MAPS,
        sysctl=st.dictionaries(TEXTS, TEXTS, max_size=2),
        time_offsets=st.dictionaries(st.sampled_from(CLOCKS), st.integers(), max_size=2),
    )
)
def test_properties(properties: Properties) -> None:
    assert Properties.from_data(json.loads(json.dumps(properties.to_data()))) == properties


def test_loopback_is_a_property_of_a_net_namespace() -> None:
    down = Properties(kinds=("net",), loopback=False)
    assert Properties.from_data(down.to_data()) == down
    assert "loopback" not in Properties(loopback=False).to_data()


MOUNT = {"do": "mount", "path": "/a", "src": "x", "fstype": "tmpfs", "opts": []}
UNPACK = {"do": "unpack", "path": "/a", "archive": "/a.tar", "digest": "sha256:0"}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ([], "step 1 is no object"),
        (None, "step 1 is no object"),
        ({}, "step 1 has no do"),
        ({"do": 1}, "do of step 1 is not a text"),
        ({"do": "fly"}, "step 1 does 'fly', not one of mount, unpack, pivot"),
        ({"do": "mount"}, "step 1 has no path"),
        ({**MOUNT, "path": 1}, "path of step 1 is not a text"),
        ({**MOUNT, "path": None}, "path of step 1 is not a text"),
        ({**MOUNT, "opts": "ro"}, "opts of step 1 is not a list"),
        ({**MOUNT, "opts": [1]}, "opts of step 1 holds something that is no text"),
        ({**MOUNT, "owner": "x"}, "step 1 has owner, which is unknown"),
        ({**MOUNT, "x" * 500: 1}, "step 1 has " + "x" * 80 + "..., which is unknown"),
        ({**MOUNT, "path": "/a\0"}, "path of step 1 holds a null character"),
        ({**MOUNT, "src": "\ud800"}, "src of step 1 holds a character that has no bytes"),
        ({**MOUNT, "opts": ["a\0"]}, "opts of step 1 holds a null character"),
        ({**MOUNT, "propagation": "x"}, "propagation of step 1 is 'x', which is unknown"),
        ({"do": "unpack", "path": "/a"}, "step 1 has no archive"),
        ({"do": "unpack", "path": "/a", "archive": "/x"}, "step 1 has no digest"),
        ({**UNPACK, "id_map": {}}, "step 1 has id_map, which is unknown"),
        ({"do": "pivot"}, "step 1 has no new_root"),
        ({"do": "pivot", "new_root": True}, "new_root of step 1 is not a text"),
    ],
)
def test_a_damaged_step(data: t.Any, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}$"):
        steps.from_data(data, "step 1")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kinds": "mnt"}, "kinds of properties is not a list"),
        ({"propagation": None}, "propagation of properties is not a text"),
        ({"loopback": 1}, "loopback of properties is not true or false"),
        ({"time_offsets": {"monotonic": True}}, "monotonic of time_offsets of properties is not"),
        ({"sysctl": {"net.x": 1}}, "net.x of sysctl of properties is not a text"),
        ({"colour": "red"}, "properties has colour, which is unknown"),
    ],
)
def test_damaged_properties(change: dict[str, t.Any], why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}"):
        Properties.from_data({**Properties().to_data(), **change})


def test_steps_of_version_0_1_0() -> None:
    """As they were written before steps had a type."""
    written = [
        {"do": "mount", "path": "/srv/web", "src": "/srv/rootfs", "fstype": "", "opts": ["bind"]},
        {**MOUNT, "propagation": "private", "src_in": "namespace"},
        {**UNPACK, "device_nodes": "skip"},
        {"do": "unpack", "path": "/a", "directory": "/srv/x", "digest": "sha256:1"},
        {"do": "pivot", "new_root": "/srv/web", "put_old": "/srv/web/old"},
    ]
    read = [steps.from_data(data, "a step") for data in written]
    assert [step.to_data() for step in read] == written
    assert read == [
        MountStep("/srv/web", "/srv/rootfs", words=("bind",)),
        MountStep("/a", "x", "tmpfs", propagation="private", src_in="namespace"),
        RootStep(
            "/a",
            archive="/a.tar",
            digest="sha256:0",
            device_nodes="skip",
        ),
        RootStep("/a", directory="/srv/x", digest="sha256:1"),
        PivotStep("/srv/web", "/srv/web/old"),
    ]
