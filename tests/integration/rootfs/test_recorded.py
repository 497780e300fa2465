# SPDX-License-Identifier: GPL-3.0-or-later
"""What is unpacked in a named namespace is recorded, is read again, and comes back after a reboot."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import typing as t

import pytest
from command import Nsctl
from images import make_image
from named_namespaces import NewName
from processes_inside import inside
from reboots import reboot
from results import Result, RunModule
from trees import digest_of, failed, make_tree, pack

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.steps import (
    RootStep,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources import (
    cache,
    table,
)

IDS = [{"inside": 0, "outside": 100_000, "count": 65_536}]


class Origin(t.NamedTuple):
    """What a root is made of."""

    # The options of ns_rootfs.
    options: Result
    # A file of the root, and what it holds.
    file: str
    content: str
    # Whether its root has a device node.
    has_device: bool
    # What is not needed to come up again, if anything is not.
    spare: pathlib.Path | None = None


def _tree(top: pathlib.Path) -> pathlib.Path:
    tree = make_tree(top / "tree")
    (tree / "version").write_text("first")
    return tree


def _archive(top: pathlib.Path) -> Origin:
    return Origin({"archive": pack(_tree(top), top / "a.tar")}, "version", "first", True)


def _directory(top: pathlib.Path) -> Origin:
    return Origin({"directory": str(_tree(top))}, "version", "first", True)


def _image(top: pathlib.Path) -> Origin:
    tree = _tree(top)
    (tree / "dev/null").unlink()  # umoci makes none
    layout = top / "layout"
    image = make_image(layout, tree, "tag")
    return Origin({"image": image}, "version", "first", False, layout)


def _bootstrap(_top: pathlib.Path) -> Origin:
    wanted = {"suite": "bookworm", "variant": "extract", "packages": ["base-files"]}
    return Origin({"bootstrap": wanted}, "etc/debian_version", "12.", True)


# By the option of ns_rootfs.
ORIGINS = {
    "archive": _archive,
    "image": _image,
    "bootstrap": _bootstrap,
    "directory": _directory,
}


@pytest.fixture
def origin(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Origin:
    return ORIGINS[request.param](tmp_path)


def test_every_source_is_tried() -> None:
    assert list(ORIGINS) == list(table.SOURCES)


@pytest.fixture
def web(run_module: RunModule, new_name: NewName) -> str:
    """A persistent namespace with a tmpfs on /mnt."""
    name = new_name()
    assert run_module("ns_namespace", {"name": name})["changed"]
    mount = {"namespace": name, "path": "/mnt", "src": "tmpfs", "fstype": "tmpfs"}
    assert run_module("ns_mount", mount)["changed"]
    return name


def step_of(name: str) -> RootStep:
    """The step of the root, by the class that has written it; what is written is as it was."""
    path = pathlib.Path(definitions.path_of(name))
    before = path.read_text()
    definition = definitions.load(name)
    assert definition is not None
    definitions.save(definition)
    assert path.read_text() == before
    step = definition.find(RootStep.do, "/mnt")
    assert isinstance(step, RootStep)
    return step


def content(name: str, path: str = "/mnt/version") -> str:
    found: str = inside(name, lambda: pathlib.Path(path).read_text())
    return found


@contextlib.contextmanager
def without(path: pathlib.Path | None) -> t.Iterator[None]:
    """The file or directory is not there meanwhile."""
    if path is None:
        yield
        return
    aside = path.rename(path.with_name("aside"))
    yield
    aside.rename(path)


def is_up_already(nsctl: Nsctl, name: str) -> None:
    """Everything that reads the definition does, and finds nothing to do."""
    assert nsctl("up", name).stdout == f"{name}: up already\n"
    shown = nsctl.data("show", name)
    assert shown["changes"] == []
    assert {mount["state"] for mount in shown["mounts"]} == {"ok"}
    assert [each["state"] for each in nsctl.data("list", name)] == ["up"]


@pytest.mark.parametrize("origin", list(ORIGINS), indirect=True)
def test_it_comes_back(origin: Origin, web: str, run_module: RunModule, nsctl: Nsctl) -> None:
    args = {"namespace": web, "path": "/mnt", **origin.options}
    first = run_module("ns_rootfs", args)
    assert first["persistent"] is True, first
    (option,) = origin.options
    for extra in ({}, {"device_nodes": "skip"}, {"digest": first["digest"]}):
        done = run_module("ns_rootfs", {**args, **extra})
        assert not done.get("failed"), done
        step = step_of(web)
        assert step.device_nodes == extra.get("device_nodes", "keep")
        assert step.directory == origin.options.get("directory", "")
        kept = "" if option == "directory" else cache.path_of(first["digest"])
        assert step.archive == origin.options.get("archive", kept)
        # A directory is copied as it is then, unless the task says what it has to be.
        is_pinned = option != "directory" or "digest" in extra
        assert step.digest == (first["digest"] if is_pinned else "")
        assert run_module("ns_rootfs", {**args, **extra})["changed"] is False
        is_up_already(nsctl, web)
        assert not run_module("ns_mount_info", {"namespace": web}).get("failed")

        nsctl("down", web)
        with without(origin.spare):
            (done,) = nsctl.data("up", web)
        verbs = [action.split()[0] for action in done["actions"]]
        assert verbs == ["create", "mount", "copy" if option == "directory" else "unpack"]
        assert content(web, f"/mnt/{origin.file}").startswith(origin.content)
        has_device = origin.has_device and step.device_nodes == "keep"
        assert inside(web, lambda: os.path.exists("/mnt/dev/null")) == has_device
        assert step_of(web) == step
        is_up_already(nsctl, web)
        again = run_module("ns_rootfs", {**args, **extra})
        assert (again["changed"], again["digest"]) == (False, first["digest"]), again
    gone = run_module("ns_namespace", {"name": web, "state": "absent"})
    assert gone["changed"], gone
    assert not os.path.exists(definitions.DIRECTORY)
    assert not os.path.exists(cache.DIRECTORY)


@pytest.mark.parametrize("origin", list(ORIGINS), indirect=True)
def test_nothing_is_recorded_of_a_root_on_the_host(
    origin: Origin, run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    args = {"path": str(tmp_path / "root"), **origin.options}
    digest = run_module("ns_rootfs", args)["digest"]
    id_map = {"uid": IDS, "gid": IDS}
    for extra in ({"digest": digest}, {"device_nodes": "skip"}, {"id_map": id_map}, {}):
        done = run_module("ns_rootfs", {**args, **extra})
        assert done["changed"] is ("digest" not in extra), done
        assert done["persistent"] is False
        owner = (tmp_path / "root" / origin.file).stat().st_uid
        assert owner == (100_000 if "id_map" in extra else 0)
        again = run_module("ns_rootfs", {**args, **extra})
        assert (again["changed"], again["digest"]) == (False, digest), again
    assert not os.path.exists(definitions.DIRECTORY)
    assert not os.path.exists(cache.DIRECTORY)


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    return _tree(tmp_path)


def test_a_directory_is_copied_as_it_is_when_the_namespace_comes_up(
    tree: pathlib.Path, web: str, run_module: RunModule, nsctl: Nsctl
) -> None:
    args = {"namespace": web, "path": "/mnt", "directory": str(tree)}
    first = run_module("ns_rootfs", args)
    recorded = step_of(web)
    # What is there stays: only a task follows what is in the directory now.
    (tree / "version").write_text("second, and longer")
    is_up_already(nsctl, web)
    assert content(web) == "first"
    # So does a namespace that comes up.
    reboot()
    assert nsctl.data("up", web)[0]["actions"][-1] == f"copy {tree} to /mnt"
    assert content(web) == "second, and longer"
    assert step_of(web) == recorded
    assert run_module("ns_rootfs", args)["changed"] is False
    (tree / "version").write_text("third")
    third = run_module("ns_rootfs", args)
    assert third["actions"] == [f"copy {tree} to /mnt"]
    assert content(web) == "third"
    assert len({first["digest"], third["digest"]}) == 2
    is_up_already(nsctl, web)


def test_a_directory_that_is_gone_is_not_missed_until_the_namespace_comes_up(
    tree: pathlib.Path, web: str, run_module: RunModule, nsctl: Nsctl
) -> None:
    args = {"namespace": web, "path": "/mnt", "directory": str(tree)}
    assert run_module("ns_rootfs", args)["changed"]
    with without(tree):
        is_up_already(nsctl, web)
        failed(run_module("ns_rootfs", args), f"{tree} is no directory")
        nsctl("down", web)
        assert f"{tree} is no directory" in nsctl("up", web, code=1).stderr
        assert nsctl.data("list", web)[0]["state"] == "failed"
    nsctl("up", web)
    assert content(web) == "first"
    is_up_already(nsctl, web)


def test_a_directory_with_a_digest_has_to_be_what_it_was(
    tree: pathlib.Path, web: str, run_module: RunModule, nsctl: Nsctl
) -> None:
    args = {"namespace": web, "path": "/mnt", "directory": str(tree)}
    digest = run_module("ns_rootfs", args)["digest"]
    pinned = run_module("ns_rootfs", {**args, "digest": digest})
    assert pinned["actions"] == ["record the root at /mnt"]
    was = (tree / "version").stat()
    (tree / "version").write_text("other")
    is_up_already(nsctl, web)
    assert run_module("ns_rootfs", {**args, "digest": digest})["changed"] is False
    nsctl("down", web)
    said = nsctl("up", web, code=1).stderr
    assert f"{tree} has the digest sha256:" in said
    assert f"not the one asked for, {digest}" in said
    (tree / "version").write_text("first")
    os.utime(tree / "version", ns=(was.st_atime_ns, was.st_mtime_ns))
    nsctl("up", web)
    assert content(web) == "first"
    # Without it again, the directory may be anything again.
    assert run_module("ns_rootfs", args)["actions"] == ["record the root at /mnt"]
    assert step_of(web).digest == ""


def test_an_archive_is_not_read_for_a_root_that_is_there(
    web: str, run_module: RunModule, nsctl: Nsctl, tmp_path: pathlib.Path
) -> None:
    """As when another one was put into its place: when the namespace comes up, that is told."""
    archive = tmp_path / "a.tar"
    tree = _tree(tmp_path)
    args = {"namespace": web, "path": "/mnt", "archive": pack(tree, archive)}
    was = run_module("ns_rootfs", args)["digest"]
    (tree / "version").write_text("other")
    pack(tree, archive)
    is_up_already(nsctl, web)
    with without(archive):
        is_up_already(nsctl, web)
    nsctl("down", web)
    said = nsctl("up", web, code=1).stderr
    assert f"{archive} has the digest {digest_of(str(archive))}" in said
    assert was in said


def test_after_the_pivot_into_it(
    tree: pathlib.Path, web: str, run_module: RunModule, nsctl: Nsctl
) -> None:
    args = {"namespace": web, "path": "/mnt", "directory": str(tree)}
    assert run_module("ns_rootfs", args)["changed"]
    pivot = {"namespace": web, "new_root": "/mnt"}
    assert run_module("ns_pivot_root", pivot)["changed"]
    (tree / "version").write_text("second, and longer")
    is_up_already(nsctl, web)
    assert content(web, "/version") == "first"
    assert run_module("ns_rootfs", args).get("recreate") is True
    with without(tree):
        is_up_already(nsctl, web)
    reboot()
    nsctl("up", web)
    assert content(web, "/version") == "second, and longer"
    for module, again in (("ns_rootfs", args), ("ns_pivot_root", pivot)):
        assert run_module(module, again)["changed"] is False


@pytest.mark.parametrize("origin", ["archive", "directory"], indirect=True)
def test_what_does_not_last_is_read_again_too(
    origin: Origin, web: str, run_module: RunModule, nsctl: Nsctl
) -> None:
    args = {"namespace": web, "path": "/mnt", "persistent": False, **origin.options}
    done = run_module("ns_rootfs", args)
    assert (done["changed"], done["persistent"]) == (True, False)
    assert step_of(web).path == "/mnt"
    is_up_already(nsctl, web)
    assert run_module("ns_rootfs", args)["changed"] is False
    reboot()
    nsctl("up", web)
    assert inside(web, lambda: os.listdir("/mnt")) == []


def test_what_was_recorded_of_a_directory_before_steps_had_a_type(
    tree: pathlib.Path, web: str, run_module: RunModule, nsctl: Nsctl
) -> None:
    """With a digest, of which nobody knew; from then on nothing could be done with the name."""
    args = {"namespace": web, "path": "/mnt", "directory": str(tree)}
    digest = run_module("ns_rootfs", args)["digest"]
    path = pathlib.Path(definitions.path_of(web))
    record = json.loads(path.read_text())
    record["steps"][-1]["digest"] = digest
    path.write_text(json.dumps(record))
    is_up_already(nsctl, web)
    assert run_module("ns_rootfs", args)["actions"] == ["record the root at /mnt"]
    assert step_of(web).digest == ""


def test_check_mode_where_an_image_is_still_to_come(web: str, run_module: RunModule) -> None:
    """Its digest is not known, and nobody asks for it."""
    args = {"namespace": web, "path": "/mnt", "image": "oci-archive:/srv/missing.tar:tag"}
    done = run_module("ns_rootfs", args, check=True)
    assert not done.get("failed"), done
    assert done["actions"] == [
        "unpack oci-archive:/srv/missing.tar:tag to /mnt",
        "record the root at /mnt",
    ]
