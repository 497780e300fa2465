# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Who has a block device: mounts, devices on top of it, swap, and programs.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from ...process import proc
from ...syscalls import detached
from .. import block_names, table
from . import in_use

_MOST = 5
_SECONDS = 5.0


class MountedAt(t.NamedTuple):
    """A mount of the device, in some mount namespace."""

    mount: table.Mount
    # A process in that mount namespace; 0 in that of the caller.
    pid: int

    def __str__(self) -> str:
        where = f" in the mount namespace of process {self.pid}" if self.pid else ""
        return f"mounted on {self.mount.path}{where} ({self.mount.fstype})"


class Holders(t.NamedTuple):
    """What was found."""

    mounts: list[MountedAt]
    # All of it, for people.
    listed: list[str]


def of(name: str, host_proc: int) -> Holders:
    """Who has the device with this name in /sys/class/block, or a part or the whole of it.

    ``host_proc`` is the host's /proc. Processes that the caller may not look into are left out.
    """
    family = _family(name)
    numbers = {_text(f"{block_names.BLOCK}/{each}/dev") for each in family}
    mounts = mounts_of(lambda row: row.device in numbers or device_of(row) in family, host_proc)
    listed = [str(each) for each in mounts]
    for each in family:
        part = "" if each == name else f" (by {each})"
        listed += [
            f"{_on_top(upper)}{part}" for upper in _names(f"{block_names.BLOCK}/{each}/holders")
        ]
    listed += [f"used for swap (swapoff {path} ends that)" for path in _swaps(numbers, host_proc)]
    if not listed:
        rdevs = {os.makedev(*map(int, number.split(":"))) for number in numbers if number}
        users = in_use.having_open(host_proc, rdevs=rdevs)
        listed += [f"open in {in_use.listed(users)}"] if users else []
    return Holders(mounts, listed[:_MOST])


def size_of(name: str) -> int | None:
    """The size of the device with this name in /sys/class/block, in sectors; None where it is unknown."""
    text = _text(f"{block_names.BLOCK}/{name}/size")
    return int(text) if text.isdecimal() else None


def files_below(path: str, host_proc: int) -> list[str]:
    """Which files below a mount the kernel itself has open: images of loop devices, and swap.

    ``host_proc`` is the host's /proc; the names of the files are those that the caller sees. Nothing
    where the caller may not mount a sysfs to look at.
    """
    below = path.rstrip("/") + "/"
    found = []
    with contextlib.suppress(OSError), _fresh_sysfs() as sysfs:
        block = os.open("block", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=sysfs)
        try:
            for name in sorted(os.listdir(block)):
                image = proc.text_of(f"{name}/loop/backing_file", dir_fd=block).rstrip("\n")
                if image.startswith(below):
                    found.append(
                        f"{image} is attached to /dev/{name} (losetup --detach /dev/{name})"
                    )
        finally:
            os.close(block)
    for line in proc.text_of("swaps", dir_fd=host_proc).splitlines()[1:]:
        name = table.unescape(line.split()[0])
        if name.startswith(below):
            found.append(f"{name} is used for swap (swapoff {name})")
    return found[:_MOST]


@contextlib.contextmanager
def _fresh_sysfs() -> t.Iterator[int]:
    """A sysfs that is mounted nowhere: the /sys of a target may be missing, or a lie. Raises KernelError."""
    fd = detached.make_filesystem("sysfs", source="sysfs", options=(), attributes=0)
    try:
        yield fd
    finally:
        os.close(fd)


def _family(name: str) -> list[str]:
    """The device, its partitions, and the disk that it is a partition of: to hold one excludes others."""
    found = [name]
    with contextlib.suppress(OSError):
        here = os.path.realpath(f"{block_names.BLOCK}/{name}", strict=True)
        found += [each for each in _names(here) if os.path.exists(f"{here}/{each}/partition")]
    disk = block_names.disk_of(name)
    return found if disk == name else [*found, disk]


def mounts_of(matches: t.Callable[[table.Mount], bool], host_proc: int) -> list[MountedAt]:
    """The first few mounts that match, in all mount namespaces that a process lives in.

    Those of the caller come first. One that was copied into many namespaces is named once.
    """
    deadline = time.monotonic() + _SECONDS
    own = _identity("self", host_proc)
    seen: set[str | None] = set()
    found: dict[tuple[str, str], MountedAt] = {}
    for pid in ("self", *in_use.pids(host_proc)):
        identity = _identity(pid, host_proc)
        if identity in seen or (identity is None and pid != "self"):
            continue
        seen.add(identity)
        if time.monotonic() > deadline or len(found) >= _MOST:
            break
        with contextlib.suppress(OSError, ValueError):
            for row in table.read(f"{pid}/mountinfo", dir_fd=host_proc):
                key = (row.device, row.path)
                if key not in found and matches(row):
                    found[key] = MountedAt(row, 0 if identity == own else int(pid))
    return list(found.values())[:_MOST]


def device_of(row: table.Mount) -> str:
    """The name in /sys/class/block of the device that is mounted; empty where it has none."""
    if row.device.startswith("0:"):
        # The number of a btrfs is its own, not that of its device.
        name = os.path.basename(row.src) if row.src.startswith("/dev/") else ""
        return name if name and os.path.exists(f"{block_names.BLOCK}/{name}") else ""
    return block_names.of_number(row.device)


def _identity(pid: str, host_proc: int) -> str | None:
    with contextlib.suppress(OSError):
        return os.readlink(f"{pid}/ns/mnt", dir_fd=host_proc)
    return None


def _on_top(name: str) -> str:
    if name.startswith("dm-"):
        mapped = _text(f"{block_names.BLOCK}/{name}/dm/name")
        return f"part of the device-mapper device {name}" + (f" ({mapped})" if mapped else "")
    if name.startswith("md"):
        return f"part of the array {name}"
    return f"part of the device {name}"


def _swaps(numbers: t.Container[str], host_proc: int) -> list[str]:
    found = []
    for line in proc.text_of("swaps", dir_fd=host_proc).splitlines()[1:]:
        path = table.unescape(line.split()[0])
        with contextlib.suppress(OSError):
            if block_names.number_of(os.stat(path).st_rdev) in numbers:
                found.append(path)
    return found


def _names(directory: str) -> list[str]:
    with contextlib.suppress(OSError):
        return sorted(os.listdir(directory))
    return []


def _text(path: str) -> str:
    return proc.text_of(path).strip()
