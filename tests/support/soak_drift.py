# SPDX-License-Identifier: GPL-3.0-or-later
"""What people do by hand to a namespace, behind the back of the modules."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import signal
import socket
import struct

from processes_inside import inside
from programs import pid_of
from soak_host import Host
from soak_model import Model
from waiting import has_ended, wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import (
    pid_holder,
    pins,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

_SIOCSIFFLAGS = 0x8914
HOSTNAME = "renamed"


def unmount(host: Host, name: str, model: Model, place: str) -> None:
    path = host.path_now(model, place)
    host.in_mounts(name, lambda: mounts.umount(path, flags=mounts.MNT_DETACH))


def mount(host: Host, name: str, model: Model, place: str) -> None:
    path = host.path_now(model, place)
    host.in_mounts(name, lambda: mounts.mount("foreign", path, fstype="tmpfs"))


def set_flag(host: Host, name: str, model: Model, place: str, *, ro: bool) -> None:
    path = host.path_now(model, place)
    flags = mounts.MS_REMOUNT | mounts.MS_BIND | (mounts.MS_RDONLY if ro else 0)
    host.in_mounts(name, lambda: mounts.mount("none", path, flags=flags))


def set_hostname(name: str) -> None:
    inside(name, lambda: socket.sethostname(HOSTNAME), ["uts"])


def set_lo_down(name: str) -> None:
    def down() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            fcntl.ioctl(one, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", 0))

    inside(name, down, ["net"])


def delete_from_ip_netns(name: str) -> None:
    path = pathlib.Path("/run/netns") / name
    mounts.umount(str(path), flags=mounts.MNT_DETACH)
    path.unlink()
    with contextlib.suppress(OSError):  # it would stay, as ip-netns(8) leaves it
        path.parent.rmdir()


def unpin(name: str, kind: str) -> None:
    mounts.umount(pins.path_now(name, kind), flags=mounts.MNT_DETACH)


def kill(*pids: int) -> None:
    """End processes, and wait until they have."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: all(has_ended(pid) for pid in pids))


def kill_holder(name: str) -> None:
    pid = pid_holder.pid_of(name)
    assert pid is not None
    kill(pid)


def kill_program(argv: list[str]) -> None:
    pid = pid_of(*argv)
    assert pid is not None
    kill(pid)
