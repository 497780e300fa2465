# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that try to write outside of the root they are unpacked to, or to fill the host.

Whatever they do, nothing but the root changes: everything around it is compared, with times.
"""

from __future__ import annotations

import gzip
import io
import os
import pathlib
import resource
import stat
import subprocess
import tarfile
import typing as t

import pytest
from results import Result, RunModule
from trees import failed
from unshared_process import UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import enter
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs import (
    decompress,
    unpack,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.rules import DEFAULT

Members = t.Sequence[tuple[tarfile.TarInfo, bytes]]


def member(name: str, kind: bytes = tarfile.REGTYPE, **values: t.Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for key, value in values.items():
        setattr(info, key, value)
    return info


def write(path: pathlib.Path, members: Members) -> str:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return str(path)


def facts_below(top: pathlib.Path, *, without: pathlib.Path) -> dict[str, tuple[t.Any, ...]]:
    """Everything about what lies around the new root."""
    found = {}
    for above, directories, files in os.walk(top):
        for name in [*directories, *files]:
            path = pathlib.Path(above, name)
            if path in (without, without.parent) or without in path.parents:
                continue  # the directory above gets a new entry
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
            found[str(path)] = (*status[:7], status.st_mtime_ns, content)
    return found


class Playground(t.NamedTuple):
    """``root`` is where archives are unpacked to; ``canary`` is what they are after."""

    top: pathlib.Path
    root: pathlib.Path
    canary: pathlib.Path

    def unpack(self, run_module: RunModule, members: Members, **options: t.Any) -> Result:
        """Unpack an archive of these; everything around the root must be as before."""
        archive = write(self.top / "archive.tar", members)
        return self.make(run_module, archive=archive, **options)

    def make(self, run_module: RunModule, **options: t.Any) -> Result:
        """Make the root from this source; everything around it must be as before."""
        before = facts_below(self.top, without=self.root)
        args = {"path": str(self.root), **options}
        result = run_module("ns_rootfs", args)
        after = facts_below(self.top, without=self.root)
        assert after == before
        assert os.listdir(self.top / "roots") in ([], [self.root.name])
        return result


@pytest.fixture
def playground(tmp_path: pathlib.Path) -> Playground:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "roots").mkdir()
    (outside / "canary").write_text("untouched")
    return Playground(tmp_path, tmp_path / "roots" / "root", outside / "canary")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../outside/canary", tarfile.REGTYPE),
        ("../outside/canary", tarfile.SYMTYPE),
        ("../outside", tarfile.DIRTYPE),
        ("a/../../outside/canary", tarfile.REGTYPE),
        ("./../outside/canary", tarfile.REGTYPE),
        ("..", tarfile.DIRTYPE),
        ("a/..", tarfile.DIRTYPE),
    ],
)
def test_names_that_lead_out_are_refused(
    name: str, kind: bytes, playground: Playground, run_module: RunModule
) -> None:
    members = [(member("a", tarfile.DIRTYPE), b""), (member(name, kind, linkname="x"), b"")]
    failed(playground.unpack(run_module, members), "leads out", name, "Do not trust")
    assert not playground.root.exists()


def test_absolute_names_are_refused(playground: Playground, run_module: RunModule) -> None:
    members = [(member(str(playground.canary)), b"hostile")]
    failed(playground.unpack(run_module, members), "absolute name", "tar -C")


@pytest.mark.parametrize("target", ["absolute", "relative"])
def test_what_is_written_through_a_link_stays_inside(
    target: str, playground: Playground, run_module: RunModule
) -> None:
    outside = str(playground.canary.parent)
    leads_to = outside if target == "absolute" else "../../../../../../../.." + outside
    members = [
        (member(outside.lstrip("/"), tarfile.DIRTYPE), b""),
        (member("link", tarfile.SYMTYPE, linkname=leads_to), b""),
        (member("link/canary"), b"hostile"),
        (member("link/new"), b"hostile"),
    ]
    result = playground.unpack(run_module, members)
    assert not result.get("failed"), result
    # Where a process that lives in the root finds it.
    inside = playground.root / outside.lstrip("/")
    assert (inside / "canary").read_text() == "hostile"
    assert playground.canary.read_text() == "untouched"


def test_what_is_written_through_a_link_that_leads_nowhere_is_refused(
    playground: Playground, run_module: RunModule
) -> None:
    members = [
        (member("link", tarfile.SYMTYPE, linkname=str(playground.canary.parent)), b""),
        (member("link/canary"), b"hostile"),
    ]
    failed(playground.unpack(run_module, members), "'link/canary' cannot be made")
    assert not playground.root.exists()


def test_a_file_in_place_of_a_link_replaces_the_link(
    playground: Playground, run_module: RunModule
) -> None:
    members = [
        (member("link", tarfile.SYMTYPE, linkname=str(playground.canary)), b""),
        (member("link"), b"hostile"),
    ]
    assert playground.unpack(run_module, members)["changed"]
    assert not (playground.root / "link").is_symlink()


def test_a_link_in_place_of_a_directory_does_not_move_its_owner_or_times(
    playground: Playground, run_module: RunModule
) -> None:
    """The times of directories are set at the end: by then the name may be a link."""
    outside = str(playground.canary.parent)
    members = [
        (member("directory", tarfile.DIRTYPE, uid=1234, mtime=5), b""),
        (member("directory", tarfile.SYMTYPE, linkname=outside), b""),
        (member("directory", tarfile.DIRTYPE, uid=1234, mtime=5), b""),
        (member("directory", tarfile.SYMTYPE, linkname=outside), b""),
    ]
    assert playground.unpack(run_module, members)["changed"]
    assert (playground.root / "directory").is_symlink()


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("{canary}", "absolute name"),
        ("../outside/canary", "leads out"),
        ("link/canary", "does not hold"),
        ("missing", "does not hold"),
        ("directory", "cannot be made"),
    ],
)
def test_hard_links_to_the_outside_are_refused(
    target: str, why: str, playground: Playground, run_module: RunModule
) -> None:
    target = target.format(canary=playground.canary)
    members = [
        (member("directory", tarfile.DIRTYPE), b""),
        (member("link", tarfile.SYMTYPE, linkname=str(playground.canary.parent)), b""),
        (member("hard", tarfile.LNKTYPE, linkname=target), b""),
    ]
    failed(playground.unpack(run_module, members), why)
    assert playground.canary.stat().st_nlink == 1


def test_a_hard_link_to_a_link_is_one_to_the_link_itself(
    playground: Playground, run_module: RunModule
) -> None:
    members = [
        (member("link", tarfile.SYMTYPE, linkname=str(playground.canary)), b""),
        (member("hard", tarfile.LNKTYPE, linkname="link"), b""),
        (member("hard", mode=0o666), b"hostile"),
    ]
    assert playground.unpack(run_module, members)["changed"]
    assert os.readlink(playground.root / "link") == str(playground.canary)


def test_device_nodes_where_they_are_not_allowed_are_refused(
    playground: Playground, run_module: RunModule, unshared_process: UnsharedProcess
) -> None:
    inside = unshared_process(["user", "mnt"], options=["--map-root-user"])
    inside.run("mount", "-t", "tmpfs", "tmpfs", "/mnt")
    members = [(member("sda", tarfile.BLKTYPE, devmajor=8), b""), (member("file"), b"")]
    archive = write(playground.top / "archive.tar", members)
    args: Result = {"pid": inside.pid, "path": "/mnt/root", "archive": archive}
    failed(run_module("ns_rootfs", args), "device node 'sda'", "device_nodes: skip")
    assert inside.run("ls", "-A", "/mnt") == ""
    result = run_module("ns_rootfs", {**args, "device_nodes": "skip"})
    assert result["changed"], result
    assert inside.run("ls", "-A", "/mnt/root") == "file\n"


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


def test_a_forged_marker_is_not_believed(playground: Playground, run_module: RunModule) -> None:
    forged = "sha256:" + "0" * 64
    result = playground.unpack(run_module, [(member(".linux-namespaces.digest"), b"")])
    failed(result, "is no name for an entry")
    headers = {
        "SCHILY.xattr.trusted.linux_namespaces.digest": forged,
        "SCHILY.xattr.trusted.overlay.opaque": "y",
    }
    root = member("./", tarfile.DIRTYPE, pax_headers=headers)
    result = playground.unpack(run_module, [(root, b""), (member("file"), b"")])
    assert result["digest"] != forged
    names = os.listxattr(playground.root)
    assert "trusted.overlay.opaque" not in names
    assert os.getxattr(playground.root, "trusted.linux_namespaces.digest") != forged.encode()


def test_a_root_that_is_a_link_is_refused(playground: Playground, run_module: RunModule) -> None:
    members = [(member("./", tarfile.SYMTYPE, linkname=str(playground.canary.parent)), b"")]
    failed(playground.unpack(run_module, members), "its root is a symbolic link")


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

    entries, kilobytes = enter.call(unpacked)
    assert entries == 60_000
    assert kilobytes < 6_000


def layers_of(outside: pathlib.Path) -> dict[str, list[tuple[tarfile.TarInfo, bytes]]]:
    """Layers of images that are after the canary; the second half of each goes through a link."""
    canary = str(outside / "canary")
    link = (member("out", tarfile.SYMTYPE, linkname=str(outside)), b"")
    return {
        "name with ..": [(member("../outside/canary"), b"x"), (member("../../../x"), b"x")],
        "absolute name": [(member(canary), b"x")],
        "through a link": [link, (member("out/canary"), b"x"), (member("out/new"), b"x")],
        "hard link": [
            (member("hard", tarfile.LNKTYPE, linkname=canary), b""),
            (member("hard"), b"x"),
        ],
        "whiteout through a link": [link, (member("out/.wh.canary"), b"")],
        "whiteout of all through a link": [link, (member("out/.wh..wh..opq"), b"")],
        "whiteout of the directory above": [(member(".wh.."), b""), (member("a/.wh..."), b"")],
        "attributes of what a link leads to": [
            link,
            (member("out", tarfile.DIRTYPE, mode=0o777, uid=1, gid=1), b""),
        ],
    }


@pytest.mark.parametrize("kind", layers_of(pathlib.Path("/")))
def test_a_hostile_layer_of_an_image_stays_inside(
    kind: str, playground: Playground, run_module: RunModule
) -> None:
    """Whether it is refused or unpacked inside is for umoci to say."""
    layer = write(playground.top / "layer.tar", layers_of(playground.canary.parent)[kind])
    layout = playground.top / "layout"
    for words in (
        ["init", "--layout", layout],
        ["new", "--image", f"{layout}:tag"],
        ["raw", "add-layer", "--image", f"{layout}:tag", layer],
    ):
        subprocess.run(["umoci", *words], check=True, capture_output=True)
    result = playground.make(run_module, image=f"oci:{layout}:tag")
    assert playground.canary.read_text() == "untouched"
    assert "Traceback" not in str(result)
