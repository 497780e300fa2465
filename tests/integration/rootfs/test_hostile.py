# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that try to write outside of the root they are unpacked to.

Whatever they do, nothing but the root changes: everything around it is compared, with times.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import tarfile

import pytest
from hostile_archives import Playground, facts_below, member, playground, write
from results import Result, RunModule
from trees import failed
from unshared_process import UnsharedProcess

__all__ = ["playground"]


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


def test_a_forged_marker_is_not_believed(playground: Playground, run_module: RunModule) -> None:
    forged = "sha256:" + "0" * 64
    # The second is what it is written under: a fifo there would hold up who writes it.
    for name in (".linux-namespaces.digest", "./.linux-namespaces.digest.new"):
        result = playground.unpack(run_module, [(member(name, tarfile.FIFOTYPE), b"")])
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


@pytest.mark.parametrize("name", ["new", "directory"])
def test_a_path_below_another_root_stays_in_it(
    name: str, playground: Playground, run_module: RunModule
) -> None:
    """It was replaced and removed where a link of that root leads on the host."""
    outside = playground.canary.parent
    (outside / "directory").mkdir()
    playground.unpack(run_module, [(member("share", tarfile.SYMTYPE, linkname=str(outside)), b"")])
    args = {"path": f"{playground.root}/share/{name}"}
    archive = write(playground.top / "inner.tar", [(member("file"), b"inner")])
    before = facts_below(playground.top, without=playground.root)
    done = run_module("ns_rootfs", {**args, "archive": archive})
    assert done["changed"], done
    assert (playground.root / str(outside).lstrip("/") / name / "file").read_text() == "inner"
    assert not run_module("ns_rootfs", {**args, "archive": archive})["changed"]
    assert run_module("ns_rootfs", {**args, "state": "absent"})["changed"]
    assert facts_below(playground.top, without=playground.root) == before
