# SPDX-License-Identifier: GPL-3.0-or-later
"""Images in archives: compressed, several in one, and given by the word for another kind."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import typing as t

import pytest
from hostile_archives import member, write
from layered_images import path
from layouts import good_layout
from results import Converge, RunModule
from scratch import nothing_left
from trees import COMPRESSIONS, failed

__all__ = ["path"]

# What only a registry has to do with.
OF_REGISTRIES = ("authfile", "tls_verify", "proxy")


class Archives(t.NamedTuple):
    """Archives of one image, by how they are named, and of several."""

    top: pathlib.Path

    def make(self) -> None:
        layer = pathlib.Path(write(self.top / "layer.tar", [(member("version"), b"plain")]))
        layout = good_layout(self.top / "layout", layer=layer.read_bytes())
        for target in ("docker-archive:{}/docker.tar:one:1", "oci-archive:{}/oci.tar:one"):
            words = ["skopeo", "copy", "--quiet", layout.image, target.format(self.top)]
            subprocess.run(words, check=True)
        self._make_several(layout.path)
        # As docker save writes it from version 25 on: both lists, and the blobs of a layout.
        both = self.top / "both"
        shutil.copytree(layout.path, both)
        blob = "blobs/sha256/"
        (both / "manifest.json").write_text(
            json.dumps(
                [
                    {
                        "Config": blob + layout.blob_of("config").name,
                        "RepoTags": ["one:1"],
                        "Layers": [blob + layout.blob_of("layer").name],
                    }
                ]
            )
        )
        self._pack("both", "both.tar")
        write(
            self.top / "root.tar",
            [(member("version"), b"plain"), (member("l", b"2", linkname="x"), b"")],
        )

    def _make_several(self, layout: pathlib.Path) -> None:
        tree = self.top / "tree"
        tree.mkdir()
        subprocess.run(["tar", "-xf", self.top / "docker.tar", "-C", tree], check=True)
        (one,) = json.loads((tree / "manifest.json").read_text())
        tags = (["one:1", "uno:1"], ["two:2"], None)
        several = [{**one, "RepoTags": each} for each in tags]
        (tree / "manifest.json").write_text(json.dumps(several))
        self._pack("tree", "docker-several.tar")
        several_layout = self.top / "several"
        shutil.copytree(layout, several_layout)
        index = json.loads((several_layout / "index.json").read_text())
        (one,) = index["manifests"]
        notes = (
            {"org.opencontainers.image.ref.name": "one"},
            {"org.opencontainers.image.ref.name": "two"},
            {},
        )
        index["manifests"] = [{**one, "annotations": each} for each in notes]
        (several_layout / "index.json").write_text(json.dumps(index))
        self._pack("several", "oci-several.tar")

    def _pack(self, tree: str, name: str) -> None:
        subprocess.run(["tar", "-cf", self.top / name, "-C", self.top / tree, "."], check=True)


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Archives:
    made = Archives(tmp_path_factory.mktemp("archives"))
    made.make()
    return made


@pytest.mark.parametrize("name", ["", ":one"])
@pytest.mark.parametrize("form", ["docker", "oci"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_compressed_one(
    compression: str,
    form: str,
    name: str,
    archives: Archives,
    tmp_path: pathlib.Path,
    path: pathlib.Path,
    converge: Converge,
) -> None:
    packed = tmp_path / f"image.tar{compression}"
    with packed.open("wb") as output:
        program = COMPRESSIONS[compression] or ["cat"]
        with (archives.top / f"{form}.tar").open("rb") as given:
            subprocess.run(program, stdin=given, stdout=output, check=True)
    named = f"{name}:1" if name and form == "docker" else name
    with nothing_left():
        done = converge(
            "ns_rootfs", {"path": str(path), "image": f"{form}-archive:{packed}{named}"}
        )
    assert (path / "version").read_text() == "plain"
    assert done["config"]["argv"] == ["/bin/server", "--port", "80"]


def test_a_compressed_one_has_a_limit(
    tmp_path: pathlib.Path, path: pathlib.Path, run_module: RunModule
) -> None:
    packed = tmp_path / "image.tar.gz"
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/zeros").write_bytes(bytes(40_000_000))
    subprocess.run(["tar", "-czf", packed, "-C", tmp_path / "tree", "."], check=True)
    args = {"path": str(path), "image": f"docker-archive:{packed}", "size_limit": "10M"}
    failed(run_module("ns_rootfs", args), "more than size_limit")
    packed.write_bytes(packed.read_bytes()[:-100])
    failed(run_module("ns_rootfs", {**args, "size_limit": "100M"}), "damaged")
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (
            "docker-archive:{}/docker-several.tar",
            ["holds 3 images", ":one:1 (uno:1)", ":two:2", ":@2"],
        ),
        (
            "docker-archive:{}/docker-several.tar:no:1",
            ["not found", ":one:1 (uno:1)", ":two:2", ":@2"],
        ),
        ("oci-archive:{}/oci-several.tar", ["holds 3 images", ":one,", ":two,", "without a name"]),
        ("oci-archive:{}/oci-several.tar:no", ["no descriptor found", ":one,", ":two,"]),
        ("oci:{}/several", ["holds 3 images", ":one,", ":two,", "without a name"]),
        ("oci:{}/several:no", ["no descriptor found", ":one,", ":two,"]),
        ("docker-archive:{}/docker.tar:no:1", ["not found", "/one:1: that is its name"]),
        ("docker-archive:{}/oci.tar", ["is an OCI archive", "Name it oci-archive:{}/oci.tar"]),
        ("oci-archive:{}/docker.tar", ["docker save", "Name it docker-archive:{}/docker.tar"]),
        ("docker-archive:{}/root.tar", ["holds no image", "archive in place of image"]),
        ("oci-archive:{}/root.tar", ["holds no image", "archive in place of image"]),
        ("oci:{}/oci.tar", ["is not a directory", "oci-archive:FILE"]),
    ],
)
def test_the_word_to_use(
    image: str, words: list[str], archives: Archives, path: pathlib.Path, run_module: RunModule
) -> None:
    result = run_module("ns_rootfs", {"path": str(path), "image": image.format(archives.top)})
    failed(result, *(word.format(archives.top) for word in words))
    assert not [word for word in OF_REGISTRIES if word in result["msg"]]
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize(
    ("name", "transport", "compression"),
    [
        ("docker", "docker-archive", ""),
        ("docker", "docker-archive", ".gz"),
        ("docker-several", "docker-archive", ""),
        ("both", "docker-archive", ""),
        ("oci", "oci-archive", ""),
        ("oci", "oci-archive", ".gz"),
    ],
)
def test_an_image_is_no_root_file_system(
    name: str,
    transport: str,
    compression: str,
    archives: Archives,
    tmp_path: pathlib.Path,
    path: pathlib.Path,
    run_module: RunModule,
) -> None:
    archive = tmp_path / f"{name}.tar{compression}"
    shutil.copy(archives.top / f"{name}.tar", tmp_path / f"{name}.tar")
    if compression:
        subprocess.run(["gzip", "--keep", tmp_path / f"{name}.tar"], check=True)
    result = run_module("ns_rootfs", {"path": str(path), "archive": str(archive)})
    word = f"image: {transport}:{archive}"
    failed(result, "no root file system", word)
    assert os.listdir(path.parent) == []
    if name != "docker-several":
        made = run_module("ns_rootfs", {"path": str(path), "image": word.partition(" ")[2]})
        assert not made.get("failed"), made
        assert (path / "version").read_text() == "plain"


def test_a_root_file_system_may_have_such_names(
    path: pathlib.Path, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    names = ["manifest.json", "index.json", "oci-layout", "blobs/sha256/x"]
    for number, members in enumerate(([*names, "bin/sh"], ["manifest.json"])):
        archive = write(tmp_path / f"{number}.tar", [(member(each), b"[]") for each in members])
        made = run_module("ns_rootfs", {"path": str(path), "archive": archive})
        assert not made.get("failed"), made
        assert (path / "manifest.json").read_text() == "[]"


def test_hints_about_credentials_are_for_registries(
    path: pathlib.Path, run_module: RunModule
) -> None:
    result = run_module("ns_rootfs", {"path": str(path), "image": "docker://127.0.0.1:1/x:1"})
    failed(result, *OF_REGISTRIES)
