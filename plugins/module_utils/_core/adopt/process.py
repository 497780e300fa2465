# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The namespaces that a process lives in, or that a file is of, as a named namespace.

They are open from the beginning to the end: what is said of them is true of what is kept, whatever becomes of
the process.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import socket
import typing as t

from ..errors import KernelError, Refused
from ..mount import table
from ..mount.view import open_host_proc
from ..namespace import enter, network, sysctl
from ..namespace.target import Handles, Target
from ..process import proc
from . import mounts
from .adopted import EMPTY, Adopted


def opened(target: Target) -> Handles:
    """The namespaces of the target that are not the host's. Raises Refused, KernelError."""
    handles = target.open(closed_too=True)
    own = proc.ids_of_process("self")
    if all(handles.id_of(kind) == own.get(kind) for kind in handles.kinds):
        handles.close()
        raise Refused(f"{target} has the namespaces of the host alone", "Name another one.")
    return handles


def of(name: str, target: Target, handles: Handles, *, is_kept: bool) -> Adopted:
    """What is there in the ``handles`` of the target. Raises Refused, KernelError, OSError.

    ``is_kept`` says that these very namespaces are to be kept under the name.
    """
    found = Adopted(name, kinds={*handles.kinds})
    if "pid" in found.kinds:
        found.leave(
            "the pid namespace",
            "it ends with its first process, and cannot be kept"
            if is_kept
            else "it ends with its first process; a new one is made",
        )
        found.kinds -= {"pid"} if is_kept else set()
    for kind, look in _LOOKS.items():
        if kind in found.kinds:
            look(found, handles)
    if target.pid is not None:
        _tell_of_chroot(found, target.pid, handles)
    found.settle()
    if not found.kinds:
        verb = "kept" if is_kept else "adopted"
        raise Refused(f"nothing of {target} can be {verb}: {'; '.join(found.left)}")
    return found


def _add_id_map(found: Adopted, handles: Handles) -> None:
    try:
        maps = {
            which: [
                {"inside": int(inside), "outside": int(outside), "count": int(count)}
                for inside, outside, count in rows
            ]
            for which, rows in zip(("uid", "gid"), _rows(handles, "user", "uid_map", "gid_map"))
        }
    except KernelError:  # nobody is root in it
        maps = {"uid": [], "gid": []}
    if maps["uid"] and maps["gid"]:
        found.set("id_map", maps, "the map of the user namespace")
    if "id_map" not in found.properties:
        found.leave("the user namespace", "it has no map that one could be given")
        found.kinds.remove("user")


def _add_names(found: Adopted, handles: Handles) -> None:
    name, domain = _inside(
        handles, "uts", lambda: (os.uname().nodename, sysctl.read("kernel.domainname"))
    )
    found.set("hostname", name, "the host name")
    if domain and domain != "(none)":
        found.set("domainname", domain, "the domain name")


def _add_network(found: Adopted, handles: Handles) -> None:
    is_up, links = _inside(
        handles, "net", lambda: (network.is_loopback_up(), socket.if_nameindex())
    )
    if not is_up:
        found.properties["loopback"] = False
    for _number, each in links:
        if each != "lo":
            found.leave(f"interface {each}", "interfaces are not a part of definitions")


def _add_time_offsets(found: Adopted, handles: Handles) -> None:
    offsets = {}
    (rows,) = _rows(handles, "time", "timens_offsets")
    for clock, seconds, nanoseconds in rows:
        if int(seconds):
            offsets[clock] = int(seconds)
        if int(nanoseconds):
            found.leave(f"the offset of {clock}", "what is less than a second of it is left out")
    if offsets:
        found.set("time_offsets", offsets, "the offsets of clocks")


def _add_mounts(found: Adopted, handles: Handles) -> None:
    host_proc = open_host_proc()

    def look() -> tuple[list[table.Mount], set[str]]:
        there = table.read("self/mountinfo", dir_fd=host_proc)
        empty = [mount.path for mount in table.reachable(there) if mount.fstype in EMPTY]
        return there, {path for path in empty if _has_anything(path)}

    try:
        there, full = _inside(handles, "mnt", look)
    finally:
        os.close(host_proc)
    mounts.add(found, there, table.read(), full)


def _has_anything(path: str) -> bool:
    """Whether there is anything but the places of mounts."""
    try:
        with os.scandir(path) as entries:
            return any(not each.is_dir(follow_symlinks=False) for each in entries)
    except OSError:
        return False


# In this order: the options of a namespace stand in no other.
_LOOKS: dict[str, t.Callable[[Adopted, Handles], None]] = {
    "user": _add_id_map,
    "uts": _add_names,
    "net": _add_network,
    "time": _add_time_offsets,
    "mnt": _add_mounts,
}


def _tell_of_chroot(found: Adopted, pid: int, handles: Handles) -> None:
    def root() -> tuple[int, int]:
        status = os.stat("/")
        return status.st_dev, status.st_ino

    try:
        status = os.stat(f"/proc/{pid}/root")
    except OSError:  # it has ended: the namespaces are open
        return
    own = _inside(handles, "mnt", root) if "mnt" in handles.kinds else root()
    if (status.st_dev, status.st_ino) != own:
        found.leave(
            f"the root directory of process {pid}",
            "it is that of the process alone (chroot(2)), and not of its mount namespace",
        )


def _only(handles: Handles, kind: str) -> Handles:
    return Handles({kind: os.dup(handles.fd_of(kind))})


def _inside(handles: Handles, kind: str, function: t.Callable[[], t.Any]) -> t.Any:
    with _only(handles, kind) as own:
        return enter.run_inside(function, joins=own)


def _rows(handles: Handles, kind: str, *names: str) -> list[list[list[str]]]:
    """The words of the lines of these files of /proc/PID, as the host sees them for who lives there."""
    found: list[list[list[str]]] = []

    def look(pid: int) -> None:
        for name in names:
            lines = proc.text_of(f"/proc/{pid}/{name}").splitlines()
            found.append([line.split() for line in lines])

    with _only(handles, kind) as own:
        os.waitpid(enter.spawn(lambda: 0, joins=own, prepare=look), 0)
    return found
