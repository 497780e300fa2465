# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_mount: options that the kernel shows in another spelling, or not at all, stay unchanged."""

from __future__ import annotations

import contextlib
import os
import pathlib
import typing as t

import pytest
from command import Nsctl
from disks import SIZES, new_image, run
from mounted import words_on
from results import Converge, RunModule, is_failure
from unshared_process import Unshared, UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths

NAME = "test-spelling"
# File system, what it is first mounted with, and then.
WORDS = [
    ("btrfs", "compress=zstd", "compress=lzo"),
    ("btrfs", "compress=zstd,noatime", "compress=zstd:9"),
    ("btrfs", "subvol=@home", "subvol=/"),
    ("btrfs", "subvol=@home,compress-force=zlib,ssd,discard=async", "subvol=@home,nossd"),
    ("btrfs", "autodefrag,flushoncommit,commit=10,thread_pool=2", "commit=20"),
    ("btrfs", "defaults,nodatacow,enospc_debug,max_inline=1k", "max_inline=2048"),
    ("xfs", "logbufs=4,logbsize=32k", "logbufs=4,logbsize=32k,wsync"),
    ("xfs", "allocsize=64m,inode64,attr2,noquota", "allocsize=64m,inode32"),
    ("xfs", "nouuid,largeio,swalloc,filestreams", "nouuid,nolargeio"),
    ("ext4", "errors=remount-ro,data=ordered,barrier=1", "errors=continue"),
    ("ext4", "acl,user_xattr,journal_checksum,commit=5", "commit=7"),
    ("ext4", "delalloc,auto_da_alloc,init_itable=5,stripe=16", "noauto_da_alloc"),
    ("ext4", "nobarrier,discard,min_batch_time=100,dioread_nolock", "barrier,nodiscard"),
    ("ext4", "block_validity,inode_readahead_blks=16,i_version", "noblock_validity"),
    ("tmpfs", "size=10m,nr_inodes=1k,mode=0700", "size=12m"),
    ("tmpfs", "size=25%,huge=never,inode64", "size=26%"),
    ("tmpfs", "mpol=interleave:0-0,size=1g", "mpol=prefer:0,size=1g"),
    ("ramfs", "mode=0700", "mode=0711"),
    ("hugetlbfs", "pagesize=2M,size=4m,mode=0700", "pagesize=2M,size=8m"),
    ("hugetlbfs", "size=50%,nr_inodes=64", "size=25%"),
    ("proc", "hidepid=2,gid=4", "hidepid=invisible,subset=pid"),
    ("devpts", "gid=5,mode=620,ptmxmode=0666,newinstance", "gid=5,mode=600,ptmxmode=0"),
    ("sysfs", "defaults", "nosuid,ro"),
]


def source_of(fstype: str, directory: pathlib.Path) -> tuple[str, str]:
    """What to mount, and the word that this needs."""
    if fstype not in SIZES:
        return fstype, "defaults"
    image = new_image(fstype, directory / "image")
    if fstype == "btrfs":
        run("mount", "-o", "loop", str(image), str(directory))
        try:
            run("btrfs", "subvolume", "create", f"{directory}/@home")
        finally:
            run("umount", str(directory))
    return str(image), "loop"


@pytest.fixture
def target(unshared_process: UnsharedProcess) -> t.Iterator[Unshared]:
    yield unshared_process()
    # It ends without an unmount: what was noted of it goes with the next note.
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(host_paths.MEANINGS):
            os.unlink(f"{host_paths.MEANINGS}/{name}")
        os.rmdir(host_paths.MEANINGS)


@pytest.mark.parametrize(("fstype", "first", "then"), WORDS)
def test_unchanged_is_unchanged(
    fstype: str,
    first: str,
    then: str,
    converge: Converge,
    target: Unshared,
    tmp_path: pathlib.Path,
) -> None:
    src, word = source_of(fstype, tmp_path)
    place = tmp_path / "mnt"
    place.mkdir()
    wanted = {"pid": target.pid, "path": str(place), "src": src, "fstype": fstype}
    made_first = converge("ns_mount", {**wanted, "opts": f"{word},{first}"})
    assert made_first["changed"]
    assert converge("ns_mount", {**wanted, "opts": f"{word},{then}"})["changed"]
    converge("ns_mount", {"pid": target.pid, "path": str(place), "state": "unmounted"})
    assert not os.path.exists(host_paths.MEANINGS)


def test_what_is_not_taken(
    converge: Converge, run_module: RunModule, target: Unshared, tmp_path: pathlib.Path
) -> None:
    """The kernel takes this of a mounted xfs, and leaves it as it was."""
    src, word = source_of("xfs", tmp_path)
    place = tmp_path / "mnt"
    place.mkdir()
    args = {"pid": target.pid, "path": str(place), "src": src, "fstype": "xfs"}
    converge("ns_mount", {**args, "opts": f"{word},allocsize=64m"})
    for _round in range(2):
        result = run_module("ns_mount", {**args, "opts": f"{word},allocsize=128m"})
        is_failure(result, "the kernel took allocsize=128m, and still shows rw", "unmounted first")
        assert "allocsize=65536k" in words_on(target, place)
    assert not converge("ns_mount", {**args, "opts": f"{word},allocsize=65536k"})["changed"]


def test_a_default_that_is_not_set_again(
    converge: Converge, run_module: RunModule, target: Unshared, tmp_path: pathlib.Path
) -> None:
    """The kernel keeps the policy of what is mounted."""
    args = {"pid": target.pid, "path": str(tmp_path), "src": "x", "fstype": "tmpfs"}
    converge("ns_mount", {**args, "opts": "mpol=local"})
    result = run_module("ns_mount", {**args, "opts": "mpol=default"})
    is_failure(result, "the kernel took mpol=default, and still shows", "unmounted first")
    converge("ns_mount", {**args, "state": "unmounted"})
    converge("ns_mount", {**args, "opts": "mpol=default"})


@pytest.mark.parametrize("content", ["", "{}", '{"mounts": [{"id": 1}]}', "[" * 9999])
def test_damaged_notes(
    content: str,
    converge: Converge,
    target: Unshared,
    tmp_path: pathlib.Path,
) -> None:
    """They are made anew: what they are about is set once more."""
    src, word = source_of("btrfs", tmp_path)
    place = tmp_path / "mnt"
    place.mkdir()
    wanted = {"pid": target.pid, "path": str(place), "src": src, "fstype": "btrfs"}
    wanted["opts"] = f"{word},compress=zstd,autodefrag"
    converge("ns_mount", wanted)
    (name,) = os.listdir(host_paths.MEANINGS)
    pathlib.Path(host_paths.MEANINGS, name).write_text(content, encoding="utf-8")
    again = converge("ns_mount", wanted)
    assert again["actions"] == [f"change options of {place}: compress=zstd"]


@pytest.fixture
def web(run_module: RunModule) -> t.Iterator[str]:
    assert run_module("ns_namespace", {"name": NAME})["changed"]
    yield NAME
    run_module("ns_namespace", {"name": NAME, "state": "absent", "force": True})


def test_of_a_named_namespace(
    converge: Converge, web: str, nsctl: Nsctl, tmp_path: pathlib.Path
) -> None:
    """Its notes go with it, and come again with it."""
    src, word = source_of("btrfs", tmp_path)
    place = tmp_path / "mnt"
    place.mkdir()
    wanted = {"namespace": web, "path": str(place), "src": src, "fstype": "btrfs"}
    converge("ns_mount", {**wanted, "opts": f"{word},subvol=@home,compress=zstd,autodefrag"})
    assert os.listdir(host_paths.MEANINGS)
    nsctl("down", web)
    assert not os.path.exists(host_paths.MEANINGS)
    nsctl("up", web)
    assert os.listdir(host_paths.MEANINGS)
    again = converge(
        "ns_mount", {**wanted, "opts": f"{word},subvol=@home,compress=zstd,autodefrag"}
    )
    assert not again["changed"]
    assert nsctl("up", web).stdout == f"{web}: up already\n"
