# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_rootfs with images: of layouts and archives, with layers and platforms, inside a target."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import typing as t

import pytest
from images import make_image
from layered_images import CONFIG, Images, images, path
from registry import Registry, registry
from results import Converge, RunModule
from tasks import RunTasks, examples_of
from trees import digest_of, facts_of, failed
from unshared_process import Unshared, UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

__all__ = ["images", "path", "registry"]

CACHE = pathlib.Path("/var/cache/linux-namespaces")


def whole_seconds(facts: dict[str, t.Any]) -> dict[str, t.Any]:
    """Facts of a root with times as layers have them, without the numbers of blocks."""
    return {
        name: (*values[:2], values[2] // 1_000_000_000, values[3], *values[5:])
        for name, values in facts.items()
    }


def test_an_image_is_unpacked_with_all_that_is_to_be_kept(
    images: Images, path: pathlib.Path, converge: Converge
) -> None:
    done = converge("ns_rootfs", {"path": str(path), "image": images.plain})
    assert done["actions"] == [f"unpack {images.plain} to {path}"]
    shown, wanted = whole_seconds(facts_of(path)), whole_seconds(facts_of(images.tree))
    for facts in (shown, wanted):
        facts.pop(".")  # umoci makes the directory
    assert shown == wanted
    assert os.listdir(path.parent) == ["root"]


def archived(images: Images, transport: str, top: pathlib.Path) -> str:
    """The layered image in another form."""
    if transport == "oci":
        return images.layered
    target = f"{transport}:{top}/image.tar:{'name:' if transport == 'docker-archive' else ''}tag"
    subprocess.run(["skopeo", "copy", "--quiet", images.layered, target], check=True)
    return target


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "docker-archive"])
def test_layers_and_configuration(
    transport: str, images: Images, path: pathlib.Path, tmp_path: pathlib.Path, converge: Converge
) -> None:
    image = archived(images, transport, tmp_path)
    done = converge("ns_rootfs", {"path": str(path), "image": image})
    assert done["config"] == CONFIG
    assert (path / "version").read_text() == "second layer"
    assert (path / "added").exists()
    assert not (path / "etc/shadow").exists()
    assert not (path / "usr").exists()
    assert not [name for name in facts_of(path) if ".wh." in name]


def test_the_policy_of_the_host_counts(
    images: Images, path: pathlib.Path, run_module: RunModule, converge: Converge
) -> None:
    """containers-policy.json(5): what it does not accept is not unpacked, on a host and inside."""
    policy = pathlib.Path("/etc/containers/policy.json")
    policy.parent.mkdir(exist_ok=True)
    before = policy.read_text() if policy.exists() else None
    try:
        policy.write_text('{"default": [{"type": "reject"}]}')
        why = failed(run_module("ns_rootfs", {"path": str(path), "image": images.plain}))
        assert "rejected by policy" in why["msg"]
        assert not path.exists()
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        converge("ns_rootfs", {"path": str(path), "image": images.plain})
    finally:
        policy.unlink() if before is None else policy.write_text(before)


@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_layers_that_are_compressed_in_another_way(
    compression: str, images: Images, path: pathlib.Path, tmp_path: pathlib.Path, converge: Converge
) -> None:
    words = {
        "zstd": ["--dest-compress-format=zstd"],
        "none": ["--dest-oci-accept-uncompressed-layers"],
    }[compression]
    source = images.layered
    if compression == "none":
        source = archived(images, "docker-archive", tmp_path)
    target = f"oci:{tmp_path}/other:tag"
    subprocess.run(["skopeo", "copy", "--quiet", *words, source, target], check=True)
    converge("ns_rootfs", {"path": str(path), "image": target})
    assert (path / "version").read_text() == "second layer"


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("nginx", ["is not the name of an image", "docker://"]),
        ("docker://", ["is not the name of an image"]),
        ("oci:relative:tag", ["absolute path"]),
        ("oci:/missing:tag", ["cannot be read"]),
        ("oci-archive:/missing.tar", ["/missing.tar cannot be opened"]),
        ("docker://127.0.0.1:1/closed:1", ["cannot be read", "connection refused"]),
    ],
)
def test_what_cannot_be_had_is_refused(
    image: str, words: list[str], path: pathlib.Path, run_module: RunModule
) -> None:
    result = run_module("ns_rootfs", {"path": str(path), "image": image})
    failed(result, *words)
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("program", ["skopeo", "umoci"])
def test_a_missing_program_is_named_with_its_package(
    program: str, images: Images, path: pathlib.Path, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    there = tmp_path / "bin"
    there.mkdir()
    for name in {"skopeo", "umoci"} - {program}:
        (there / name).symlink_to(f"/usr/bin/{name}")
    args = {"path": str(path), "image": images.plain}
    result = run_module("ns_rootfs", args, env={"PATH": str(there)})
    failed(result, f"needs {program}", f"Debian package {program}")


def test_a_layer_that_is_cut_short_leaves_the_old_root(
    images: Images, path: pathlib.Path, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    assert run_module("ns_rootfs", {"path": str(path), "image": images.plain})["changed"]
    layout = tmp_path / "damaged"
    shutil.copytree(images.layout, layout)
    largest = max((layout / "blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-100])
    result = run_module("ns_rootfs", {"path": str(path), "image": f"oci:{layout}:layered"})
    failed(result, "cannot be fetched")
    assert (path / "version").read_text() == "plain"
    assert os.listdir(path.parent) == ["root"]


def test_a_bomb_is_stopped_at_the_limit(
    path: pathlib.Path, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "zeros").write_bytes(bytes(40_000_000))
    image = make_image(tmp_path / "bomb", tree, "tag")
    args = {"path": str(path), "image": image, "size_limit": "10M"}
    failed(run_module("ns_rootfs", args), "more than size_limit")
    assert os.listdir(path.parent) == []
    assert run_module("ns_rootfs", {**args, "size_limit": "100M"})["changed"]


@pytest.fixture
def inside(unshared_process: UnsharedProcess) -> Unshared:
    process = unshared_process()
    process.run("mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", "/mnt")
    return process


@pytest.fixture
def kept() -> t.Iterator[t.Callable[[], list[str]]]:
    """The names of the archives that are kept; those of the test are removed after it."""
    before = set(os.listdir(CACHE)) if CACHE.exists() else set()

    def names() -> list[str]:
        return sorted(set(os.listdir(CACHE)) - before) if CACHE.exists() else []

    yield names
    for name in names():
        (CACHE / name).unlink()
    with contextlib.suppress(OSError):
        CACHE.rmdir()


def test_inside_a_target(
    images: Images, inside: Unshared, kept: t.Callable[[], list[str]], converge: Converge
) -> None:
    args = {"pid": inside.pid, "path": "/mnt", "image": images.layered}
    done = converge("ns_rootfs", args)
    assert done["config"] == CONFIG
    assert inside.run("cat", "/mnt/version") == "second layer"
    for made in (CONFIG["chdir"], *CONFIG["volumes"]):
        assert inside.run("stat", "-c", "%a %u:%g", f"/mnt{made}") == "755 0:0\n"
    assert kept() == [f"{done['digest'].partition(':')[2]}.tar"]


def test_the_kept_archive_is_made_once_and_goes_with_the_root(
    images: Images, kept: t.Callable[[], list[str]], run_module: RunModule
) -> None:
    name = "rootfs-image"
    try:
        assert run_module("ns_namespace", {"name": name, "kinds": ["mnt"]})["changed"]
        for path in ("/mnt/a", "/mnt/b"):
            mount = {"namespace": name, "path": path, "src": "tmpfs", "fstype": "tmpfs",
                     "opts": "X-mount.mkdir"}  # fmt: skip
            mounted = run_module("ns_mount", mount)
            assert not mounted.get("failed"), mounted
            args = {"namespace": name, "path": path, "image": images.plain}
            assert run_module("ns_rootfs", args)["changed"]
        assert len(kept()) == 1
        for path, left in (("/mnt/a", 1), ("/mnt/b", 0)):
            gone = run_module("ns_rootfs", {"namespace": name, "path": path, "state": "absent"})
            assert gone["changed"], gone
            assert len(kept()) == left
    finally:
        run_module("ns_namespace", {"name": name, "state": "absent", "force": True})
        for path in ("/mnt/a", "/mnt/b"):
            with contextlib.suppress(OSError):
                os.rmdir(path)


def test_the_examples_run(images: Images, registry: Registry, run_tasks: RunTasks) -> None:
    """With an image, a digest and packages that are to be had without the Internet at large."""
    mounts.mount("tmpfs", "/srv", fstype="tmpfs")
    registry.push(images.layered, "example:1")
    archive = pathlib.Path("/srv/images/nginx.tar")
    archive.parent.mkdir()
    subprocess.run(["tar", "-cf", archive, "-C", images.tree, "."], check=True)
    subprocess.run(["gzip", "--keep", archive], check=True)
    replaced: dict[str, dict[str, t.Any]] = {
        "digest": {"digest": digest_of(f"{archive}.gz")},
        "image": {"image": f"docker://127.0.0.1:{registry.port}/example:1", "tls_verify": False},
        "bootstrap": {"bootstrap": {"suite": "bookworm", "variant": "extract"}},
    }
    tasks = examples_of("ns_rootfs")
    for each in tasks:
        options = each["linux.namespaces.ns_rootfs"]
        for option in set(options) & set(replaced):
            options.update(replaced[option])
        options["force"] = True
    web = {"name": "web", "kinds": ["mnt"]}
    mount = {"namespace": "web", "path": "/srv/new-root", "src": "tmpfs", "fstype": "tmpfs"}
    before = [
        {"linux.namespaces.ns_namespace": web},
        {"linux.namespaces.ns_mount": {**mount, "opts": "X-mount.mkdir"}},
    ]
    after = [{"linux.namespaces.ns_namespace": {**web, "state": "absent"}}]
    try:
        run_tasks([*before, *tasks], cleanup=after)
        assert sorted(os.listdir("/srv")) == ["images", "new-root", "web"]
        assert os.listdir("/srv/web") == []
    finally:
        mounts.umount("/srv", flags=mounts.MNT_DETACH)


def test_root_without_the_right_to_leave_the_network(
    images: Images, path: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """As in a container: what it cannot do is said, and by whom."""
    words = json.dumps({"path": str(path), "image": images.plain})
    done = subprocess.run(
        ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin",
         "ansible", "localhost", "-m", "linux.namespaces.ns_rootfs", "-a", words],
        check=False, capture_output=True, text=True,
        env={**os.environ, "ANSIBLE_LOCAL_TEMP": f"{tmp_path}/ansible"},
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert "Operation not permitted" in said
    assert "defect" not in said
