# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks: loop devices with a file system each, or with partitions."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import struct
import subprocess
import typing as t
import uuid
import zlib

import pytest

IMAGE = 64 << 20
SECTOR = 512
# Of the one partition, in sectors.
FIRST, LENGTH = 2048, 16384
_LINUX = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
_ENTRIES = 128
# loop(4); a number above all that are in use.
_LOOP_CTL_ADD, _LOOP_CTL_REMOVE = 0x4C80, 0x4C81
_LAST_LOOP = 100_000


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def new_file(path: pathlib.Path, size: str) -> pathlib.Path:
    run("truncate", "-s", size, str(path))
    return path


# The least, or little more, that mkfs makes.
SIZES = {"ext4": "16m", "xfs": "300m", "btrfs": "120m"}


def new_image(fstype: str, path: pathlib.Path) -> pathlib.Path:
    """An image of one of SIZES."""
    run(f"mkfs.{fstype}", "-q", str(new_file(path, SIZES[fstype])))
    return path


def image_by(path: pathlib.Path, *argv: str, size: int = IMAGE) -> pathlib.Path:
    """An image of this size, which a program like mkfs.ext4 fills: it is its last word."""
    with path.open("wb") as file:
        file.truncate(size)
    if argv:
        subprocess.run([*argv, str(path)], check=True, capture_output=True)
    return path


def new_ext4(path: pathlib.Path, *, fsuuid: str = "", label: str = "") -> pathlib.Path:
    """An image of ext4 with this UUID and label."""
    new_file(path, "8m")
    words = ["-U", fsuuid or str(uuid.uuid4()), *(["-L", label] if label else [])]
    run("mkfs.ext4", "-q", *words, str(path))
    return path


@contextlib.contextmanager
def attached(image: str | pathlib.Path, *options: str) -> t.Iterator[str]:
    """A loop device of the image, for the block; ``options`` are for losetup(8)."""
    device = run("losetup", "--find", "--show", *options, str(image))
    try:
        yield device
    finally:
        run("losetup", "--detach", device)


@contextlib.contextmanager
def empty_loop_device() -> t.Iterator[str]:
    """One without an image, for the block; of a number that losetup(8) finds last."""
    number = _LAST_LOOP + os.getpid()
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(control, _LOOP_CTL_ADD, number)
        yield f"/dev/loop{number}"
    finally:
        fcntl.ioctl(control, _LOOP_CTL_REMOVE, number)
        os.close(control)


@contextlib.contextmanager
def partition(device: str) -> t.Iterator[str]:
    """The first partition of a disk that write_gpt() made."""
    run("addpart", device, "1", str(FIRST), str(LENGTH))
    try:
        yield f"{device}p1"
    finally:
        run("delpart", device, "1")


def write_gpt(path: pathlib.Path, *, label: str, partuuid: str) -> pathlib.Path:
    """A disk with one partition of that name and UUID (UEFI, GUID partition table)."""
    sectors = FIRST + LENGTH + 2048
    entry = _LINUX.bytes_le + uuid.UUID(partuuid).bytes_le
    entry += struct.pack("<QQQ", FIRST, FIRST + LENGTH - 1, 0)
    entries = (entry + label.encode("utf-16-le").ljust(72, b"\0")).ljust(_ENTRIES * 128, b"\0")

    def header(own: int, other: int, table: int) -> bytes:
        places = (own, other, 34, sectors - 34, uuid.uuid4().bytes_le, table)
        sums = (_ENTRIES, 128, zlib.crc32(entries))
        data = struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 1 << 16, 92, 0, 0, *places, *sums)
        return (data[:16] + struct.pack("<I", zlib.crc32(data)) + data[20:]).ljust(SECTOR, b"\0")

    protective = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff" * 3, 1, sectors - 1)
    with open(path, "wb") as disk:
        disk.truncate(sectors * SECTOR)
        disk.write(bytes(446) + protective + bytes(48) + b"\x55\xaa" + header(1, sectors - 1, 2))
        disk.write(entries)
        disk.seek((sectors - 33) * SECTOR)
        disk.write(entries + header(sectors - 1, 1, sectors - 33))
    return path


@contextlib.contextmanager
def link(path: str, device: str) -> t.Iterator[None]:
    """A link to a device such as udev makes, for the block."""
    place = pathlib.Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(device)
    try:
        yield
    finally:
        place.unlink()
        for each in (place.parent, place.parent.parent):
            with contextlib.suppress(OSError):  # others have links there
                each.rmdir()


@pytest.fixture
def place(tmp_path: pathlib.Path) -> pathlib.Path:
    """A directory to mount on."""
    (tmp_path / "mnt").mkdir()
    return tmp_path / "mnt"
