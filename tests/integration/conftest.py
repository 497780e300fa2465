# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests against the kernel share. They run in a host of their own: own_host.py."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
from command import Nsctl
from convergence import converging
from fixtures import host, host_unchanged, new_name, run_module, server
from host_state import names_below
from module_server import CHECKOUT
from nsctl_at_hand import nsctl_at_hand, nsctl_compiled
from results import Converge, RunModule
from tasks import RunTasks, Tasks
from unshared_process import Unshared, UnsharedProcess, start_unshared

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import call, mounts

__all__ = [
    "host",
    "host_unchanged",
    "new_name",
    "nsctl_at_hand",
    "nsctl_compiled",
    "run_module",
    "server",
]

# Older paths in the collection, for tests that are to hold on older kernels as well: kernel().
OLDER_KERNELS = {
    "newest": {},
    "older": {
        "LINUX_NAMESPACES_ABSENT_CALLS": (
            "mount_setattr move_mount_beneath fsconfig_set_fd open_tree_of_detached"
        )
    },
}
# All that the collection uses where there is it, and that Linux 5.10 or a filter may lack.
ABSENT_CALLS = (
    "mount_setattr move_mount_beneath clone3 close_range renameat2 statmount setns_pidfd "
    "statx_mnt_id_unique fsconfig_set_fd open_tree_of_detached"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--older-kernel",
        action="store_true",
        help="run everything as on a kernel that lacks each call newer than the oldest supported",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "newer_kernel: needs a call that --older-kernel takes away")
    if config.getoption("older_kernel"):
        os.environ[call.ABSENT_CALLS_VARIABLE] = ABSENT_CALLS
        call.absent_calls = frozenset(ABSENT_CALLS.split())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # The longest first, so that it is not what one process is left with at the end.
    items.sort(key=lambda item: item.path.stem != "test_killed")
    if config.getoption("older_kernel"):
        for item in items:
            if item.get_closest_marker("newer_kernel"):
                item.add_marker(pytest.mark.skip(reason="needs what --older-kernel takes away"))


@pytest.fixture(scope="session")
def converge(run_module: RunModule) -> Converge:
    """Run a module that must succeed, and return its result.

    Check mode must predict it without changing the host, and a second run change nothing.
    """

    return converging(run_module)


@pytest.fixture(scope="session")
def nsctl() -> Nsctl:
    """The host's command, of this checkout."""
    return Nsctl(pathlib.Path("/run/tests"))


@pytest.fixture
def unshared_process() -> t.Iterator[UnsharedProcess]:
    """Start a process in new namespaces of these kinds, with unshare(1); it ends with the test.

    Its mounts are private. ``options`` are further words for unshare(1), as --map-root-user.
    """
    with contextlib.ExitStack() as stack:

        def start(
            kinds: t.Collection[str] = ("mnt",), *, options: t.Sequence[str] = ()
        ) -> Unshared:
            return start_unshared(stack, kinds, options)

        yield start


@pytest.fixture
def run_tasks(tmp_path: pathlib.Path) -> RunTasks:
    """Run tasks on this host with ansible-playbook, and then ``cleanup`` in any case."""

    def run(tasks: Tasks, *, cleanup: Tasks) -> None:
        block = {"block": tasks, "always": cleanup}
        play = {"hosts": "localhost", "gather_facts": False, "tasks": [block]}
        playbook = tmp_path / "playbook.yml"
        playbook.write_text(json.dumps([play]))
        argv = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), str(playbook)]
        done = subprocess.run(argv, check=False, capture_output=True, text=True, cwd=CHECKOUT)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


@pytest.fixture
def ip_netns() -> t.Iterator[t.Callable[[str], str]]:
    """Make a net namespace with `ip netns add NAME`; its path. It is removed with the test."""
    directory = pathlib.Path("/run/netns")
    was_there = directory.exists()

    def add(name: str) -> str:
        subprocess.run(["ip", "netns", "add", name], check=True)
        return str(directory / name)

    yield add
    for name in names_below(str(directory)):
        subprocess.run(["ip", "netns", "del", pathlib.Path(name).name], check=True)
    if directory.exists() and not was_there:
        mounts.umount(str(directory), flags=mounts.MNT_DETACH)
        directory.rmdir()


@pytest.fixture(params=list(OLDER_KERNELS))
def kernel(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment for run_module: this kernel, and it without its newer calls."""
    return OLDER_KERNELS[request.param]
