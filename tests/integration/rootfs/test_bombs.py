# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that try to fill the host or its memory, or have names too long for it.

Whatever they do, nothing but the root changes: everything around it is compared, with times.
"""

from __future__ import annotations

import gzip
import os
import pathlib
import resource
import tarfile

import pytest
from hostile_archives import Playground, member, playground
from results import RunModule
from trees import failed

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import enter
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.rules import DEFAULT
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.tar import (
    decompress,
    unpack,
)

__all__ = ["playground"]


@pytest.mark.parametrize(
    ("length", "kind"),
    [
        (256, tarfile.REGTYPE),
        (4_096, tarfile.REGTYPE),
        (4_096, tarfile.DIRTYPE),
        (4_096, tarfile.SYMTYPE),
        (100_000, tarfile.REGTYPE),
    ],
)
def test_names_longer_than_the_kernel_takes_are_refused(
    length: int, kind: bytes, playground: Playground, run_module: RunModule
) -> None:
    members = [(member("n" * length, kind, linkname="x"), b"")]
    failed(playground.unpack(run_module, members), f"a name of {length} bytes")


def test_a_link_to_a_name_longer_than_the_kernel_takes_is_refused(
    playground: Playground, run_module: RunModule
) -> None:
    members = [(member("link", tarfile.SYMTYPE, linkname="n" * 5_000), b"")]
    failed(playground.unpack(run_module, members), "'link'")


def test_the_longest_paths_can_be_unpacked_and_removed(
    playground: Playground, run_module: RunModule
) -> None:
    deep = "/".join(["d" * 7] * 500)
    members = [(member(f"{deep}/file"), b"x")]
    assert playground.unpack(run_module, members)["changed"]
    gone = run_module("ns_rootfs", {"path": str(playground.root), "state": "absent"})
    assert gone["changed"], gone
    assert os.listdir(playground.root.parent) == []


def test_an_extended_header_of_gigabytes_is_refused(
    playground: Playground, run_module: RunModule
) -> None:
    info = member("././@LongLink", b"L")
    info.size = 5_000_000_000
    archive = playground.top / "archive.tar"
    archive.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2_048))
    result = run_module("ns_rootfs", {"path": str(playground.root), "archive": str(archive)})
    failed(result, "an extended header of 5000000000 bytes")
    assert os.listdir(playground.root.parent) == []


def test_a_compression_bomb_is_stopped_at_the_limit(
    playground: Playground, run_module: RunModule
) -> None:
    archive = playground.top / "bomb.tar.gz"
    info = member("zeros")
    info.size = 1 << 40
    with gzip.open(archive, "wb", compresslevel=1) as bomb:
        bomb.write(info.tobuf(tarfile.GNU_FORMAT))
        for _round in range(64):
            bomb.write(bytes(1 << 20))
    args = {"path": str(playground.root), "archive": str(archive), "size_limit": "16M"}
    failed(run_module("ns_rootfs", args), "more than size_limit (16777216 bytes)")
    assert os.listdir(playground.root.parent) == []


def test_what_follows_the_end_counts_too(playground: Playground, run_module: RunModule) -> None:
    archive = playground.top / "bomb.tar.gz"
    with gzip.open(archive, "wb", compresslevel=1) as bomb:
        bomb.write(member("file").tobuf(tarfile.GNU_FORMAT))
        for _round in range(64):
            bomb.write(bytes(1 << 20))
    args = {"path": str(playground.root), "archive": str(archive), "size_limit": "16M"}
    failed(run_module("ns_rootfs", args), "more than size_limit")


def test_a_hole_of_petabytes_costs_nothing(playground: Playground, run_module: RunModule) -> None:
    """A sparse file may seem large; what it takes on the disk is what counts."""
    headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "hole",
        "GNU.sparse.realsize": str(1 << 40),
    }
    members = [(member("x", pax_headers=headers), b"0\n".ljust(512, b"\0"))]
    result = playground.unpack(run_module, members, size_limit="1M")
    assert result["changed"], result
    status = (playground.root / "hole").stat()
    assert (status.st_size, status.st_blocks) == (1 << 40, 0)


def many_directories(path: pathlib.Path, *, number: int) -> str:
    """An archive of that many entries under a few names."""
    blocks = b"".join(
        member(f"d{name}", tarfile.DIRTYPE).tobuf(tarfile.USTAR_FORMAT) for name in range(1_000)
    )
    with gzip.open(path, "wb", compresslevel=1) as many:
        for _round in range(number // 1_000):
            many.write(blocks)
        many.write(bytes(1_024))
    return str(path)


def test_a_million_entries_are_stopped_at_the_limit(
    playground: Playground, run_module: RunModule
) -> None:
    archive = many_directories(playground.top / "many.tar.gz", number=1_000_000)
    args = {"path": str(playground.root), "archive": archive, "size_limit": "20M"}
    failed(run_module("ns_rootfs", args), "more than size_limit")
    assert os.listdir(playground.root.parent) == []


def test_memory_does_not_grow_with_the_number_of_entries(playground: Playground) -> None:
    """Of directories, whose times are set at the end."""
    archive = many_directories(playground.top / "many.tar.gz", number=60_000)
    playground.root.mkdir()

    def unpacked() -> tuple[int, int]:
        with open(archive, "rb") as file, decompress.opened(file.fileno(), name="many") as content:
            directory = os.open(playground.root, os.O_RDONLY)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            unpack.enter(directory)
            done = unpack.unpack(
                content.fd, name="many", rules=DEFAULT, progress=lambda _text: None
            )
            return done.entries, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    entries, kilobytes = enter.run_inside(unpacked)
    assert entries == 60_000
    assert kilobytes < 6_000
