# SPDX-License-Identifier: GPL-3.0-or-later
"""A file system that is not mounted from its image: of what it holds, or of the options, and which."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import typing as t

import pytest
from disks import attached, image_by
from explained import failed, here, without
from results import RunModule
from unshared_process import Unshared

__all__ = ["here"]
Args = dict[str, t.Any]
Mounted = t.Callable[..., dict[str, t.Any]]
LOG = "/dev/kmsg"
XFS = 320 << 20  # the least that mkfs.xfs makes
BTRFS = 128 << 20


@pytest.fixture
def refused(run_module: RunModule, target: Unshared, here: pathlib.Path) -> Mounted:
    """The result of mounting an image with loop, which fails; nothing is left of it."""

    def mount(image: pathlib.Path, fstype: str, opts: str = "") -> dict[str, t.Any]:
        args = {"pid": target.pid, "path": f"{here}/mnt", "src": str(image), "fstype": fstype}
        result = run_module("ns_mount", {**args, "opts": f"loop,{opts}"})
        assert target.mounted_on(f"{here}/mnt") == []
        return result

    return mount


def needs_kernel_log() -> None:
    try:
        os.close(os.open(LOG, os.O_RDONLY | os.O_NONBLOCK))
    except OSError as error:
        pytest.skip(f"{LOG} cannot be read: {error.strerror}")


@pytest.mark.parametrize("opts", ["pquota", "uquota", "gquota"])
def test_an_option_that_the_kernel_was_not_built_for(
    refused: Mounted, run_module: RunModule, target: Unshared, here: pathlib.Path, opts: str
) -> None:
    needs_kernel_log()
    image = image_by(here / "image", "mkfs.xfs", "-q", size=XFS)
    result = refused(image, "xfs", opts)
    if not result.get("failed"):
        pytest.skip("this kernel has quotas of xfs")
    reason = (
        f"{image} holds an xfs file system, which this kernel does not mount with these options: "
        f"{opts}; the kernel says: XFS (loop"
    )
    failed(result, "fsconfig", "EINVAL", reason, f"Correct {opts} in opts, or leave it out.")
    assert "quota support not available" in result["reason"]
    args = {"pid": target.pid, "path": f"{here}/mnt", "src": str(image), "fstype": "xfs"}
    assert not run_module("ns_mount", {**args, "opts": "loop"}).get("failed")
    run_module("ns_mount", {**args, "state": "unmounted"})


def test_an_option_that_does_not_fit_the_file_system(refused: Mounted, here: pathlib.Path) -> None:
    needs_kernel_log()
    image = image_by(here / "image", "mkfs.btrfs", "-q", size=BTRFS)
    result = refused(image, "btrfs", "nospace_cache")
    reason = (
        f"{image} holds a btrfs file system, which this kernel does not mount with these options"
    )
    failed(result, "fsconfig", "EINVAL", reason, "Correct nospace_cache in opts, or leave it out.")
    assert "cannot disable free-space-tree" in result["reason"]
    result = refused(image, "btrfs", "norecovery")
    failed(result, "fsconfig", "EINVAL", "must be used with ro mount option", "Add ro to opts")


def test_an_option_that_the_file_system_refuses_at_once(
    refused: Mounted, here: pathlib.Path
) -> None:
    image = image_by(here / "image", "mkfs.btrfs", "-q", size=BTRFS)
    result = refused(image, "btrfs", "thread_pool=0")
    assert result["errno"] == "EINVAL"
    assert "thread_pool" in result["reason"]
    assert "holds" not in result["reason"]


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        ("FEATURE_I20", "unsupported optional features (100000)"),
        ("casefold", "CONFIG_UNICODE"),
        ("quota", "CONFIG_QUOTA"),
    ],
)
def test_a_feature_that_the_kernel_lacks(
    refused: Mounted, here: pathlib.Path, feature: str, said: str
) -> None:
    needs_kernel_log()
    made = [] if feature.startswith("FEATURE") else ["-O", feature]
    image = image_by(here / "image", "mkfs.ext4", "-q", *made)
    if not made:
        argv = ["debugfs", "-w", "-R", f"feature +{feature}", str(image)]
        subprocess.run(argv, check=True, capture_output=True)
    result = refused(image, "ext4")
    if not result.get("failed"):
        pytest.skip(f"this kernel has the feature {feature}")
    reason = f"{image} holds an ext4 file system that this kernel does not mount; the kernel says: "
    failed(result, "fsconfig", "EINVAL", reason, "make the file system without it, or use a kernel")
    assert said in result["reason"]


def test_a_feature_with_which_it_can_only_be_read(
    refused: Mounted, run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    needs_kernel_log()
    image = image_by(here / "image", "mkfs.ext4", "-q")
    argv = ["debugfs", "-w", "-R", "feature +FEATURE_R20", str(image)]
    subprocess.run(argv, check=True, capture_output=True)
    result = refused(image, "ext4")
    failed(result, "fsconfig", "EINVAL", "couldn't mount RDWR", "Add ro to opts")
    args = {"pid": target.pid, "path": f"{here}/mnt", "src": str(image), "fstype": "ext4"}
    assert not run_module("ns_mount", {**args, "opts": "loop,ro"}).get("failed")
    run_module("ns_mount", {**args, "state": "unmounted"})


def test_a_compression_that_the_kernel_lacks(refused: Mounted, here: pathlib.Path) -> None:
    (here / "src/file").write_text("x" * 10000)
    image = here / "image"
    argv = ["mksquashfs", str(here / "src"), str(image), "-quiet", "-no-progress", "-comp", "lzma"]
    if subprocess.run(argv, check=False, capture_output=True).returncode:
        pytest.skip("this mksquashfs does not make lzma")
    result = refused(image, "squashfs", "ro")
    reason = "holds a squashfs file system that this kernel does not mount; the kernel says: "
    failed(result, "fsconfig", "EINVAL", reason, "make the file system without it")
    assert '"lzma"' in result["reason"]


@pytest.mark.parametrize("fstype", ["ext2", "ext3", "xfs", "btrfs", "squashfs", "erofs"])
def test_another_type_is_named(refused: Mounted, here: pathlib.Path, fstype: str) -> None:
    image = image_by(here / "image", "mkfs.ext4", "-q")
    result = refused(image, fstype, "ro")
    reason = f"{image} holds an ext4 file system, not {fstype}"
    failed(result, "fsconfig", "EINVAL", reason, "Use fstype: ext4.")


def test_what_is_no_file_system_is_named(refused: Mounted, here: pathlib.Path) -> None:
    swap = image_by(here / "swap", "mkswap")
    reason = f"{swap} is swap space, and no file system"
    failed(refused(swap, "ext4"), "fsconfig", "EINVAL", reason, "swapon(8)")
    journal = image_by(here / "journal", "mke2fs", "-q", "-O", "journal_dev")
    reason = f"{journal} is the journal of another file system"
    failed(refused(journal, "ext4"), "fsconfig", "EINVAL", reason, "Name the device of that one")
    empty = image_by(here / "empty")
    reason = f"{empty} holds no xfs file system, nor any other that blkid(8) knows"
    failed(refused(empty, "xfs"), "fsconfig", "EINVAL", reason, "make the file system first")
    with empty.open("r+b") as file:  # a table of partitions as of DOS, with one from sector 2048 on
        file.seek(446)
        entry = bytes([0x80, 0, 2, 0, 0x83, 0, 0, 0])
        file.write(entry + (2048).to_bytes(4, "little") + (40960).to_bytes(4, "little"))
        file.seek(510)
        file.write(b"\x55\xaa")
    reason = f"{empty} holds a table of partitions (dos), and no file system"
    failed(refused(empty, "ext4"), "fsconfig", "EINVAL", reason, "Name a partition")
    both = image_by(here / "both", "mkfs.btrfs", "-q", size=BTRFS)
    left = image_by(here / "left", "mkfs.ext4", "-q").read_bytes()[1024:2048]
    with both.open("r+b") as file:
        file.seek(1024)
        file.write(left)
    reason = f"{both} has the signatures of several file systems"
    failed(refused(both, "xfs"), "fsconfig", "EINVAL", reason, "wipefs")


def test_what_is_damaged_or_cut_short(refused: Mounted, here: pathlib.Path) -> None:
    needs_kernel_log()
    cut = image_by(here / "cut", "mkfs.ext4", "-q")
    os.truncate(cut, 16 << 20)
    hint = "It is damaged or cut short: check it (e2fsck)"
    failed(refused(cut, "ext4"), "fsconfig", "EINVAL", "exceeds size of device", hint)
    damaged = image_by(here / "damaged", "mkfs.ext4", "-q")
    with damaged.open("r+b") as file:
        file.seek(1024 + 0x78)  # the label, which the superblock's checksum covers
        file.write(b"damaged")
    reason = f"{damaged} holds an ext4 file system that is damaged or cut short; the kernel says: "
    failed(refused(damaged, "ext4"), "fsconfig", "EBADMSG", reason, "Check it (e2fsck)")
    short = image_by(here / "short", "mkfs.xfs", "-q", size=XFS)
    os.truncate(short, 20 << 20)
    reason = f"{short} holds an xfs file system that is damaged or cut short"
    failed(refused(short, "xfs"), "fsconfig", "EIO", reason, "Check it (xfs_repair -n)")


def test_the_same_uuid_as_a_mounted_one(
    refused: Mounted, run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    one = image_by(here / "one", "mkfs.xfs", "-q", size=XFS)
    two = pathlib.Path(shutil.copy(one, here / "two"))
    with attached(one) as device:
        args = {"pid": target.pid, "path": f"{here}/other", "fstype": "xfs"}
        assert not run_module("ns_mount", {**args, "src": device}).get("failed")
        try:
            result = refused(two, "xfs")
            reason = (
                f"{two} holds an xfs file system with the UUID of another one, which is mounted "
                f"already: {device} is mounted on {here}/other in the mount namespace of process "
            )
            failed(result, "fsconfig", "EINVAL", reason, "Add nouuid to opts")
            again = {**args, "path": f"{here}/mnt", "src": str(two), "opts": "loop,nouuid"}
            assert not run_module("ns_mount", again).get("failed")
            run_module("ns_mount", {"pid": target.pid, "path": f"{here}/mnt", "state": "unmounted"})
        finally:
            run_module("ns_mount", {**args, "state": "unmounted"})


def test_a_subvolume_that_is_not_there(refused: Mounted, here: pathlib.Path) -> None:
    image = image_by(here / "image", "mkfs.btrfs", "-q", size=BTRFS)
    for opts in ("subvol=@home", "subvolid=999"):
        result = refused(image, "btrfs", opts)
        reason = f"{image} holds a btrfs file system that has no subvolume"
        failed(result, "fsconfig", "ENOENT", reason, "btrfs subvolume list")
        assert opts in result["reason"]


def test_one_of_two_devices(refused: Mounted, here: pathlib.Path) -> None:
    needs_kernel_log()
    one, two = (image_by(here / name, size=BTRFS) for name in ("one", "two"))
    with attached(one) as first, attached(two) as second:
        argv = ["mkfs.btrfs", "-q", "-f", "-m", "raid1", "-d", "raid1", first, second]
        subprocess.run(argv, check=True, capture_output=True)
    subprocess.run(["btrfs", "device", "scan", "--forget"], check=False)
    result = refused(one, "btrfs")
    reason = f"{one} holds a btrfs file system of several devices, of which one is missing"
    failed(result, "fsconfig", "ENOENT", reason, "add degraded")
    assert "devid 2" in result["reason"]


def test_a_journal_on_what_can_only_be_read(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    needs_kernel_log()
    image = image_by(here / "image", "mkfs.ext4", "-q")
    args = {"pid": target.pid, "path": f"{here}/mnt", "fstype": "ext4"}
    with attached(image) as device:
        run_module("ns_mount", {**args, "src": device})
        target.run("sh", "-c", f"echo >'{here}/mnt/file'; sync -f '{here}/mnt/file'")
        left = pathlib.Path(shutil.copy(image, here / "left"))  # as after a power cut
        run_module("ns_mount", {**args, "state": "unmounted"})
    with attached(left, "--read-only") as device:
        result = run_module("ns_mount", {**args, "src": device, "opts": "ro"})
        reason = f"{device} holds an ext4 file system whose journal has to be replayed"
        failed(result, "fsconfig", result["errno"], reason, "or add noload to opts")
        assert not run_module("ns_mount", {**args, "src": device, "opts": "ro,noload"}).get(
            "failed"
        )
        run_module("ns_mount", {**args, "state": "unmounted"})


def test_what_the_image_says_of_itself_is_printable(refused: Mounted, here: pathlib.Path) -> None:
    """A label, and what the kernel quotes of it, are whatever the maker of the image likes."""
    image = image_by(here / "image", "mkfs.ext4", "-q", "-L", "\x1b[31mred\nH: x")
    result = refused(image, "xfs")
    failed(result, "fsconfig", "EINVAL", "holds an ext4 file system, not xfs", "Use fstype: ext4.")
    assert re.search(r"[^ -~]", result["msg"]) is None


@pytest.mark.parametrize(
    ("fstype", "opts", "said"),
    [
        ("ext4", "data=journal", "the kernel says: EXT4-fs: Cannot change data mode on remount"),
        ("ext4", "nodelalloc", "can't disable delalloc during remount"),
        ("btrfs", "thread_pool=0", "the kernel says: BTRFS error: invalid value 0 for thread_pool"),
        ("btrfs", "nospace_cache", "cannot disable free-space-tree"),
    ],
)
def test_an_option_that_a_mounted_one_does_not_take(
    run_module: RunModule,
    target: Unshared,
    here: pathlib.Path,
    fstype: str,
    opts: str,
    said: str,
) -> None:
    """A remount names neither type nor device: both are those of the mount."""
    needs_kernel_log()
    image = image_by(here / "image", f"mkfs.{fstype}", "-q", size=BTRFS)
    args: Args = {"pid": target.pid, "path": f"{here}/mnt"}
    given = {**args, "src": str(image), "fstype": fstype, "opts": "loop"}
    assert not run_module("ns_mount", given).get("failed")
    try:
        result = run_module("ns_mount", {**args, "state": "remounted", "opts": opts})
        failed(result, "fsconfig", "EINVAL", said, "needs it unmounted first")
    finally:
        run_module("ns_mount", {**args, "state": "unmounted"})


def test_huge_pages_that_the_host_does_not_have(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    args = {"pid": target.pid, "path": f"{here}/mnt", "fstype": "hugetlbfs"}
    result = run_module("ns_mount", {**args, "opts": "min_size=4096G"})
    reason = "the host has not as many huge pages free as min_size asks for"
    failed(result, "fsconfig", "ENOMEM", reason, "vm.nr_hugepages")
    needs_kernel_log()
    result = run_module("ns_mount", {**args, "opts": "pagesize=3"})
    reason = "the kernel says: hugetlbfs: Unsupported page size"
    failed(result, "fsconfig", "EINVAL", reason, "Correct opts.")
    result = run_module("ns_mount", {**args, "opts": "size=10m,min_size=20m"})
    reason = "the kernel says: hugetlbfs: Minimum size can not be greater than maximum size"
    failed(result, "fsconfig", "EINVAL", reason, "Correct opts.")


def test_types_that_are_none_or_need_a_program(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    args = {"pid": target.pid, "path": f"{here}/mnt", "src": f"{here}/src"}
    result = run_module("ns_mount", {**args, "fstype": "bind"})
    failed(result, "fsopen", "ENODEV", "bind is no type of file systems", "add bind to opts")
    result = run_module("ns_mount", {**args, "fstype": "fuse.sshfs", "src": "host:"})
    reason = "a file system of the type fuse.sshfs is mounted by the program that serves it"
    failed(result, "fsconfig", "EINVAL", reason, "Run that program")


def test_without_the_right_to_read_the_kernel_log(refused: Mounted, here: pathlib.Path) -> None:
    """What the superblock says is said all the same, and where to look for more."""
    image = image_by(here / "image", "mkfs.ext4", "-q")
    with without(LOG):
        result = refused(image, "ext4", "journal_dev=0x700")
        reason = (
            f"{image} holds an ext4 file system, which this kernel does not mount with these options: "
            "journal_dev=0x700"
        )
        failed(
            result, "fsconfig", "EINVAL", reason, "The kernel's own log may say more: see dmesg."
        )
        assert result["reason"] == reason
        os.truncate(image, 16 << 20)
        result = refused(image, "ext4")
        reason = f"{image} holds an ext4 file system that this kernel does not mount"
        failed(result, "fsconfig", "EINVAL", reason, "else check it (e2fsck)")


def test_without_blkid(refused: Mounted, here: pathlib.Path) -> None:
    blkid = shutil.which("blkid", path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert blkid is not None
    image = image_by(here / "image", "mkfs.ext4", "-q")
    with without(os.path.realpath(blkid)):
        result = refused(image, "xfs")
    reason = f"{image} holds no xfs file system that this kernel understands, or opts do not fit it"
    failed(
        result, "fsconfig", "EINVAL", reason, "Correct fstype (blkid shows what it holds), or opts"
    )
