# SPDX-License-Identifier: GPL-3.0-or-later
"""What is exported of a definition is what has to be given for it."""

from __future__ import annotations

import json
import pathlib
import typing as t

import jsonschema
import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.model import (
    Definition,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.service import (
    Ready,
    Reload,
    RestartPolicy,
    ServiceSpec,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.steps import (
    MountStep,
    PivotStep,
    RootStep,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.options import (
    definition,
    export,
    schema,
    table,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.program import Program

SCHEMA = pathlib.Path(__file__).parents[3] / "docs/definition.schema.json"
ENTRIES: list[dict[str, t.Any]] = [
    {"name": "a"},
    {
        "name": "a",
        "kinds": ["mnt", "net", "time", "user", "uts"],
        "propagation": "slave",
        "hostname": "h",
        "domainname": "d",
        "id_map": {
            "uid": [{"inside": 0, "outside": 100000, "count": 65536}],
            "gid": [{"inside": 0, "outside": 100000, "count": 65536}],
        },
        "share": {"ipc": "b"},
        "loopback": False,
        "sysctl": {"net.ipv4.ip_forward": "1"},
        "time_offsets": {"boottime": 5},
        "persistent": False,
        "mounts": [
            {
                "path": "/a",
                "src": "t",
                "fstype": "tmpfs",
                "opts": ["size=1m"],
                "propagation": "shared",
            },
            {"path": "/b", "src": "/c", "opts": ["bind"], "src_in": "namespace"},
        ],
    },
    {"name": "a", "rootfs": {"directory": "/srv/tree", "root": "bind"}},
    {
        "name": "a",
        "rootfs": {"directory": "/srv/tree", "digest": "sha256:" + "0" * 64, "home": "/srv/a"},
        "mounts": [
            {
                "path": "/dev/shm",
                "src": "s",
                "fstype": "tmpfs",
                "opts": ["size=2m"],
            },
            {"path": "/data", "src": "/srv/data", "opts": ["bind"]},
        ],
    },
    {
        "name": "a",
        "rootfs": {"image": "docker://x/y:1", "volumes": "/srv/volumes"},
        "files": [
            {"dest": "/var/lib/linux-namespaces-a/log", "state": "directory", "mode": "0750"},
            {
                "dest": "/var/lib/linux-namespaces-a/etc/x.conf",
                "content": "a = 1\n",
                "owner": "7",
                "group": "www-data",
                "mode": "0640",
            },
            {"dest": "/var/lib/linux-namespaces-a/empty", "content": ""},
        ],
    },
    {
        "name": "a",
        "steps": [
            {"do": "mount", "path": "/r", "src": "t", "fstype": "tmpfs"},
            {"do": "unpack", "path": "/r", "archive": "/a.tar", "digest": "sha256:" + "1" * 64},
            {"do": "pivot", "new_root": "/r"},
            {"do": "mount", "path": "/x", "src": "t", "fstype": "tmpfs", "persistent": False},
        ],
    },
]


def definition_of(entry: dict[str, t.Any]) -> Definition:
    """What the operations record of it."""
    (asked,) = definition.requests_of(
        [table.read(definition.NAMESPACE, entry, "it")], lock_timeout=0
    )
    steps = [(step, lasts and asked.namespace.persistent) for step, lasts in asked.steps]
    mounts = [each.step() for each in asked.mounts]
    if asked.root is not None:
        first, then = asked.root.steps(mounts)
        volumes = [asked.root.volume("/data-x")] if asked.root.volumes else []
        every = [asked.root.mount("a-0123456789ab"), *first, *then, *volumes]
        steps = [(step, asked.namespace.persistent) for step in every]
    elif mounts:
        steps = [(step, asked.namespace.persistent) for step in mounts]
    return Definition(
        asked.name,
        asked.namespace.properties,
        persistent=asked.namespace.persistent,
        steps=tuple(step for step, lasts in steps if lasts),
        volatile=tuple(step for step, lasts in steps if not lasts),
        own_root=asked.root,
        files=tuple(each.file for each in asked.files),
    )


def contents_of(entry: dict[str, t.Any]) -> dict[str, str | None]:
    return {each["dest"]: each.get("content") for each in entry.get("files", ())}


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_namespace(entry: dict[str, t.Any]) -> None:
    found = export.namespace(definition_of(entry), [], contents_of(entry))
    assert found == entry
    assert list(found) == [name for name in definition.NAMESPACE if name in entry]


def test_other_steps_than_those_of_its_root() -> None:
    entry = {"name": "a", "rootfs": {"directory": "/srv/tree", "root": "bind"}}
    made = definition_of(entry)
    added = made.replace(steps=(*made.steps, PivotStep("/other")))
    found = export.namespace(added, [], {})
    assert "rootfs" not in found
    assert [each["do"] for each in found["steps"]][-2:] == ["pivot", "pivot"]


def test_kinds_of_steps_are_all_known() -> None:
    for step in (MountStep("/a"), RootStep("/a", "/b", digest="c"), PivotStep("/a")):
        read = table.read(definition.STEP, step.to_data(), "it")
        assert read["do"] == step.do


def test_a_service() -> None:
    spec = ServiceSpec(
        "a",
        "web",
        Program(
            ["/bin/web", "-x"],
            environment={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "A": "b",
            },
            user="u",
            groups=["g"],
            capabilities=["net_bind_service"],
            no_new_privs=True,
            chdir="/srv",
            limits={"nofile": (1024, -1), "core": (0, 0)},
            umask=0o022,
        ),
        kinds=("pid",),
        reload=Reload(signal="HUP"),
        stop_signal="QUIT",
        stop_timeout=3.0,
        ready=Ready(port=80, timeout=5.0),
        restart_policy=RestartPolicy("always"),
        secret_environment={"KEY": "secret"},
        credentials={"file": "content"},
    )
    found = export.service(spec, supervisor="systemd", enabled=True, state="started")
    assert found == {
        "name": "web",
        "argv": ["/bin/web", "-x"],
        "supervisor": "systemd",
        "enabled": True,
        "kinds": ["pid"],
        "user": "u",
        "groups": ["g"],
        "capabilities": ["net_bind_service"],
        "no_new_privs": True,
        "chdir": "/srv",
        "environment": {"A": "b"},
        "secret_environment": {"KEY": "secret"},
        "credentials": {"file": "content"},
        "limits": {"nofile": "1024:unlimited", "core": "0"},
        "reload": {"signal": "HUP"},
        "stop_signal": "QUIT",
        "stop_timeout": 3.0,
        "restart_policy": {"condition": "always"},
        "ready": {"port": 80, "timeout": 5.0},
    }
    entry = {"name": "a", "services": [found]}
    (asked,) = definition.requests_of(
        [table.read(definition.NAMESPACE, entry, "it")], lock_timeout=0
    )
    assert asked.services[0].request({}).spec == spec


def test_the_schema_is_that_of_the_options() -> None:
    text = json.dumps(schema.of_file(), indent=2) + "\n"
    assert SCHEMA.read_text() == text, "run `make schema`"
    jsonschema.Draft202012Validator.check_schema(schema.of_file())


@pytest.mark.parametrize("entry", ENTRIES)
def test_what_is_exported_is_as_the_schema_says(entry: dict[str, t.Any]) -> None:
    jsonschema.validate({"namespaces": [entry]}, json.loads(SCHEMA.read_text()))


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"name": "a", "kinds": ["foo"]},
        {"name": "a", "mouts": []},
        {"name": "a", "mounts": [{"src": "x"}]},
        {"name": "a", "rootfs": {"image": "x", "directory": "y"}},
        {"name": "a", "services": [{"name": "x", "ready": {"port": 1, "file": "y"}}]},
    ],
)
def test_what_the_schema_refuses(entry: dict[str, t.Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"namespaces": [entry]}, json.loads(SCHEMA.read_text()))
    with pytest.raises(Refused):
        table.read(definition.NAMESPACE, entry, "it")
