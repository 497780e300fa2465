# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Who uses a directory: mounts of it in any mount namespace, overlays, and processes in it.

All of it is read from the host's /proc, by which every mount namespace is seen that a process
or a name keeps alive.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import os
import typing as t

from .. import mount_table, nsfs, pins, spawn
from ..layout import is_below
from ..targets import Target
from .place import Location

_LAYERS = ("lowerdir", "upperdir", "workdir")
_LINKS = ("root", "cwd", "exe")


class Usage:
    """The mounts of all mount namespaces and what all processes stand in, read once."""

    def __init__(self) -> None:
        self._mounts: list[tuple[str, mount_table.Mount]] = []
        self._processes: list[tuple[str, str]] = []
        seen: set[int] = set()
        for pid in nsfs.all_pids():
            identity = nsfs.ids_of_process(pid, ["mnt"]).get("mnt")
            if identity is not None and identity not in seen:
                text = _read(f"/proc/{pid}/mountinfo")
                if text:
                    seen.add(identity)
                    self._add(f"the mount namespace of process {pid}", text)
            for link in _LINKS:
                try:
                    self._processes.append((f"process {pid}", os.readlink(f"/proc/{pid}/{link}")))
                except OSError:
                    continue  # it has ended, or is a kernel thread
        for name in pins.names():
            if pins.pinned(name).get("mnt", 0) in {0, *seen}:
                continue
            with Target(namespace=name).open(["mnt"]) as handles:
                proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    text = spawn.call(functools.partial(_own_mounts, proc), joins=handles)
                finally:
                    os.close(proc)
                self._add(f"namespace {name}", text)

    def _add(self, owner: str, text: str) -> None:
        self._mounts += [(owner, mount) for mount in mount_table.parse(text)]

    def of(self, location: Location, *, named: str, itself_mounted: bool = False) -> list[str]:
        """What uses the directory, for people; empty where nothing does.

        ``named`` is the path it has, or had when it could be mounted by its path.
        ``itself_mounted``: it is the root of a mount, which alone is no use of it.
        """
        users = []
        for owner, mount in self._mounts:
            if mount.device == location.device and is_below(mount.root, location.root):
                if not itself_mounted:
                    users.append(f"{mount.path} in {owner}")
            elif mount.fstype == "overlay" and _is_layer(mount, (named, location.path)):
                users.append(f"an overlay on {mount.path} in {owner}")
        for process, path in self._processes:
            if is_below(path, location.path) and location.path != "/":
                users.append(process)
        return list(dict.fromkeys(users))


def _is_layer(mount: mount_table.Mount, directories: t.Iterable[str]) -> bool:
    for option in mount.options:
        key, _equals, value = option.partition("=")
        if key.rstrip("+") in _LAYERS:
            for layer in value.split(":"):
                if any(is_below(layer, directory) for directory in directories):
                    return True
    return False


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as table:
            return table.read()
    except OSError:
        return ""


def _own_mounts(proc: int) -> str:
    fd = os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    with open(fd, encoding="utf-8", errors="surrogateescape", newline="\n") as table:
        return table.read()
