# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of kernel parameters: which kind of namespace has them, and which file they are."""

from __future__ import annotations

import errno

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import (
    KernelError,
    Refused,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import sysctl


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("net.ipv4.ip_forward", "net"),
        ("net.ipv4.conf.eth0/1.forwarding", "net"),
        ("net.core.somaxconn", "net"),
        ("kernel.shmmax", "ipc"),
        ("kernel.sem", "ipc"),
        ("fs.mqueue.queues_max", "ipc"),
        ("user.max_net_namespaces", "user"),
    ],
)
def test_the_kind_that_has_a_parameter(key: str, kind: str) -> None:
    assert sysctl.kind_of(key) == kind
    sysctl.check([key], [kind, "mnt"])
    with pytest.raises(Refused, match=f"^sysctl {key} needs the kind {kind}$") as refused:
        sysctl.check([key], ["mnt", "uts"])
    assert refused.value.hint == f"Add {kind} to kinds."


@pytest.mark.parametrize(
    "key",
    [
        "kernel.pid_max",
        "kernel.shmmax2",
        "vm.swappiness",
        "fs.file-max",
        "user.other",
        "net",
        "network.x",
        "net/ipv4/ip_forward",
        "net..ipv4",
        "net.ipv4...x",
        "",
    ],
)
def test_parameters_of_the_host_are_refused(key: str) -> None:
    with pytest.raises(Refused, match="belongs to no namespace"):
        sysctl.kind_of(key)


@pytest.mark.parametrize("name", ["hostname", "domainname"])
def test_names_of_the_host_have_an_option_of_their_own(name: str) -> None:
    with pytest.raises(Refused, match="is not set by sysctl here") as refused:
        sysctl.kind_of(f"kernel.{name}")
    assert refused.value.hint == f"Use the option {name}."


@pytest.mark.parametrize(
    "key",
    # A slash stands for a dot: the last ones would be the file .. of a directory, or none.
    [
        "net.",
        "net.ipv4.",
        "fs.mqueue..x",
        "fs.mqueue.",
        "fs.mqueue.//",
        "fs.mqueue./",
        "net.a.//.b",
    ],
)
def test_what_is_no_name_is_refused(key: str) -> None:
    with pytest.raises(Refused, match="is not the name of a kernel parameter"):
        sysctl.check([key], ["net", "ipc"])


def test_a_slash_in_a_name_is_a_dot_in_the_file() -> None:
    with pytest.raises(KernelError) as error:
        sysctl.read("net.ipv4.conf.no/such/device.forwarding")
    assert error.value.errno == errno.ENOENT
    path = "/proc/sys/net/ipv4/conf/no.such.device/forwarding"
    assert error.value.arguments == {"path": path}


@pytest.mark.parametrize(
    ("number", "mode", "reason"),
    [
        (errno.EACCES, "0o444", "may not be set in a namespace: the kernel only shows it there"),
        (errno.EACCES, "0o644", "the kernel or a security module forbids the caller to set"),
        (errno.EPERM, "0o200", "the kernel or a security module forbids the caller to set"),
        (errno.EROFS, "0o644", "/proc/sys is mounted read-only here"),
    ],
)
def test_why_a_parameter_was_not_set(number: int, mode: str, reason: str) -> None:
    error = KernelError("write", number, {"mode": mode})
    found, hint = sysctl.explain(error, key="net.core.somaxconn", value="1")
    assert reason in found
    assert hint
