# SPDX-License-Identifier: GPL-3.0-or-later
"""A network for a program that takes no rights on the host: by pasta or slirp4netns."""

from __future__ import annotations

import os
import pathlib
import stat
import subprocess
import typing as t

import pytest
from results import RunModule, is_failure
from traffic import answering, other_host
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

NOBODY = 65534
ASK = ["bash", "-c", "exec 3<>/dev/tcp/192.0.2.100/99 && cat <&3"]


@pytest.fixture
def elsewhere() -> t.Iterator[None]:
    """Another host, which answers, and to which the default route of this one leads.

    It has two addresses: what is for that of a gateway pasta gives to the host.
    """
    with other_host("wan9", ["192.0.2.99/25", "192.0.2.100/25"]) as where:
        for line in (
            "addr add 192.0.2.98/25 dev wan9",
            "link set wan9 up",
            "route add default via 192.0.2.99 metric 5",
        ):
            subprocess.run(["ip", *line.split()], check=True)
        with answering(99, where=where):
            yield


@pytest.fixture(autouse=True)
def tun(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[pathlib.Path]:
    """The device as udev leaves it to everybody; without that the kernel leaves it to root."""
    directory = tmp_path_factory.mktemp("tun")
    mounts.mount("tun", str(directory), fstype="tmpfs")
    device = directory / "tun"
    os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(10, 200))
    device.chmod(0o666)
    mounts.mount(str(device), "/dev/net/tun", flags=mounts.MS_BIND)
    yield device
    mounts.detach("/dev/net/tun")
    mounts.detach(str(directory))


def programs(words: str) -> list[str]:
    """The processes of that program."""
    argv = ["pgrep", "-x", words]
    return subprocess.run(argv, check=False, capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize("user", [None, NOBODY], ids=["root", "nobody"])
@pytest.mark.parametrize("network", ["pasta", "slirp4netns"])
def test_a_way_out(run_module: RunModule, elsewhere: None, network: str, user: int | None) -> None:
    assert elsewhere is None
    before = programs(network)
    asked = {"argv": ASK, "kinds": ["user", "net"]}
    without = run_module("ns_unshare_run", asked, user=user)
    assert "unreachable" in without["stderr"], without
    found = run_module("ns_unshare_run", {**asked, "network": network}, user=user)
    assert found["stdout"].removeprefix("::ffff:") == "192.0.2.98", found
    assert f"give it a network by {network}" in found["actions"]
    # It ends with the program.
    assert wait_until(lambda: programs(network) == before)


def test_a_device_that_is_root_s_alone(run_module: RunModule, tun: pathlib.Path) -> None:
    tun.chmod(0o600)
    asked = {"argv": ["true"], "kinds": ["user", "net"], "network": "pasta"}
    failed = run_module("ns_unshare_run", asked, user=NOBODY)
    is_failure(failed, "/dev/net/tun, which cannot be opened: Permission denied", "allowed")


def test_root_without_a_user_namespace(run_module: RunModule, elsewhere: None) -> None:
    assert elsewhere is None
    asked = {"argv": ASK, "kinds": ["net"]}
    found = run_module("ns_unshare_run", {**asked, "network": "slirp4netns"})
    assert found["stdout"].removeprefix("::ffff:") == "192.0.2.98", found
    is_failure(
        run_module("ns_unshare_run", {**asked, "network": "pasta"}), "pasta gives root", "user"
    )


def test_a_program_that_runs_too_long(run_module: RunModule, elsewhere: None) -> None:
    assert elsewhere is None
    before = programs("pasta")
    found = run_module(
        "ns_unshare_run",
        {
            "argv": ["sleep", "60"],
            "kinds": ["user", "net", "pid"],
            "network": "pasta",
            "timeout": 2,
        },
    )
    assert found["failed"]
    assert wait_until(lambda: programs("pasta") == before)


def test_what_cannot_be(run_module: RunModule, tmp_path: t.Any) -> None:
    asked = {"argv": ["true"], "kinds": ["user", "net"], "network": "pasta"}
    is_failure(
        run_module("ns_unshare_run", {**asked, "kinds": ["user"]}), "needs the kind net", "net"
    )
    for check in (True, False):
        failed = run_module("ns_unshare_run", {**asked, "network": "slirp"}, check=check)
        assert "slirp4netns" in failed["msg"]
    program = tmp_path / "pasta"
    program.write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n")
    program.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    failed = run_module("ns_unshare_run", asked, env=path)
    assert "no such luck" in failed["reason"]
