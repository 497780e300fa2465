# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of explained failures share: what is said, images, and loop devices."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import typing as t

from results import Result

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

IMAGE = 64 << 20


def failed(result: Result, call: str, errno: str, reason: str, hint: str) -> None:
    """The call failed so, for this reason, and with this in the hint."""
    assert result.get("failed"), result
    assert (result.get("syscall"), result["errno"]) == (call, errno), result
    assert reason in result["reason"]
    assert hint in result["hint"]
    assert result["hint"]
    assert result["reason"] in result["msg"]
    assert result["msg"].endswith(result["hint"])
    assert "Traceback" not in str(result)


@contextlib.contextmanager
def loop_device(image: pathlib.Path, *options: str) -> t.Iterator[str]:
    """A loop device that shows the image, for the block."""
    argv = ["losetup", "--show", "--find", *options, str(image)]
    device = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@contextlib.contextmanager
def without(path: str) -> t.Iterator[None]:
    """A host on which nothing can be had of the file at the path, for the block."""
    mounts.mount("/dev/null", path, flags=mounts.MS_BIND)
    try:
        yield
    finally:
        mounts.umount(path)


def image_by(path: pathlib.Path, *argv: str, size: int = IMAGE) -> pathlib.Path:
    """An image of this size, which a program like mkfs.ext4 fills: it is its last word."""
    with path.open("wb") as file:
        file.truncate(size)
    if argv:
        subprocess.run([*argv, str(path)], check=True, capture_output=True)
    return path
