# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a question about a path is about: a part of a file system, a block device, or an image.

The path is looked up in a process that is given up where a file system on the way does not answer;
then, and where nothing is there, its text and the mount table of the host say what they can.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t

from ..definition.layout import is_below
from ..mount import block_devices, block_names, loop
from ..mount.table import Mount
from ..process import pool, proc
from ..syscalls import files

# How long a file system may take to say what is at a path, in seconds.
_PATIENCE = 2.0
# What mount tables add to the root of a mount that was removed (proc_pid_mountinfo(5)).
REMOVED = "//deleted"


class Part(t.NamedTuple):
    """A part of a file system, as mount tables name it."""

    # "major:minor".
    device: str
    # The path in the file system.
    root: str


class Subject(t.NamedTuple):
    """What was asked about."""

    # As it was given, but absolute.
    path: str
    # The same without links; as it was given where it could not be looked up.
    real: str
    # mount, directory, file, device; "absent" where nothing is there.
    kind: str
    # False where a file system did not answer.
    answers: bool
    # What holds any of these holds it.
    parts: tuple[Part, ...] = ()
    # The block devices that it is or that show it, by their numbers.
    devices: t.Mapping[str, str] = {}
    # What mount tables may call those.
    names: frozenset[str] = frozenset()

    @property
    def is_mount(self) -> bool:
        """Whether it is the mount that counts, and not what other ways lead to the same files."""
        return self.kind == "mount"

    def covers(self, part: Part) -> bool:
        """Whether this part of a file system is it, or lies in it."""
        return any(
            part.device == each.device
            and is_below(part.root, each.root)
            # What was removed is another directory than the one that is there now.
            and (self.kind == "absent" or part.root != each.root + REMOVED)
            for each in self.parts
        )

    def is_of(self, mount: Mount) -> bool:
        """Whether the mount shows nothing else than it, or of it."""
        if self.covers(Part(mount.device, mount.root)):
            return True
        # The number of a btrfs is its own, not that of its device.
        return mount.device.startswith("0:") and mount.src in self.names

    def within(self, mount: Mount) -> str:
        """The path at which a mount of more than it shows it; empty for any other mount."""
        for each in self.parts:
            if mount.device == each.device and is_below(each.root, mount.root):
                rest = each.root[len(mount.root.rstrip("/")) :]
                return mount.path.rstrip("/") + rest or "/"
        return ""


def at(mounts: t.Sequence[Mount], path: str) -> Mount | None:
    """The mount that a path without links lies on, by its text. Pure."""
    found = None
    for mount in mounts:  # of those at one path the last one is on top
        if is_below(path, mount.path) and (found is None or len(mount.path) >= len(found.path)):
            found = mount
    return found


def part_at(mounts: t.Sequence[Mount], path: str) -> Part:
    """What a path without links leads to, by its text. Pure."""
    mount = at(mounts, path)
    if mount is None:
        return Part("", "")
    rest = path[len(mount.path.rstrip("/")) :].rstrip("/")
    return Part(mount.device, mount.root.rstrip("/") + rest or "/")


def of(path: str, host: t.Sequence[Mount]) -> Subject:
    """What the path of the host is about; ``host`` are the mounts there."""
    given = os.path.join(os.getcwd(), path)
    path = os.path.normpath(given)
    path = path[1:] if path.startswith("//") else path
    (seen,) = pool.run(1, lambda _only: _seen(given), limit=_PATIENCE)
    if seen is None or "errno" in seen:
        is_gone = seen is not None and seen["errno"] in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
        return by_text(path, host, answers=is_gone)
    real = seen["real"]
    mount = next((each for each in host if each.id == seen["mount"]), None)
    numbers: dict[str, str] = seen["devices"]
    parts = [Part(number, "/") for number in numbers]
    if mount is not None and seen["kind"] != "device":
        rest = real[len(mount.path.rstrip("/")) :]
        parts.append(Part(mount.device, mount.root.rstrip("/") + rest or "/"))
    return Subject(path, real, seen["kind"], True, tuple(parts), numbers, frozenset(seen["names"]))


def by_text(path: str, host: t.Sequence[Mount], *, answers: bool) -> Subject:
    """What the path is about where nothing is there, or nothing answers. Pure."""
    mount = at(host, path)
    is_mount = mount is not None and mount.path == path and not answers
    part = part_at(host, path)
    kind = "mount" if is_mount else "absent"
    return Subject(path, path, kind, answers, (part,) if part.device else ())


def _seen(path: str) -> dict[str, t.Any]:
    try:
        # Nothing is mounted by that: automounts are left as they are (open(2)).
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        place = files.place_of(fd)
        mode = os.fstat(fd).st_mode
    except OSError as error:
        return {"errno": error.errno}
    kind = "directory" if stat.S_ISDIR(mode) else "file"
    devices: dict[str, str] = {}
    names: set[str] = set()
    if stat.S_ISBLK(mode):
        found = block_devices.at(path)
        kind = "device"
        if found is not None:
            devices, names = {found.number: found.path}, {*found.names}
    elif place.is_mount_root:
        kind = "mount"
    if stat.S_ISREG(mode):
        with contextlib.suppress(OSError):  # no rights, no loop devices
            devices = {each.number: each.path for each in loop.devices_of(fd)}
    for number in [*devices]:
        _add_upper(number, devices)
    return {
        "real": os.readlink(f"/proc/self/fd/{fd}"),
        "mount": place.mount_id,
        "kind": kind,
        "devices": devices,
        "names": [*{*names, *devices.values()}],
    }


def _add_upper(number: str, devices: dict[str, str]) -> None:
    """What lies on the device: its partitions, and what the device mapper and arrays make of it."""
    name = block_names.of_number(number)
    here = os.path.realpath(f"{block_names.BLOCK}/{name}") if name else ""
    upper = [each for each in _listed(here) if os.path.exists(f"{here}/{each}/partition")]
    for each in (*upper, *_listed(f"{here}/holders")):
        own = proc.text_of(f"{block_names.BLOCK}/{each}/dev").strip()
        if own and own not in devices:
            devices[own] = f"/dev/{each.replace('!', '/')}"
            _add_upper(own, devices)


def _listed(directory: str) -> list[str]:
    with contextlib.suppress(OSError):
        return sorted(os.listdir(directory))
    return []
