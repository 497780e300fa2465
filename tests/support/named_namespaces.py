# SPDX-License-Identifier: GPL-3.0-or-later
"""Named namespaces as tasks make them, and what there is of them on the host."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import typing as t

from host_state import host_state
from processes_inside import inside
from results import Converge, Result, RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import (
    pid_holder,
    pins,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import namespaces

KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
NOBODY = 65534
NewName = t.Callable[[], str]
BASE = pathlib.Path(host_paths.BASE)


def present(converge: Converge, name: str, **options: t.Any) -> Result:
    """Have the namespace, with check mode and a second run; what is returned of it."""
    result = converge("ns_namespace", {"name": name, **options})
    found: Result = result["namespace"]
    assert found["name"] == name
    return found


def ids_of(found: Result) -> dict[str, int]:
    return {kind: pin["id"] for kind, pin in found["kinds"].items()}


def refused(run_module: RunModule, name: str, **options: t.Any) -> Result:
    """The failure of a run that changes nothing, in check mode neither."""
    before = host_state()
    args = {**options, "name": name}
    results = [run_module("ns_namespace", args, check=check) for check in (True, False)]
    assert host_state() == before
    for result in results:
        assert result["failed"], result
        assert "defect" not in result["msg"]
    assert results[0]["msg"] == results[1]["msg"]
    return results[1]


def id_inside(name: str, kind: str) -> int:
    return proc.parse_link(inside(name, lambda: os.readlink(f"/proc/self/ns/{kind}"), [kind]))


def own_id(kind: str) -> int:
    return proc.parse_link(os.readlink(f"/proc/self/ns/{kind}"))


def owner_of(path: str) -> int:
    """The id of the user namespace that owns the one pinned there."""
    pin = os.open(path, os.O_RDONLY)
    owner = namespaces.owner(pin)
    try:
        return os.fstat(owner).st_ino
    finally:
        os.close(pin)
        os.close(owner)


@contextlib.contextmanager
def outlived(name: str, kind: str) -> t.Iterator[int]:
    """The id of its namespace of that kind, which no later one gets meanwhile."""
    fd = os.open(pins.path(name, kind), os.O_RDONLY)
    try:
        yield os.fstat(fd).st_ino
    finally:
        os.close(fd)


def netns_list() -> list[str]:
    shown = subprocess.run(
        ["ip", "-j", "netns", "list"], check=True, capture_output=True, text=True
    )
    return [each["name"] for each in json.loads(shown.stdout or "[]")]


def holder_of(name: str) -> int:
    pid = pid_holder.pid_of(name)
    assert pid is not None
    return pid


def record_of(name: str) -> pathlib.Path:
    return pathlib.Path(definitions.DIRECTORY) / f"{name}.json"


def pivot_into_tmpfs(converge: Converge, name: str) -> None:
    mount = {"namespace": name, "path": "/mnt", "src": "bare", "fstype": "tmpfs"}
    converge("ns_mount", mount)
    converge("ns_pivot_root", {"namespace": name, "new_root": "/mnt"})
