# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_mount: the type of a file system, found out by what is on the device or in the image."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from disks import attached, new_ext4, new_file, place, run
from results import Converge, RunModule, is_failure
from unshared_process import Unshared

__all__ = ["place"]
Args = dict[str, t.Any]
# How each is made at a path, from a directory of files where there is no other way.
MADE: dict[str, list[list[str]]] = {
    "ext2": [["truncate", "-s", "8m", "{}"], ["mkfs.ext2", "-q", "{}"]],
    "ext4": [["truncate", "-s", "8m", "{}"], ["mkfs.ext4", "-q", "{}"]],
    "xfs": [["truncate", "-s", "300m", "{}"], ["mkfs.xfs", "-q", "{}"]],
    "btrfs": [["truncate", "-s", "120m", "{}"], ["mkfs.btrfs", "-q", "{}"]],
    "squashfs": [["mksquashfs", "/usr/share/doc/util-linux", "{}", "-quiet", "-no-progress"]],
    "erofs": [["mkfs.erofs", "--quiet", "{}", "/usr/share/doc/util-linux"]],
}


def image_of(fstype: str, path: pathlib.Path) -> pathlib.Path:
    for argv in MADE[fstype]:
        run(*(word.format(path) for word in argv))
    return path


@pytest.mark.parametrize("fstype", MADE)
def test_of_a_device_and_of_an_image(
    fstype: str, converge: Converge, target: Unshared, place: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    image = image_of(fstype, tmp_path / "image")
    args: Args = {"pid": target.pid, "path": str(place)}
    unmounted: Args = {**args, "state": "unmounted"}
    # What is read-only by its nature says so: mount(8) warns, and adds it.
    opts = "ro" if fstype in ("squashfs", "erofs") else ""
    with attached(image) as device:
        for given in ("", "auto", f"minix,{fstype}", "nominix,ntfs"):
            made = converge("ns_mount", {**args, "src": device, "fstype": given, "opts": opts})
            assert made["actions"] == [f"mount {fstype} on {place}"]
            assert made["mounts"][0]["fstype"] == fstype
            # By its type it is the same.
            named = converge("ns_mount", {**args, "src": device, "fstype": fstype, "opts": opts})
            assert not named["changed"]
            converge("ns_mount", unmounted)
    made = converge("ns_mount", {**args, "src": str(image), "opts": f"loop,{opts}"})
    assert made["mounts"][0]["fstype"] == fstype
    converge("ns_mount", unmounted)


def test_a_part_of_an_image(
    converge: Converge, target: Unshared, place: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    disk = new_file(tmp_path / "disk", "32m")
    part = image_of("ext4", tmp_path / "part")
    run("dd", f"if={part}", f"of={disk}", "bs=1M", "seek=4", "conv=notrunc", "status=none")
    args: Args = {"pid": target.pid, "path": str(place), "src": str(disk)}
    opts = f"loop,offset={4 << 20},sizelimit={8 << 20}"
    made = converge("ns_mount", {**args, "fstype": "auto", "opts": opts})
    assert made["mounts"][0]["fstype"] == "ext4"
    converge("ns_mount", {**args, "state": "unmounted"})


@pytest.mark.parametrize(
    ("listed", "is_allowed"),
    [("xfs,ext4", True), ("noxfs", True), ("xfs", False), ("noext4,xfs", False)],
)
@pytest.mark.parametrize("fstype", ["", "auto"])
def test_types_that_it_may_have(
    fstype: str,
    listed: str,
    is_allowed: bool,
    run_module: RunModule,
    target: Unshared,
    place: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    image = image_of("ext4", tmp_path / "image")
    opts = f'loop,X-mount.auto-fstypes="{listed}"'
    args: Args = {"pid": target.pid, "path": str(place), "src": str(image), "opts": opts}
    result = run_module("ns_mount", {**args, "fstype": fstype})
    if is_allowed:
        assert result["mounts"][0]["fstype"] == "ext4", result
    else:
        is_failure(result, f"holds ext4, which {listed} does not allow", "Give fstype")
        # Whoever gives the type does not ask.
        assert run_module("ns_mount", {**args, "fstype": "ext4"})["changed"]
    run_module("ns_mount", {"pid": target.pid, "path": str(place), "state": "unmounted"})


def test_another_file_system_on_the_device(
    converge: Converge, target: Unshared, place: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """What was ext4 and is xfs now is mounted as that."""
    image = image_of("ext4", tmp_path / "image")
    args: Args = {"pid": target.pid, "path": str(place), "src": str(image), "opts": "loop"}
    converge("ns_mount", {**args, "fstype": "auto"})
    converge("ns_mount", {**args, "state": "unmounted"})
    image.unlink()
    image_of("xfs", image)
    assert converge("ns_mount", args)["mounts"][0]["fstype"] == "xfs"
    converge("ns_mount", {**args, "state": "unmounted"})


def with_two_signatures(path: pathlib.Path) -> None:
    new_file(path, "120m")
    run("mkfs.btrfs", "-q", str(path))
    with open(path, "rb") as image:
        image.seek(64 << 10)
        superblock = image.read(4096)
    path.unlink()
    new_file(path, "120m")
    run("mkfs.ext4", "-q", str(path))
    with open(path, "r+b") as image:
        image.seek(64 << 10)
        image.write(superblock)


def with_luks(path: pathlib.Path) -> None:
    names = [b"aes".ljust(32, b"\0"), b"xts-plain64".ljust(32, b"\0"), b"sha256".ljust(32, b"\0")]
    own = b"a5b3c1d2-0000-4000-8000-000000000001".ljust(40, b"\0")
    path.write_bytes(b"LUKS\xba\xbe\0\1" + b"".join(names) + bytes(64) + own + bytes(1 << 20))


def with_swap(path: pathlib.Path) -> None:
    new_file(path, "8m").chmod(0o600)
    run("mkswap", "-q", str(path))


def with_ext4(path: pathlib.Path) -> None:
    new_ext4(path)


OTHERS: dict[str, tuple[t.Callable[[pathlib.Path], t.Any], str, str, str]] = {
    "nothing": (lambda path: new_file(path, "8m"), "", "no file system was recognised", "make one"),
    "empty": (lambda path: path.touch(), "", "no file system was recognised", "make one"),
    "swap": (with_swap, "", "is swap space, and no file system", "swapon(8)"),
    "luks": (with_luks, "", "holds crypto_LUKS, and no file system", "cryptsetup open"),
    "several": (with_two_signatures, "", "signatures of several file systems", "wipefs"),
    "not listed": (with_ext4, "xfs,btrfs", "holds ext4, which xfs,btrfs does not allow", "fstype"),
    "excluded": (with_ext4, "noext4,xfs", "holds ext4, which noext4,xfs does not", "fstype"),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("loop", [True, False])
def test_what_is_no_file_system(
    loop: bool,
    other: str,
    run_module: RunModule,
    target: Unshared,
    place: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    make, fstype, reason, hint = OTHERS[other]
    image = tmp_path / "image"
    make(image)
    args: Args = {"pid": target.pid, "path": str(place), "fstype": fstype}
    if loop:
        is_failure(
            run_module("ns_mount", {**args, "src": str(image), "opts": "loop"}), reason, hint
        )
    else:
        with attached(image) as device:
            is_failure(run_module("ns_mount", {**args, "src": device}), reason, hint)
    assert target.mounted_on(str(place)) == []


REFUSED: dict[str, tuple[Args, str, str]] = {
    "pseudo": ({"src": "tmpfs", "fstype": "auto"}, "src 'tmpfs' is no device", "Give fstype"),
    "none": ({"src": "", "fstype": "auto"}, "src '' is no device and no image", "Give fstype"),
    "no type": ({"src": "tmpfs"}, "needs fstype", "Give fstype"),
    "directory": ({"src": "/usr"}, "src /usr is a directory", "Add bind"),
    "image": ({"src": "/etc/passwd"}, "src /etc/passwd is a file", "Add loop"),
    "no disk": ({"src": "/dev/null"}, "src /dev/null is no block device", "Name a device"),
    "nothing": ({"src": "/none/such"}, "cannot be opened on the host", "Create it"),
    "inside": ({"src": "/dev/vda", "src_in": "namespace"}, "those are the host's", "src_in: host"),
    "loop": ({"src": "/dev/null", "opts": "loop"}, "no file that could hold an image", "Name a"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, run_module: RunModule, target: Unshared, place: pathlib.Path) -> None:
    args, reason, hint = REFUSED[case]
    result = run_module("ns_mount", {"pid": target.pid, "path": str(place), **args})
    is_failure(result, reason, hint)
    assert target.mounted_on(str(place)) == []
