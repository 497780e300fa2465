# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers that cannot be unpacked: which one, which entry of it, and what to do is said."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import tarfile
import typing as t

import pytest
from hostile_archives import Members, member, write
from layered_images import path
from layouts import Layout, described, digest_of, good_config
from module_server import CHECKOUT
from raw_tar import header, octal, padded
from results import RunModule
from trees import NET_BIND, failed

__all__ = ["path"]

FILE = (member("version"), b"plain")
LINK, DIRECTORY = tarfile.LNKTYPE, tarfile.DIRTYPE
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


def xattr(name: str, value: bytes = b"1") -> dict[str, t.Any]:
    text = value.decode("utf-8", "surrogateescape")
    return {"pax_headers": {f"SCHILY.xattr.{name}": text}}


def image_of(top: pathlib.Path, *layers: bytes) -> str:
    """An image with these layers."""
    layout = Layout(top / "layout")
    config = good_config()
    config["rootfs"]["diff_ids"] = [digest_of(layer) for layer in layers]

    def change(name: str, document: t.Any) -> t.Any:
        if name == "manifest":
            document["layers"] = [described(layer, LAYER_TYPE) for layer in layers]
        return document

    for layer in layers:
        layout.add(layer)
    layout.write(config, change=change, layer=layers[0])
    return layout.image


def packed(top: pathlib.Path, members: Members) -> bytes:
    return pathlib.Path(write(top / "layer.tar", members)).read_bytes()


# What the upper of two layers holds, and what is said of it.
REFUSED: dict[str, tuple[Members, list[str]]] = {
    "a hard link to nothing": (
        [(member("l", LINK, linkname="gone"), b"")],
        ["'l' is a hard link to 'gone', which neither it nor a layer below has", "Make the image"],
    ),
    "a hard link to what a layer removes": (
        [(member(".wh.version"), b""), (member("l", LINK, linkname="version"), b"")],
        ["'l' is a hard link to 'version', which neither it nor a layer below has"],
    ),
    "a hard link to a directory": (
        [(member("d", DIRECTORY), b""), (member("d/l", LINK, linkname="d"), b"")],
        ["'d/l' is a hard link to 'd', which is a directory"],
    ),
    "a name with the text of an error": (
        [(member("a: b: l", LINK, linkname="gone: x"), b"")],
        ["'a: b: l' is a hard link to 'gone: x', which"],
    ),
    "a name with a newline": (
        [(member("a\nb: link: x", LINK, linkname="gone"), b"")],
        ["'a\\nb: link: x' is a hard link to 'gone', which"],
    ),
    "a name that is no text": (
        [(member("a\udcff\x1b[31m", LINK, linkname="{{ 7 * 7 }}"), b"")],
        ["xff", "is a hard link to '{{ 7 * 7 }}', which"],
    ),
    "a whiteout of nothing": ([(member(".wh."), b"")], ["'.wh.' is a whiteout of no file"]),
    "a whiteout of what is above": (
        [(member(".wh..."), b"")],
        ["'.wh...' is a whiteout of no file", "Do not trust"],
    ),
    "a file below a file": (
        [(member("version/x"), b"x")],
        ["'version/x' lies below what is no directory"],
    ),
    "a loop": (
        [(member("s", b"2", linkname="s"), b""), (member("s/x"), b"x")],
        ["'s/x' lies below a link that leads to itself"],
    ),
    "an attribute of a link": (
        [(member("s", b"2", linkname="x", **xattr("user.note")), b"")],
        ["the attributes of the symbolic link 's' cannot be set ('user.note')", "xattr(7)"],
    ),
    "a type of tar that umoci has not": ([(member("p", b"7"), b"x")], ["the file 'p' cannot be made"]),
    "a type that is none": ([(member("p", b"Z"), b"x")], ["layer 2 of 2"]),
    "a long name": (
        [(member("d/" + "a" * 300), b"x")],
        ["aaa", "has 300 bytes, more than the kernel takes"],
    ),
    "a root that is none": ([(member("."), b"x")], ["its root is a file", "Do not trust"]),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_said(
    what: str, tmp_path: pathlib.Path, path: pathlib.Path, run_module: RunModule
) -> None:
    members, words = REFUSED[what]
    upper = packed(tmp_path, members)
    image = image_of(tmp_path, packed(tmp_path, [FILE]), upper)
    result = run_module("ns_rootfs", {"path": str(path), "image": image})
    failed(
        result, f"the image {image} cannot be unpacked: layer 2 of 2 ({digest_of(upper)}): ", *words
    )
    for raw in ("create rootfs", "unpack entry", ".root.new", "authfile"):
        assert raw not in result["msg"]
    assert os.listdir(path.parent) == []


# What is odd, and is unpacked all the same: mode, type and owner of what comes of it.
TAKEN: dict[str, tuple[Members, dict[str, tuple[str, int]]]] = {
    "modes": (
        [(member("all", mode=0o7777), b"x"), (member("none", mode=0), b"x"),
         (member("d", DIRECTORY, mode=0), b""), (member("d/f", mode=0o1644), b"x")],
        {"all": ("0o107777", 0), "none": ("0o100000", 0), "d": ("0o40000", 0), "d/f": ("0o101644", 0)},
    ),
    "devices": (
        [(member("c", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666), b""),
         (member("b", tarfile.BLKTYPE, devmajor=259, devminor=9), b""), (member("p", tarfile.FIFOTYPE), b"")],
        {"c": ("0o20666", 0), "b": ("0o60644", 0), "p": ("0o10644", 0)},
    ),
    "whiteouts of nothing that is there": (
        [(member("gone/.wh.x"), b""), (member(".wh..wh..opq"), b""), (member("version/.wh.x"), b""), FILE],
        {"version": ("0o100644", 0)},
    ),
    "large owners": ([(member("v", uid=4294967294, gid=7), b"x")], {"v": ("0o100644", 4294967294)}),
    "an attribute that nobody has": ([(member("v", **xattr("odd")), b"x")], {"v": ("0o100644", 0)}),
}  # fmt: skip


@pytest.mark.parametrize("what", TAKEN)
def test_what_is_odd_and_taken(
    what: str, tmp_path: pathlib.Path, path: pathlib.Path, run_module: RunModule
) -> None:
    members, wanted = TAKEN[what]
    path.parent.chmod(0o700)
    image = image_of(tmp_path, packed(tmp_path, [FILE]), packed(tmp_path, members))
    done = run_module("ns_rootfs", {"path": str(path), "image": image})
    assert not done.get("failed"), done
    for name, (mode, owner) in wanted.items():
        status = (path / name).lstat()
        assert (oct(status.st_mode), status.st_uid) == (mode, owner), name


def test_no_room(tmp_path: pathlib.Path, run_module: RunModule) -> None:
    image = image_of(tmp_path, packed(tmp_path, [FILE, (member("large"), bytes(3_000_000))]))
    place = tmp_path / "small"
    place.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "small", place], check=True)
    try:
        result = run_module("ns_rootfs", {"path": f"{place}/root", "image": image})
        failed(result, "o space left on device", "Make room")
        assert os.listdir(place) == []
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("name", ["security.capability", "user.note"])
def test_a_file_system_without_attributes(
    name: str, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    """Capabilities are missed, others are warned of."""
    value = NET_BIND if name == "security.capability" else b"x"
    upper = packed(tmp_path, [(member("ping", **xattr(name, value)), b"x")])
    image = image_of(tmp_path, packed(tmp_path, [FILE]), upper)
    place = tmp_path / "none"
    place.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "ramfs", "-o", "mode=700", "none", place], check=True)
    try:
        result = run_module("ns_rootfs", {"path": f"{place}/root", "image": image})
        if name == "user.note":
            assert not result.get("failed"), result
            assert "could not be kept" in str(result["warnings"])
            run_module("ns_rootfs", {"path": f"{place}/root", "state": "absent"})
        else:
            failed(result, "'ping' of", "has file capabilities", "Name a path on another one")
            assert os.listdir(place) == []
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_device_that_may_not_be_made(tmp_path: pathlib.Path, path: pathlib.Path) -> None:
    """As root in a container that cannot."""
    device = member("dev/zero", tarfile.CHRTYPE, devmajor=1, devminor=5)
    image = image_of(tmp_path, packed(tmp_path, [FILE]), packed(tmp_path, [(device, b"")]))
    path.parent.chmod(0o700)
    done = subprocess.run(
        ["setpriv", "--bounding-set=-mknod", "--inh-caps=-mknod", "ansible", "localhost",
         "-m", "linux.namespaces.ns_rootfs", "-a", json.dumps({"path": str(path), "image": image})],
        check=False, capture_output=True, text=True, cwd=CHECKOUT,
        env={**os.environ, "ANSIBLE_LOCAL_TEMP": f"{tmp_path}/ansible"},
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert "layer 2 of 2" in said
    assert "the device node 'dev/zero' may not be made here: operation not permitted" in said
    assert "CAP_MKNOD" in said


def test_a_layer_that_is_damaged_within(
    tmp_path: pathlib.Path, path: pathlib.Path, run_module: RunModule
) -> None:
    """Its digest is right, what it holds is not."""
    cut = header(name=b"version", size=octal(5000)) + padded(b"plain")
    image = image_of(tmp_path, packed(tmp_path, [FILE]), cut)
    result = run_module("ns_rootfs", {"path": str(path), "image": image})
    failed(result, f"the image {image} cannot be unpacked: layer 2 of 2")
    assert os.listdir(path.parent) == []
