# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests take for the host: a mount namespace of their own.

/run is empty in it, changes of /etc, /usr/local, /var/cache and /var/log are thrown away at the
end, and its mounts are shared, as on hosts with systemd. So a failed or killed test run leaves no
mount, pin or definition behind, and two test runs on one machine do not see each other's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
import stat
import sys
import tempfile

from module_server import CHECKOUT

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import layout
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import KernelError
from ansible_collections.linux.namespaces.plugins.module_utils._core.install import (
    host_command,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import table
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources import cache
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
    detached,
    files,
    mounts,
    namespaces,
)

NEEDED = (CHECKOUT, sys.prefix, sys.base_prefix, tempfile.gettempdir())
CLONE_NEWNS = 0x00020000
NS_GET_ID = 0x8008B70D  # Linux 6.18


def enter() -> None:
    """Make it, and move into it for good. Raises KernelError, OSError."""
    _unshare_as_the_oldest()
    mounts.mount("none", "/", flags=mounts.MS_REC | mounts.MS_PRIVATE)
    _let_go_of_the_real_host()
    _let_everyone_reach_us()
    mounts.mount("tests", "/run", fstype="tmpfs", data="mode=755")
    for directory in ("/etc", "/usr/local", "/var/cache", "/var/log"):
        changes = pathlib.Path(f"/run/tests{directory}")
        for name in ("upper", "work"):
            (changes / name).mkdir(parents=True)
        layers = f"lowerdir={directory},upperdir={changes}/upper,workdir={changes}/work"
        mounts.mount("tests", directory, fstype="overlay", data=layers)
    for path in ("/etc/linux-namespaces", host_paths.LOGS, cache.DIRECTORY, host_command.LIBRARY):
        shutil.rmtree(path, ignore_errors=True)
    for path in (host_command.COMMAND, host_paths.BOOT_TEMPLATE, host_paths.BOOT_TARGET):
        pathlib.Path(path).unlink(missing_ok=True)
    mounts.mount("none", "/", flags=mounts.MS_REC | mounts.MS_SHARED)


def _unshare_as_the_oldest() -> None:
    """Leave for a mount namespace that counts as older than all that are made later.

    Only a younger one can be pinned. Linux 6.18 takes the one with the lower number for the older,
    and every CPU counts for itself: so do it on the one whose numbers are the lowest.
    """
    cpus = os.sched_getaffinity(0)
    try:
        lowest = min(cpus, key=next_number)
        os.sched_setaffinity(0, {lowest})
        namespaces.unshare(CLONE_NEWNS)
    finally:
        os.sched_setaffinity(0, cpus)


def _let_go_of_the_real_host() -> None:
    """Detach what comes and goes there: its pins, what lies in /run, and the mounts of others.

    Copies of pins would keep namespaces alive; copies of what others mount change with theirs.
    """
    for mount in reversed(table.read()):
        stays = mount.path == "/" or mount.path.startswith(("/proc", "/sys", "/dev"))
        holds_us = any(layout.is_below(str(path), mount.path) for path in NEEDED)
        # A disk stays where it is, but for what `ip netns` has bound of it.
        is_disk = mount.src.startswith("/dev/") and not mount.path.startswith("/run/")
        if not stays and not holds_us and not is_disk:
            with contextlib.suppress(KernelError):  # below another one that is gone already
                mounts.umount(mount.path, flags=mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)


def _let_everyone_reach_us() -> None:
    """Tests run modules as plain users, who may not enter a directory such as /root.

    In its place comes one that holds no more than what we need of it.
    """
    for closed in layout.ancestors(str(CHECKOUT)):
        if not os.stat(closed).st_mode & stat.S_IXOTH:
            needed = [str(path) for path in NEEDED if layout.is_below(str(path), closed)]
            trees = [(path, detached.open_tree(files.AT_FDCWD, path)) for path in needed]
            mounts.mount("tests", closed, fstype="tmpfs", data="mode=755")
            for path, tree in trees:
                os.makedirs(path, exist_ok=True)
                target = os.open(path, os.O_PATH | os.O_DIRECTORY)
                detached.move_mount(tree, target)
                os.close(target)
                os.close(tree)


def next_number(cpu: int) -> int:
    """Which number a new mount namespace gets on this CPU; 0 where namespaces have none."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.sched_setaffinity(0, {cpu})
        namespaces.unshare(CLONE_NEWNS)
        number = bytearray(8)
        with contextlib.suppress(OSError):  # a kernel without numbers
            fcntl.ioctl(os.open("/proc/self/ns/mnt", os.O_RDONLY), NS_GET_ID, number)
        os.write(writer, number)
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        number = pipe.read()
    os.wait()
    return int.from_bytes(number, sys.byteorder)
