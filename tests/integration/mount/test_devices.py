# SPDX-License-Identifier: GPL-3.0-or-later
"""Device nodes and fifos in the place of a file: they are looked at, and never opened.

To open a watchdog arms it, to open a tape rewinds it, and a fifo lets its other end know. That a node
was opened tells inotify(7).
"""

from __future__ import annotations

import os
import pathlib
import stat
import typing as t

import pytest
from opens import Opens
from results import RunModule
from unshared_process import UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.view import (
    open_host_proc,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs import marker

NODES = {
    "a device": (stat.S_IFCHR, os.makedev(1, 3)),
    "an endless device": (stat.S_IFCHR, os.makedev(1, 5)),
    "a fifo": (stat.S_IFIFO, 0),
}
Make = t.Callable[[pathlib.Path], pathlib.Path]


@pytest.fixture(params=NODES)
def make(request: pytest.FixtureRequest) -> Make:
    """Make a node of each kind at a path."""
    kind, device = NODES[request.param]

    def made(path: pathlib.Path) -> pathlib.Path:
        os.mknod(path, kind | 0o666, device)
        return path

    return made


def test_opens_are_seen(make: Make, tmp_path: pathlib.Path) -> None:
    """What the others rely on."""
    node = make(tmp_path / "node")
    with Opens(node) as opens:
        assert opens.count == 0
        os.close(os.open(node, os.O_RDWR | os.O_NOCTTY))
        assert opens.count == 1


SOURCES: dict[str, tuple[str, dict[str, t.Any]]] = {
    "image": ("ns_mount", {"fstype": "ext4", "src": "{}", "opts": "loop"}),
    "image that is read": ("ns_mount", {"fstype": "ext4", "src": "{}", "opts": "loop,ro"}),
    "image of any type": ("ns_mount", {"src": "{}", "opts": "loop"}),
    "device of any type": ("ns_mount", {"src": "{}", "fstype": "auto"}),
    "id map": ("ns_mount", {"src": "/mnt", "opts": "bind,X-mount.idmap={}"}),
    "lower": ("ns_mount", {"fstype": "overlay", "src": "x", "opts": "lowerdir={}:/mnt"}),
    "lower inside": (
        "ns_mount",
        {"fstype": "overlay", "src": "x", "opts": "lowerdir=/mnt:{}", "src_in": "namespace"},
    ),
    "archive": ("ns_rootfs", {"path": "/media/root", "archive": "{}"}),
    "image archive": ("ns_rootfs", {"path": "/media/root", "image": "docker-archive:{}"}),
    "directory": ("ns_rootfs", {"path": "/media/root", "directory": "{}"}),
    "namespace": ("ns_mount_info", {"namespace_path": "{}"}),
    "namespace to run in": ("ns_setns_run", {"namespace_path": "{}", "argv": ["/bin/true"]}),
    "root": ("ns_unshare_run", {"root": "{}", "kinds": ["mnt"], "argv": ["/bin/true"]}),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("check", [False, True])
def test_in_the_place_of_a_source(
    check: bool,
    source: str,
    make: Make,
    run_module: RunModule,
    unshared_process: UnsharedProcess,
    tmp_path: pathlib.Path,
) -> None:
    node = make(tmp_path / "node")
    (tmp_path / "link").symlink_to("node")
    module, args = SOURCES[source]
    if module == "ns_mount":
        args = {"pid": unshared_process().pid, "path": "/media", **args}
    with Opens(node) as opens:
        for path in (node, tmp_path / "link"):
            named = {
                key: value.replace("{}", str(path)) if isinstance(value, str) else value
                for key, value in args.items()
            }
            result = run_module(module, named, check=check)
            assert check or result["failed"], result
            assert "Traceback" not in str(result.get("exception", ""))
        assert opens.count == 0


def test_in_the_place_of_a_mounted_file(
    make: Make, run_module: RunModule, unshared_process: UnsharedProcess, tmp_path: pathlib.Path
) -> None:
    """A device may well be bound, and be mounted on: that opens nothing either."""
    target = unshared_process()
    node, place = make(tmp_path / "node"), make(tmp_path / "place")
    with Opens(node, place) as opens:
        args = {"pid": target.pid, "path": str(place), "src": str(node), "opts": "bind"}
        for opts in ("bind", "bind,X-mount.mkdir", "bind,ro"):
            result = run_module("ns_mount", {**args, "opts": opts})
            assert not result.get("failed"), result
        assert not run_module("ns_mount", {**args, "state": "unmounted"}).get("failed")
        assert opens.count == 0


def test_in_the_place_of_a_definition(
    make: Make, run_module: RunModule, new_name: t.Callable[[], str]
) -> None:
    name = new_name()
    path = pathlib.Path(definitions.DIRECTORY, f"{name}.json")
    path.parent.mkdir(exist_ok=True)
    node = make(path)
    try:
        with Opens(node) as opens:
            assert run_module("ns_namespace", {"name": name})["failed"]
            run_module("ns_namespace", {"name": name}, check=True)
            assert opens.count == 0
    finally:
        node.unlink()


def test_in_the_place_of_a_marker(make: Make, tmp_path: pathlib.Path) -> None:
    """Root of a user namespace can leave what it likes there, and below its own /proc."""
    node = make(tmp_path / marker.FILE)
    root, host_proc = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY), open_host_proc()
    try:
        with Opens(node) as opens:
            assert marker.Marker.read(root, host_proc) is None
            assert opens.count == 0
    finally:
        os.close(root)
        os.close(host_proc)
