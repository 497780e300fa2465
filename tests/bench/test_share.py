# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to have a new root take no room for what it has in common with the one before it."""

from __future__ import annotations

import os
import pathlib
import resource
import subprocess

import pytest
from disks import attached, image_by

from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.share_equal import (
    share_equal,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

# As large as the root of a small service: some 10,000 files and 200 MB.
CONTENT = ("etc", "usr/lib/python3", "usr/share/perl", "usr/share/doc", "usr/share/i18n")
DISK = 2 << 30
# Two names of a file are as much to note as a file.
LIMIT = 3


def processors() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


@pytest.mark.parametrize("fstype", ["ext4", "xfs", "btrfs"])
def test_it_costs_little_beside_unpacking(fstype: str, tmp_path: pathlib.Path) -> None:
    """Of the processors' time, beside that of tar: see test_rootfs.py."""
    archive, place = tmp_path / "root.tar", tmp_path / "disk"
    place.mkdir()
    there = [name for name in CONTENT if pathlib.Path("/", name).exists()]
    subprocess.run(["tar", "-cf", archive, "--xattrs", "-C", "/", *there], check=True)
    image = image_by(tmp_path / "image", f"mkfs.{fstype}", "-q", size=DISK)
    with attached(image) as device:
        mounts.mount(device, str(place), fstype=fstype)
        try:
            begun = processors()
            for name in ("old", "new"):
                (place / name).mkdir()
                subprocess.run(["tar", "--xattrs", "-xpf", archive, "-C", place / name], check=True)
            subprocess.run(["sync", "--file-system", place], check=True)
            unpacked, free = processors(), os.statvfs(place)
            shared = share_equal(str(place / "new"), str(place / "old"), may_link=True)
            done = processors()
            subprocess.run(["sync", "--file-system", place], check=True)
            gained = (os.statvfs(place).f_bfree - free.f_bfree) * free.f_frsize
        finally:
            mounts.umount(str(place))
    by_tar, own = (unpacked - begun) / 2, done - unpacked
    print(
        f"\nshared on {fstype} by {shared.by}: {shared.files} files, {gained >> 20} MB, in {own:.2f} s "
        f"of the processors; tar takes {by_tar:.2f} s"
    )
    assert gained >= 0.9 * shared.bytes
    assert own <= LIMIT * by_tar
