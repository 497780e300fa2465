# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that are none: documents of other types, and what is no file in the place of a blob.

Each is refused in bounded time and memory, says which image and what is wrong with it, and leaves
nothing beside the path.
"""

from __future__ import annotations

import io
import json
import os
import pathlib
import resource
import socket
import stat
import subprocess
import tarfile
import time
import typing as t

import pytest
from hostile_archives import Playground, member, playground, playground_in
from layouts import (
    INDEX_TYPE,
    LAYER,
    TAG,
    Document,
    Layout,
    described,
    digest_of,
    good_config,
    good_index,
    good_layout,
    unchanged,
)
from raw_tar import BLOCK, END, header, octal, padded, pax
from results import Result, RunModule
from scratch import nothing_left
from trees import deep, failed

from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs import run_tool

__all__ = ["deep", "playground"]

SECONDS = 10.0


@pytest.fixture
def refused(playground: Playground, run_module: RunModule) -> t.Callable[..., Result]:
    """Make a root of the image, which must be refused."""

    def run(image: str, *words: str, **options: t.Any) -> Result:
        before = time.monotonic()
        with nothing_left():
            result = playground.make(run_module, image=image, **options)
            assert time.monotonic() - before < SECONDS
        failed(result, *words)
        assert image in result["msg"] or image.split(":")[1] in result["msg"], result["msg"]
        assert "defect" not in result["msg"]
        assert os.listdir(playground.root.parent) == []
        return result

    return run


def test_the_good_one_is_unpacked(playground: Playground, run_module: RunModule) -> None:
    """What the others are changes of."""
    layout = good_layout(playground.top / "layout")
    done = playground.make(run_module, image=layout.image)
    assert not done.get("failed"), done
    assert (playground.root / "version").read_text() == "plain"
    assert done["config"]["argv"] == ["/bin/server", "--port", "80"]


def zero_device(path: pathlib.Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero


NO_FILES: dict[str, t.Callable[[pathlib.Path], t.Any]] = {
    "fifo": os.mkfifo,
    "device": zero_device,
    "directory": os.mkdir,
    "link to the host": lambda path: path.symlink_to("/etc/passwd"),
    "link out": lambda path: path.symlink_to("../" * 20 + "dev/zero"),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to a process": lambda path: path.symlink_to("/proc/self/fd/0"),
    "link to itself": lambda path: path.symlink_to(path.name),
}


@pytest.mark.parametrize("place", ["oci-layout", "index.json", "manifest", "config", "layer"])
@pytest.mark.parametrize("what", NO_FILES)
def test_what_is_no_file_in_a_layout(
    what: str, place: str, playground: Playground, refused: t.Callable[..., Result]
) -> None:
    layout = good_layout(playground.top / "layout")
    path = layout.path / place
    if place not in ("oci-layout", "index.json"):
        path = layout.blob_of(place)
    path.unlink()
    NO_FILES[what](path)
    refused(layout.image, "cannot be read", path.name)


def test_links_within_a_layout_are_followed(playground: Playground, run_module: RunModule) -> None:
    layout = good_layout(playground.top / "layout")
    blob = layout.blob_of("layer")
    blob.rename(layout.path / "shared")
    blob.symlink_to("../../shared")
    done = playground.make(run_module, image=layout.image)
    assert not done.get("failed"), done


@pytest.mark.parametrize("place", ["manifest", "config"])
@pytest.mark.parametrize("size", [5 << 20, 100 << 30], ids=["5 MB", "100 GB of nothing"])
def test_a_document_without_end(
    size: int, place: str, playground: Playground, refused: t.Callable[..., Result]
) -> None:
    layout = good_layout(playground.top / "layout")
    os.truncate(layout.blob_of(place), size)
    refused(layout.image, "more than 4 MB")


def test_an_index_without_end(playground: Playground, refused: t.Callable[..., Result]) -> None:
    layout = good_layout(playground.top / "layout")
    os.truncate(layout.path / "index.json", 100 << 30)
    refused(layout.image, "index.json", "more than 4 MB")


def test_an_index_that_names_itself(
    playground: Playground, refused: t.Callable[..., Result]
) -> None:
    layout = good_layout(playground.top / "layout")
    itself = "sha256:" + "a" * 64
    index = good_index(b"")
    index["manifests"][0].update(digest=itself, mediaType=INDEX_TYPE)
    (layout.path / "index.json").write_text(json.dumps(index))
    (layout.blobs / itself.partition(":")[2]).write_text(json.dumps(index))
    refused(layout.image)


def test_an_index_below_an_index(playground: Playground, refused: t.Callable[..., Result]) -> None:
    """As deep as no honest one: whoever goes down ends."""
    layout = good_layout(playground.top / "layout")
    inner = (layout.path / "index.json").read_bytes()
    for _depth in range(300):
        layout.add(inner)
        index = good_index(inner)
        index["manifests"][0].update(described(inner, INDEX_TYPE))
        inner = json.dumps(index).encode()
    (layout.path / "index.json").write_bytes(inner)
    refused(layout.image)


def test_directories_in_each_other_as_deep_as_paths_go(
    deep: pathlib.Path, run_module: RunModule
) -> None:
    """Each of them is looked at where owners are shifted: nothing calls itself so often."""
    playground = playground_in(deep)
    layer = pax(path=b"d/" * 1_500, uid=b"1") + header(kind=b"5") + END
    layout = good_layout(playground.top / "layout", layer=layer)
    ids = [{"inside": 0, "outside": 100_000, "count": 65_536}]
    done = playground.make(run_module, image=layout.image, id_map={"uid": ids, "gid": ids})
    assert not done.get("failed"), done
    assert (playground.root / ("d/" * 1_500)).stat().st_uid == 100_001
    gone = run_module("ns_rootfs", {"path": str(playground.root), "state": "absent"})
    assert gone["changed"], gone


@pytest.mark.parametrize(
    "entry",
    [
        member("index.json", tarfile.FIFOTYPE),
        member("index.json", tarfile.CHRTYPE, devmajor=1, devminor=5),
        member("index.json", tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("blobs/sha256/x", tarfile.LNKTYPE, linkname="/etc/passwd"),
    ],
    ids=lambda entry: str(entry.type),
)
def test_what_is_no_file_in_an_archive_of_a_layout(
    entry: tarfile.TarInfo, playground: Playground, refused: t.Callable[..., Result]
) -> None:
    layout = good_layout(playground.top / "layout")
    archive = playground.top / "image.tar"
    with tarfile.open(archive, "w") as made:
        made.add(layout.path, arcname=".")
        made.addfile(entry)
    refused(f"oci-archive:{archive}:{TAG}", "cannot be read", "it holds a")


@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
def test_an_archive_that_is_no_file(
    transport: str, playground: Playground, refused: t.Callable[..., Result]
) -> None:
    for name, make in NO_FILES.items():
        if name == "link to the host":
            continue
        path = playground.top / name.replace(" ", "-")
        make(path)
        refused(f"{transport}:{path}:name:tag" if transport[0] == "d" else f"{transport}:{path}")
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()


@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
def test_an_archive_that_unpacks_to_too_much(
    transport: str, playground: Playground, refused: t.Callable[..., Result]
) -> None:
    archive = playground.top / "image.tar"
    with tarfile.open(archive, "w") as made:
        info = member("blobs/sha256/zeros")
        info.size = 64 << 20
        made.addfile(info, io.BytesIO(bytes(64 << 20)))
    subprocess.run(["gzip", "--fast", archive], check=True)
    refused(f"{transport}:{archive}.gz", "more than size_limit", size_limit="16M")


# A file of a terabyte, of which five bytes are no hole.
HOLES = (
    pax(GNU__sparse__major=b"1", GNU__sparse__minor=b"0", GNU__sparse__realsize=b"%d" % (1 << 40))
    + header(size=octal(BLOCK + 5))
    + padded(b"1\n0\n5\n")
    + padded(b"plain")
)


@pytest.mark.parametrize("end", [END, b""])
def test_holes_in_a_layer_count(
    end: bytes, playground: Playground, refused: t.Callable[..., Result]
) -> None:
    """umoci writes them as zeros: a layer of two kilobytes filled the disk."""
    layout = good_layout(playground.top / "layout", layer=HOLES + end)
    refused(layout.image, "more than size_limit", size_limit="16M")


@pytest.mark.parametrize("layer", [LAYER, LAYER[:-1024], b""])
def test_a_layer_within_the_limit(
    layer: bytes, playground: Playground, run_module: RunModule
) -> None:
    """It may lack its end mark."""
    layout = good_layout(playground.top / "layout", layer=layer)
    done = playground.make(run_module, image=layout.image, size_limit="16M")
    assert not done.get("failed"), done


@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
def test_holes_in_an_archive_of_an_image(
    transport: str, playground: Playground, refused: t.Callable[..., Result]
) -> None:
    archive = playground.top / "image.tar"
    names = (b"manifest.json", b"index.json")
    documents = b"".join(header(name=name, size=octal(2)) + padded(b"[]") for name in names)
    for content in (HOLES + documents, documents + HOLES):
        archive.write_bytes(content + END)
        refused(f"{transport}:{archive}", "a file with holes")
    archive.write_bytes(HOLES + END)
    refused(f"{transport}:{archive}", "holds no image")


@pytest.mark.parametrize("number", [0, 2])
def test_another_number_of_layers_in_the_configuration(
    number: int, playground: Playground, refused: t.Callable[..., Result]
) -> None:
    """umoci ends with a trace of its own where there are fewer."""
    layout = Layout(playground.top / "layout")
    rootfs = {"type": "layers", "diff_ids": [digest_of(LAYER)] * number}
    layout.write({**good_config(), "rootfs": rootfs}, change=unchanged)
    refused(layout.image, "is damaged", f"diff_ids for {number} layers, of 1")


@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
@pytest.mark.parametrize(
    "content",
    [b"", b"no archive" * 200, b"\x1f\x8b", bytes(1_024)],
    ids=["empty", "text", "a start of gzip", "an end of tar"],
)
def test_what_is_no_archive(
    content: bytes, transport: str, playground: Playground, refused: t.Callable[..., Result]
) -> None:
    archive = playground.top / "image.tar"
    archive.write_bytes(content)
    refused(f"{transport}:{archive}")


@pytest.mark.parametrize("of", ["config", "layers"])
@pytest.mark.parametrize("is_archive", [False, True])
def test_an_image_on_the_host_fetches_nothing(
    of: str, is_archive: bool, playground: Playground, refused: t.Callable[..., Result]
) -> None:
    """A part of an image may be said to lie elsewhere; skopeo would wait there for ever."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/part"

        def change(name: str, document: t.Any) -> Document:
            if name == "manifest":
                part = document["config"] if of == "config" else document["layers"][0]
                part["urls"] = [address]
            return document

        layout = Layout(playground.top / "layout")
        layout.write(good_config(), change=change)
        if of == "layers":
            layout.blob_of("layer").unlink()
        image = layout.image
        if is_archive:
            archive = playground.top / "image.tar"
            subprocess.run(["tar", "-cf", archive, "-C", layout.path, "."], check=True)
            image = f"oci-archive:{archive}:{TAG}"
        refused(image)
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_what_answers_too_much_or_never_is_ended() -> None:
    with pytest.raises(run_tool.Failed, match="more than 1 MB"):
        run_tool.answer(["cat", "/dev/zero"], limit=1 << 20, seconds=SECONDS)
    with pytest.raises(run_tool.Failed, match="has not answered within"):
        run_tool.answer(["sleep", "100"], limit=100, seconds=0.2)
    with pytest.raises(run_tool.Failed, match="no such"):
        run_tool.answer(["sh", "-c", "echo no such >&2; exit 3"], limit=100, seconds=SECONDS)
    assert run_tool.answer(["echo", "words"], limit=100, seconds=SECONDS) == b"words\n"
    # No terminal of the caller's through /dev/tty.
    words = ["sh", "-c", "echo $$; ps -o sid= -p $$"]
    pid, session = run_tool.answer(words, limit=100, seconds=SECONDS).split()
    assert pid == session


def test_a_line_without_end_takes_no_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run_tool.run(["head", "-c", "200M", "/dev/zero"], writable=[], scratch="/tmp")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000
