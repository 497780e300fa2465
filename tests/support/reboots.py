# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reboot leaves of named namespaces."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal

from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import (
    cgroups,
    pid_holder,
    pins,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts


def reboot() -> None:
    """Leave of named namespaces what a reboot does: their definitions."""
    for name in pins.names():
        pid = pid_holder.pid_of(name)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            assert wait_until(lambda name=name: pid_holder.pid_of(name) is None)  # type: ignore[misc]
        cgroups.end(name)
        network = pathlib.Path("/run/netns") / name
        if network.exists():
            mounts.umount(str(network), flags=mounts.MNT_DETACH)
            network.unlink()
    with contextlib.suppress(OSError):  # others have names there, or there is none
        os.rmdir("/run/netns")
    mounts.umount(host_paths.BASE, flags=mounts.MNT_DETACH)
    os.rmdir(host_paths.BASE)
