# SPDX-License-Identifier: GPL-3.0-or-later
"""What nsctl list says of a namespace that is not, or no longer, what its definition says."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import time
import typing as t

import pytest
from command import Nsctl
from named_namespaces import NewName
from processes_inside import inside
from results import RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core.facts import named
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins
from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl import list_names
from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl.arguments import parse
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls.call import (
    ABSENT_CALLS_VARIABLE,
)

Result = dict[str, t.Any]


@pytest.fixture
def web(run_module: RunModule, new_name: NewName, tmp_path: pathlib.Path) -> str:
    """A namespace with mounts of each sort, one of them where a link leads to, and a root."""
    name = new_name()
    source = tmp_path / "source"
    (source / "bin").mkdir(parents=True)
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to("real")
    for module, args in (
        ("ns_namespace", {"name": name, "kinds": ["mnt", "uts"]}),
        ("ns_mount", {"path": "/mnt", "src": "own", "fstype": "tmpfs"}),
        ("ns_mount", {"path": str(source), "src": str(source), "opts": ["bind", "ro"]}),
        ("ns_mount", {"path": f"{tmp_path}/linked", "src": "own", "fstype": "tmpfs"}),
        ("ns_rootfs", {"path": "/mnt/root", "directory": str(source)}),
    ):
        here = {} if module == "ns_namespace" else {"namespace": name}
        done = run_module(module, {**args, **here})
        assert done["changed"], done
    return name


def listed(nsctl: Nsctl, name: str) -> Result:
    """What list says of it, and with it show."""
    (found,) = nsctl.data("list", name)
    shown = nsctl.data("show", name)
    assert (shown["state"], shown["reason"]) == (found["state"], found["reason"])
    assert isinstance(found, dict)
    return found


def test_all_is_there(nsctl: Nsctl, web: str) -> None:
    found = listed(nsctl, web)
    assert (found["state"], found["reason"]) == ("up", "")


def covered(path: str) -> None:
    """Another file system lies on it."""
    mounts.mount("other", path, fstype="ramfs")


@pytest.mark.parametrize(
    ("gone", "by_hand"),
    [
        ("the mount on /mnt", lambda _here: mounts.umount("/mnt", flags=mounts.MNT_DETACH)),
        ("the mount on {here}/source", lambda here: mounts.umount(f"{here}/source")),
        ("the mount on {here}/linked", lambda here: mounts.umount(f"{here}/real")),
        ("the mount on {here}/linked", lambda here: covered(f"{here}/real")),
        ("the root at /mnt/root", lambda _here: shutil.rmtree("/mnt/root")),
    ],
)
def test_what_is_missing_is_named_and_mended(
    gone: str,
    by_hand: t.Callable[[pathlib.Path], None],
    nsctl: Nsctl,
    web: str,
    tmp_path: pathlib.Path,
) -> None:
    inside(web, lambda: by_hand(tmp_path))
    found = listed(nsctl, web)
    assert found["state"] == "partial"
    assert gone.format(here=tmp_path) in found["reason"]
    assert f"`nsctl up {web}`" in found["reason"]
    assert " partial " in nsctl("list").stdout
    nsctl("up", web)
    assert listed(nsctl, web)["state"] == "up"


def test_on_a_kernel_that_does_not_list_the_mounts_of_others(
    nsctl: Nsctl, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ABSENT_CALLS_VARIABLE, "listmount")
    assert listed(nsctl, web)["state"] == "up"
    inside(web, lambda: mounts.umount("/mnt", flags=mounts.MNT_DETACH))
    found = listed(nsctl, web)
    assert found["state"] == "partial"
    assert "the mount on /mnt" in found["reason"]


def test_a_kind_that_is_lost(nsctl: Nsctl, web: str) -> None:
    mounts.umount(pins.path(web, "uts"))
    found = listed(nsctl, web)
    assert (found["state"], found["reason"]) == ("partial", "it has no uts namespace any more")


@contextlib.contextmanager
def unanswered(name: str, path: str) -> t.Iterator[None]:
    """A file system on the path that answers nothing, until the end."""
    fuse = os.open("/dev/fuse", os.O_RDWR)
    data = f"fd={fuse},rootmode=40000,user_id=0,group_id=0"
    try:
        inside(name, lambda: mounts.mount("dead", path, fstype="fuse", data=data))
        yield
    finally:
        os.close(fuse)


def run_list(capsys: pytest.CaptureFixture[str]) -> dict[str, Result]:
    assert list_names.run("list", parse(list_names.VERB, ["--json"])) == 0
    return {each["name"]: each for each in json.loads(capsys.readouterr().out)}


@pytest.mark.parametrize("where", ["/srv", "/mnt"])
def test_a_file_system_that_does_not_answer_holds_up_no_other(
    where: str,
    web: str,
    run_module: RunModule,
    new_name: NewName,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = new_name()
    assert run_module("ns_namespace", {"name": other})["changed"]
    with unanswered(web, where):
        before = time.monotonic()
        # What lies beside what was asked for is not even looked at.
        monkeypatch.setattr(named, "LIMIT", 100.0 if where == "/srv" else 1.0)
        found = run_list(capsys)
        assert time.monotonic() - before < 60
    assert found[other]["state"] == "up"
    if where == "/srv":
        assert found[web]["state"] == "up"
    else:
        assert found[web]["state"] == "partial"
        assert "does not answer" in found[web]["reason"]
