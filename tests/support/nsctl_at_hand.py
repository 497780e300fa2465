# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that nsctl is made of, compiled once for many tests.

Every named namespace that is to come back at boot brings nsctl to the host, and takes it away again. Compiling its
files costs more than all else that most tests do. So they are there while such a test runs, as on a host on which
somebody runs nsctl at the moment; the command itself, and what it needs beside, come and go.
"""

from __future__ import annotations

import fcntl
import os
import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core import nsctl
from ansible_collections.linux.namespaces.plugins.module_utils._core.install import host_command
from ansible_collections.linux.namespaces.plugins.module_utils._core.startup import (
    LIBRARY,
    compiled_copy,
)

# Elsewhere is tested how they come and go, or what a run does that has to bring them, or is killed meanwhile.
FOLDERS = (
    "adopt",
    "definition",
    "mount",
    "mount_info",
    "namespace",
    "nsctl",
    "pivot_root",
    "service",
)
# Whole plays find what is compiled, and import it from there.
PLAYS = ("run_tasks",)
_BESIDE = f"{LIBRARY}-at-hand"


@pytest.fixture(scope="session")
def nsctl_compiled(host: None) -> list[str]:
    """They lie beside; their names."""
    assert host is None
    host_command.present(nsctl, check=False)
    os.rename(LIBRARY, _BESIDE)
    host_command.absent(check=False)
    return os.listdir(_BESIDE)


@pytest.fixture(autouse=True)
def nsctl_at_hand(request: pytest.FixtureRequest, host_unchanged: None) -> t.Iterator[None]:
    """They are in their place while a test of FOLDERS runs, and held as by who runs nsctl."""
    assert host_unchanged is None  # it looks before and after
    if request.path.parent.name not in FOLDERS or not set(PLAYS).isdisjoint(request.fixturenames):
        yield
        return
    names: list[str] = request.getfixturevalue("nsctl_compiled")
    os.rename(_BESIDE, LIBRARY)
    lock = os.open(f"{LIBRARY}/{names[0]}/{compiled_copy.LOCK}", os.O_RDONLY | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_SH)
    yield
    os.close(lock)
    left = os.listdir(LIBRARY)
    os.rename(LIBRARY, _BESIDE)
    assert left == names, "the test changed the host's nsctl"
