# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Who uses a directory: mounts of it in any mount namespace, overlays, and processes in it.

All of it is read from the host's /proc, by which every mount namespace is seen that a process
or a name keeps alive.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
import typing as t

from ..definition.layout import is_below
from ..errors import KernelError
from ..mount import layers, resolve
from ..mount import table as mount_table
from ..mount.compare import LoopDevice, is_on
from ..mount.table import Mount
from ..namespace import enter, pins
from ..namespace.target import Target
from ..process import proc
from .site import WITHIN, Location

_LINKS = ("root", "cwd", "exe")
_SAMPLES = 8
# Overlayfs may tell the layer in the upper bits of an inode number (xino).
_INODE = 0xFFFFFFFF


class _Namespace(t.NamedTuple):
    """A mount namespace, seen through one of its processes or, without one, by its name."""

    # 0 without a process in it.
    pid: int
    # Empty where it is seen through a process.
    name: str
    mounts: list[Mount]

    def __str__(self) -> str:
        if self.pid:
            return f"the mount namespace of process {self.pid}"
        return f"namespace {self.name}"


class Usage:
    """The mounts of all mount namespaces and what all processes stand in, read once."""

    def __init__(self) -> None:
        self._namespaces: list[_Namespace] = []
        # Pid, a path that it stands in or runs, and the device of that.
        self._processes: list[tuple[int, str, int]] = []
        seen: set[int] = set()
        for pid in proc.all_pids():
            identity = proc.ids_of_process(pid, ["mnt"]).get("mnt")
            if identity is not None and identity not in seen:
                mounts: list[Mount] = []
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    mounts = mount_table.read(f"/proc/{pid}/mountinfo")
                if mounts:
                    seen.add(identity)
                    self._namespaces.append(_Namespace(pid, "", mounts))
            for link in _LINKS:
                # It may have ended meanwhile, or be a kernel thread.
                with contextlib.suppress(OSError):
                    name = f"/proc/{pid}/{link}"
                    self._processes.append((pid, os.readlink(name), os.stat(name).st_dev))
        for name in pins.names():
            if pins.pinned(name).get("mnt", 0) not in {0, *seen}:
                mounts = _inside(name, _own_mounts)
                self._namespaces.append(_Namespace(0, name, mounts))

    def mounts_of(self, device: LoopDevice, *, but: int) -> list[str]:
        """Where the device is mounted, for people, but for the mount with that number."""
        return [
            f"{mount.path} in {namespace}"
            for namespace in self._namespaces
            for mount in namespace.mounts
            if mount.id != but and is_on(mount, device.number, {device.path})
        ]

    def of(
        self, location: Location, *, named: str, on_host: bool, itself_mounted: bool = False
    ) -> list[str]:
        """What uses the directory, for people; empty where nothing does.

        ``named`` is the path it has, or had when overlays were mounted: they keep telling the
        path that they were given. ``on_host``: its path is one of the host's.
        ``itself_mounted``: it is the root of a mount, which alone is no use of it.
        """
        users = []
        for namespace in self._namespaces:
            for mount in namespace.mounts:
                if mount.device == location.device and is_below(mount.root, location.root):
                    if not itself_mounted:
                        users.append(f"{mount.path} in {namespace}")
                elif _mentions(mount, (named, location.path)) and not (
                    on_host and _shows_another(namespace, mount, location.path)
                ):
                    users.append(f"an overlay on {mount.path} in {namespace}")
        # What stands in there is a run of ns_rootfs that ends.
        workspace = f"{location.path.rstrip('/')}/{WITHIN}"
        for pid, path, device in self._processes:
            # Another mount namespace may have another file system by that path.
            is_there = device == location.number and is_below(path, location.path)
            if is_there and not is_below(path, workspace):
                users.append(f"process {pid}")
        return list(dict.fromkeys(users))


def _mentions(mount: Mount, directories: t.Collection[str]) -> bool:
    """Whether it is an overlay with one of the directories, or one below, as a layer."""
    if mount.fstype != "overlay":
        return False
    pairs = mount_table.pairs_of(mount.options)
    return any(
        is_below(layer.path, directory)
        for layer in layers.of(pairs, shown=True)
        for directory in directories
    )


def _shows_another(namespace: _Namespace, mount: Mount, directory: str) -> bool:
    """Whether the overlay certainly shows another directory than this one.

    A file that was not changed has the inode number in an overlay that it has in its layer.
    """
    samples = _files_below(directory)
    look = functools.partial(_inodes, mount.path, list(samples))
    try:
        if namespace.pid:
            root = os.open(f"/proc/{namespace.pid}/root", os.O_PATH | os.O_DIRECTORY)
            try:
                shown = look(root)
            finally:
                os.close(root)
        else:
            shown = _inside(namespace.name, lambda _proc: look(_own_root()))
    except OSError:
        return False
    for name, inode in shown.items():
        if inode & _INODE == samples[name] & _INODE:
            return False
    return bool(shown)


def _files_below(directory: str) -> dict[str, int]:
    """A few files with their inode numbers, by their paths from the directory."""
    found: dict[str, int] = {}
    for above, _directories, names in os.walk(directory):
        for name in names:
            path = os.path.join(above, name)
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                continue  # another run is removing it
            if stat.S_ISREG(status.st_mode):
                found[os.path.relpath(path, directory)] = status.st_ino
            if len(found) == _SAMPLES:
                return found
    return found


def _inodes(mount_path: str, names: list[str], root: int) -> dict[str, int]:
    found = {}
    with resolve.opened_in(root, mount_path) as top:
        for name in names:
            with contextlib.suppress(KernelError), resolve.opened_in(top, name) as fd:
                found[name] = os.fstat(fd).st_ino
    return found


def _own_root() -> int:
    return os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _inside(name: str, function: t.Callable[[int], t.Any]) -> t.Any:
    """Call the function, with the host's /proc, in the mount namespace of that name."""
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with Target(namespace=name).open(["mnt"], closed_too=True) as handles:
            return enter.run_inside(functools.partial(function, proc), joins=handles)
    finally:
        os.close(proc)


def _own_mounts(proc: int) -> list[Mount]:
    return mount_table.read("self/mountinfo", dir_fd=proc)
