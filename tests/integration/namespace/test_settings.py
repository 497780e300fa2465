# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_namespace: kernel parameters, host name and domain name."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from command import Nsctl
from host_state import host_state
from leaks import watched
from named_namespaces import (
    NewName,
    pivot_into_tmpfs,
    present,
    refused,
)
from processes_inside import inside
from results import Converge, Result, RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import call, mounts

# --- sysctl


def read_sysctl(key: str) -> str:
    return pathlib.Path("/proc/sys", *key.split(".")).read_text().strip()


def test_kernel_parameters_are_set_inside_alone(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    kinds = ["net", "ipc", "user"]
    values = {
        "net.ipv4.ip_forward": True,
        "net.ipv4.ip_local_port_range": "20000\t30000",
        "kernel.msgmax": 4096,
        "fs.mqueue.msg_max": 20,
        "user.max_uts_namespaces": 3,
    }
    outside = {key: read_sysctl(key) for key in values}

    def seen() -> dict[str, str]:
        found: dict[str, str] = inside(name, lambda: {key: read_sysctl(key) for key in values})
        return found

    present(converge, name, kinds=kinds, sysctl=values)
    expected = {key: str(int(value) if value is True else value) for key, value in values.items()}
    assert seen() == expected
    changed = converge(
        "ns_namespace",
        {"name": name, "kinds": kinds, "sysctl": {**values, "kernel.msgmax": "8192"}},
    )
    assert changed["actions"] == [f"record namespace {name}", "set kernel.msgmax to 8192"]
    assert seen() == {**expected, "kernel.msgmax": "8192"}
    assert {key: read_sysctl(key) for key in values} == outside


# As the kernel spells them.
SECRETS = {
    "net.ipv4.tcp_fastopen_key": "a1b2c3d4-00000001-00000002-0000000{}",
    "net.ipv6.conf.default.stable_secret": "2001:0db8:a1b2:c3d4:0000:0000:0000:000{}",
}


@pytest.mark.parametrize("key", SECRETS)
def test_secret_parameters_are_set_and_not_shown(
    key: str, converge: Converge, run_module: RunModule, new_name: NewName, nsctl: Nsctl
) -> None:
    name = new_name()
    args: dict[str, t.Any] = {"name": name, "kinds": ["net"]}
    first, second = (SECRETS[key].format(number) for number in (1, 2))
    with watched() as watch:
        done = converge("ns_namespace", {**args, "sysctl": {key: first, "net.core.somaxconn": 7}})
        assert inside(name, lambda: read_sysctl(key)) == first
        again = converge("ns_namespace", {**args, "sysctl": {key: second}})
        assert f"set {key} to ********" in again["actions"]
        assert f"'{key}': 'another ********'" in again["diff"]["after"]
        failed = run_module("ns_namespace", {**args, "sysctl": {key: "a1b2c3-no-such"}})
        assert "********" in failed["msg"]
        wrong = run_module("ns_namespace", {**args, "sysctl": f"{key}=a1b2c3 x"})
        assert wrong["failed"]
        shown = nsctl("show", name).stdout + nsctl("show", name, "--json").stdout
    assert done["invocation"]["module_args"]["sysctl"]["net.core.somaxconn"] == 7
    assert "a1b2" not in json.dumps([done, again, failed, wrong]) + shown
    assert watch.of(["a1b2"]) == []


@pytest.mark.parametrize(
    ("kinds", "sysctl", "reason"),
    [
        (["net"], {"kernel.panic": 7}, "belongs to no namespace: to set it would change the host"),
        (["net"], {"vm.swappiness": 7}, "belongs to no namespace"),
        (["mnt"], {"net.ipv4.ip_forward": 1}, "needs the kind net"),
        (["uts"], {"kernel.hostname": "x"}, "is not set by sysctl here"),
        (["net"], {"net.ipv4/../../kernel/panic": 7}, "belongs to no namespace"),
        (["net"], {"net.ipv4.": 7}, "is not the name of a kernel parameter"),
    ],
)
def test_parameters_of_the_host_are_refused(
    kinds: list[str],
    sysctl: dict[str, t.Any],
    reason: str,
    run_module: RunModule,
    new_name: NewName,
) -> None:
    panic = read_sysctl("kernel.panic")
    assert reason in refused(run_module, new_name(), kinds=kinds, sysctl=sysctl)["reason"]
    assert read_sysctl("kernel.panic") == panic


def test_parameters_that_the_kernel_refuses_are_explained(
    run_module: RunModule, converge: Converge, new_name: NewName
) -> None:
    name = new_name()
    absent = {"net.ipv4.no_such_parameter": 1}
    wrong = {"net.ipv4.ip_forward": "maybe"}

    def failure_of(sysctl: dict[str, t.Any]) -> Result:
        return run_module("ns_namespace", {"name": name, "kinds": ["net"], "sysctl": sysctl})

    before = host_state()
    failure = failure_of(absent)
    assert failure["step"] == "set net.ipv4.no_such_parameter to 1"
    assert failure["errno"] == "ENOENT"
    assert "has no kernel parameter net.ipv4.no_such_parameter" in failure["reason"]
    assert failure_of(wrong)["errno"] == "EINVAL"
    assert host_state() == before
    # A parameter of the host's network namespace alone: there is none inside, so no harm is done.
    backlog = read_sysctl("net.core.netdev_max_backlog")
    assert failure_of({"net.core.netdev_max_backlog": 7})["errno"] == "ENOENT"
    assert read_sysctl("net.core.netdev_max_backlog") == backlog
    present(converge, name, kinds=["net"])
    assert "no_such_parameter" in refused(run_module, name, kinds=["net"], sysctl=absent)["reason"]
    assert "takes no value 'maybe'" in failure_of(wrong)["reason"]
    # What could not be set is not recorded either.
    again = run_module("ns_namespace", {"name": name, "kinds": ["net"]})
    assert again["changed"] is False


# --- host name and domain name


def test_host_name_and_domain_name(converge: Converge, new_name: NewName) -> None:
    name = new_name()

    def names() -> tuple[str, str]:
        found: tuple[str, str] = inside(
            name, lambda: (os.uname().nodename, read_sysctl("kernel.domainname"))
        )
        return found

    outside = (os.uname().nodename, read_sysctl("kernel.domainname"))
    present(converge, name, kinds=["uts"], hostname="web", domainname="example")
    assert names() == ("web", "example")
    present(converge, name, kinds=["uts"], hostname="web2", domainname="example")
    assert names() == ("web2", "example")
    present(converge, name, kinds=["uts"], hostname="web2", domainname="example.org")
    assert names() == ("web2", "example.org")
    # What is not asked for stays as it is.
    present(converge, name, kinds=["uts"])
    assert names() == ("web2", "example.org")
    assert (os.uname().nodename, read_sysctl("kernel.domainname")) == outside


def test_settings_need_no_proc_in_the_root(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    kinds = ["mnt", "uts", "net"]
    present(converge, name, kinds=kinds)
    pivot_into_tmpfs(converge, name)
    found = present(converge, name, kinds=kinds, hostname="bare", sysctl={"net.ipv4.ip_forward": 1})
    assert found["root"] == "/mnt"
    assert inside(name, lambda: os.uname().nodename, ["uts"]) == "bare"
    assert inside(name, lambda: read_sysctl("net.ipv4.ip_forward"), ["net"]) == "1"


def test_settings_go_past_the_proc_of_the_root(
    converge: Converge, new_name: NewName, tmp_path: pathlib.Path
) -> None:
    """runc CVE-2025-52881: a /proc inside that leads elsewhere is neither read nor written."""
    name = new_name()
    kinds = ["mnt", "uts", "net", "ipc"]
    decoy = tmp_path / "decoy"
    for parameter in ("net/ipv4/ip_forward", "kernel/msgmax"):
        (decoy / "sys" / parameter).parent.mkdir(parents=True)
        (decoy / "sys" / parameter).write_text("untouched")
    present(converge, name, kinds=kinds)
    lie = {"path": "/mnt/proc", "src": str(decoy), "opts": "bind,X-mount.mkdir"}
    mounts = [{"path": "/mnt", "src": "bare", "fstype": "tmpfs"}, lie]
    converge("ns_mount", {"namespace": name, "mounts": mounts})
    converge("ns_pivot_root", {"namespace": name, "new_root": "/mnt"})
    sysctl = {"net.ipv4.ip_forward": 1, "kernel.msgmax": 4096}
    present(converge, name, kinds=kinds, sysctl=sysctl)
    assert inside(name, lambda: read_sysctl("net.ipv4.ip_forward"), ["net"]) == "1"
    assert inside(name, lambda: read_sysctl("kernel.msgmax"), ["ipc"]) == "4096"
    for parameter in ("net/ipv4/ip_forward", "kernel/msgmax"):
        assert (decoy / "sys" / parameter).read_text() == "untouched"


# --- on a host whose /proc/sys is read-only, as those of nspawn, docker and LXC are


@pytest.fixture
def proc_sys_read_only() -> t.Iterator[None]:
    """A bind that can only be read over /proc/sys, in the tests' own mount namespace."""
    mounts.mount("/proc/sys", "/proc/sys", flags=mounts.MS_BIND)
    try:
        flags = mounts.MS_BIND | mounts.MS_REMOUNT | mounts.MS_RDONLY
        mounts.mount("none", "/proc/sys", flags=flags)
        yield
    finally:
        mounts.umount("/proc/sys")


@pytest.mark.usefixtures("proc_sys_read_only")
def test_parameters_where_proc_sys_is_read_only(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    kinds = ["net", "ipc", "user", "mnt"]
    values = {
        "net.ipv4.ip_forward": "1",
        "net.ipv4.conf.lo.forwarding": "1",
        "kernel.msgmax": "4096",
        "fs.mqueue.msg_max": "20",
        "user.max_uts_namespaces": "3",
    }
    outside = {key: read_sysctl(key) for key in values}
    with pytest.raises(OSError, match="Read-only"):
        pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    present(converge, name, kinds=kinds, sysctl=values)
    found = inside(name, lambda: {key: read_sysctl(key) for key in values}, kinds[:3])
    assert found == values
    assert {key: read_sysctl(key) for key in values} == outside


@pytest.mark.usefixtures("proc_sys_read_only")
def test_parameters_where_no_other_proc_can_be_mounted(
    run_module: RunModule, new_name: NewName
) -> None:
    """As in a container with a user namespace: it may mount no proc that shows more than its own."""
    name = new_name()
    args = {"name": name, "kinds": ["net"], "sysctl": {"net.ipv4.ip_forward": 1}}
    result = run_module("ns_namespace", args, env={call.ABSENT_CALLS_VARIABLE: "fsopen"})
    assert result["failed"]
    reason = "/proc/sys is mounted read-only here, as in a container, and no other /proc can be"
    assert reason in result["reason"]
    assert "Remount it" in result["hint"]
    assert result["step"] == "set net.ipv4.ip_forward to 1"
    mounts.mount("none", "/proc/sys", flags=mounts.MS_BIND | mounts.MS_REMOUNT)
    assert not run_module("ns_namespace", args).get("failed")


def test_a_parameter_that_a_namespace_only_shows(run_module: RunModule, new_name: NewName) -> None:
    key = "net.netfilter.nf_conntrack_max"
    if not pathlib.Path("/proc/sys", *key.split(".")).exists():
        key = "net.ipv4.tcp_available_congestion_control"
    result = run_module(
        "ns_namespace", {"name": new_name(), "kinds": ["net"], "sysctl": {key: "5"}}
    )
    assert result["failed"]
    assert (
        f"{key} may not be set in a namespace: the kernel only shows it there" in result["reason"]
    )
