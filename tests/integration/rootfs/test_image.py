# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_rootfs with images: of a registry, of layouts and archives, with layers and platforms."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pathlib
import platform
import shutil
import subprocess
import typing as t

import pytest
from images import make_image, umoci
from registry import PASSWORD, USER, Gate, Registry, registry
from results import Converge, Result, RunModule
from tasks import RunTasks, examples_of
from trees import digest_of, facts_of, failed, make_tree
from unshared_process import Unshared, UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

HERE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
CACHE = pathlib.Path("/var/cache/linux-namespaces")
__all__ = ["registry"]


def second_layer(top: pathlib.Path) -> None:
    """Removes a file and a directory, replaces one of each, adds one."""
    (top / "etc/shadow").unlink()
    shutil.rmtree(top / "usr")
    (top / "version").write_text("second layer")
    (top / "added").write_text("")


class Images(t.NamedTuple):
    """A layout with the images plain (one layer) and layered (two), and what those hold."""

    layout: pathlib.Path
    tree: pathlib.Path
    plain: str
    layered: str


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    top = tmp_path_factory.mktemp("images")
    tree = make_tree(top / "tree")
    # These are not kept by umoci when it packs a layer.
    (tree / "var/holes").unlink()
    (tree / "version").write_text("plain")
    for path in (tree / "version", tree / "var"):
        os.utime(path, (1_500_000_000, 1_500_000_000))  # umoci rounds to seconds
    layout = top / "layout"
    plain = make_image(layout, tree, "plain")
    layered = make_image(layout, tree, "layered", second_layer)
    umoci(
        "config", "--image", f"{layout}:layered",
        "--config.entrypoint", "/bin/server", "--config.cmd", "--port", "--config.cmd", "80",
        "--config.env", "MODE=a=b", "--config.env", "EMPTY=", "--config.user", "www-data:adm",
        "--config.workingdir", "/srv", "--config.stopsignal", "SIGQUIT",
        "--config.exposedports", "80/tcp", "--config.volume", "/data",
    )  # fmt: skip
    return Images(layout, tree, plain, layered)


CONFIG = {
    "argv": ["/bin/server", "--port", "80"],
    "entrypoint": ["/bin/server"],
    "cmd": ["--port", "80"],
    "environment": {"MODE": "a=b", "EMPTY": ""},
    "user": "www-data",
    "group": "adm",
    "chdir": "/srv",
    "stop_signal": "QUIT",
    "ports": ["80/tcp"],
    "volumes": ["/data"],
}


@pytest.fixture
def gate(registry: Registry) -> t.Iterator[Gate]:
    passing = Gate(registry)
    yield passing
    passing.close()


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "roots").mkdir()
    return tmp_path / "roots/root"


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


def test_a_registry_is_asked_for_the_manifest_alone_when_nothing_changed(
    images: Images, registry: Registry, gate: Gate, path: pathlib.Path, run_module: RunModule
) -> None:
    digest = registry.push(images.layered, "alone:1")
    args = {"path": str(path), "image": f"docker://{gate.address}/alone:1", "tls_verify": False}
    done = run_module("ns_rootfs", args)
    assert done["changed"], done
    assert done["digest"] == digest
    assert any("/blobs/" in each for each in gate.asked)
    gate.asked.clear()
    for check in (True, False):
        again = run_module("ns_rootfs", args, check=check)
        assert again["changed"] is False
        assert again["config"] == CONFIG
    assert gate.asked == ["GET /v2/alone/manifests/1"] * 2


def test_a_moved_tag_is_a_change(
    images: Images, registry: Registry, gate: Gate, path: pathlib.Path, converge: Converge
) -> None:
    args = {"path": str(path), "image": f"docker://{gate.address}/moved:1", "tls_verify": False}
    first = registry.push(images.plain, "moved:1")
    assert converge("ns_rootfs", args)["digest"] == first
    assert (path / "version").read_text() == "plain"
    second = registry.push(images.layered, "moved:1")
    done = converge("ns_rootfs", args)
    assert done["digest"] == second != first
    assert first in done["diff"]["before"]
    assert second in done["diff"]["after"]
    assert (path / "version").read_text() == "second layer"


def test_what_is_pinned_is_not_asked_for(
    images: Images, registry: Registry, gate: Gate, path: pathlib.Path, run_module: RunModule
) -> None:
    """By the option, or by the name: also a registry that is gone changes nothing."""
    first = registry.push(images.plain, "pinned:1")
    second = registry.push(images.layered, "pinned:2")
    name = f"docker://{gate.address}/pinned"
    args: Result = {"path": str(path), "tls_verify": False}
    for pinned in ({"image": f"{name}:1", "digest": first}, {"image": f"{name}@{first}"}):
        assert run_module("ns_rootfs", {**args, **pinned})["digest"] == first
        gate.asked.clear()
        assert run_module("ns_rootfs", {**args, **pinned})["changed"] is False
        assert gate.asked == []
    wrong = run_module("ns_rootfs", {**args, "image": f"{name}:2", "digest": first})
    failed(wrong, second, first)
    assert not any("/blobs/" in each for each in gate.asked)
    assert (path / "version").read_text() == "plain"


def test_the_platform_is_chosen(
    images: Images, registry: Registry, gate: Gate, tmp_path: pathlib.Path, converge: Converge,
    run_module: RunModule,
) -> None:  # fmt: skip
    mine = registry.push(images.plain, "many:mine")
    other = registry.push(images.layered, "many:other")
    platforms = {"linux/s390x": other, "linux/arm/v6": other, f"linux/{HERE}": mine}
    index = registry.push_index("many:1", {**platforms, "linux/arm/v7": mine})
    args: Result = {"image": f"docker://{gate.address}/many:1", "tls_verify": False}
    done = converge("ns_rootfs", {**args, "path": str(tmp_path / "mine")})
    assert done["digest"] == mine
    s390x = {**args, "path": str(tmp_path / "s390x"), "platform": "linux/s390x"}
    assert converge("ns_rootfs", s390x)["digest"] == other
    assert (tmp_path / "s390x/version").read_text() == "second layer"
    v7 = {**args, "path": str(tmp_path / "v7"), "platform": "linux/arm/v7"}
    assert converge("ns_rootfs", v7)["digest"] == mine
    wrong = run_module("ns_rootfs", {**s390x, "platform": "linux/mips"})
    failed(wrong, "has nothing for linux/mips", "linux/s390x")
    # The digest that registries show of an image for many platforms is that of the index.
    converge("ns_rootfs", {**args, "path": str(tmp_path / "pinned"), "digest": index})
    by_name = {**args, "image": f"docker://{gate.address}/many@{index}"}
    converge("ns_rootfs", {**by_name, "path": str(tmp_path / "named")})


def test_a_proxy_of_the_environment_is_used(
    images: Images, registry: Registry, gate: Gate, path: pathlib.Path, run_module: RunModule
) -> None:
    """For a host that has no address here."""
    registry.push(images.plain, "proxied:1")
    image = "docker://registry.invalid/proxied:1"
    args: Result = {"path": str(path), "image": image, "tls_verify": False}
    failed(run_module("ns_rootfs", args), "cannot be read")
    proxy = {"HTTP_PROXY": f"http://{gate.address}", "HTTPS_PROXY": f"http://{gate.address}"}
    result = run_module("ns_rootfs", args, env=proxy)
    assert result["changed"], result
    assert "GET http://registry.invalid/v2/proxied/manifests/1" in gate.asked
    assert run_module("ns_rootfs", args, env=proxy)["changed"] is False


@pytest.fixture
def certificate(tmp_path: pathlib.Path) -> pathlib.Path:
    both = tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", both, "-out", tmp_path / "public"], check=True,
                   capture_output=True)  # fmt: skip
    with both.open("ab") as file:
        file.write((tmp_path / "public").read_bytes())
    return both


def test_certificates_and_credentials(
    images: Images, registry: Registry, certificate: pathlib.Path, path: pathlib.Path,
    tmp_path: pathlib.Path, run_module: RunModule,
) -> None:  # fmt: skip
    registry.push(images.plain, "closed:1")
    with contextlib.closing(Gate(registry, needs_password=True, certificate=certificate)) as gate:
        args: Result = {"path": str(path), "image": f"docker://{gate.address}/closed:1"}
        failed(run_module("ns_rootfs", args), "x509")
        args["tls_verify"] = False
        failed(run_module("ns_rootfs", args), "cannot be read", "authfile")
        secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        authfile = tmp_path / "auth.json"
        authfile.write_text(json.dumps({"auths": {gate.address: {"auth": secret}}}))
        result = run_module("ns_rootfs", {**args, "authfile": str(authfile)})
        assert result["changed"], result
        assert secret not in str(result)
        assert PASSWORD not in str(result)


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
        assert sorted(os.listdir("/srv")) == ["images", "new-root"]
    finally:
        mounts.umount("/srv", flags=mounts.MNT_DETACH)


def test_a_tag_that_is_missing_is_named(
    images: Images, path: pathlib.Path, run_module: RunModule
) -> None:
    layout = images.plain.rpartition(":")[0]
    result = run_module("ns_rootfs", {"path": str(path), "image": f"{layout}:missing"})
    failed(result, f"{layout}:missing cannot be read", "for reference 'missing'.")
    assert os.listdir(path.parent) == []
