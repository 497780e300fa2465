# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of what a host has to have, what it says of texts of a kernel, and README's section of it."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import link_words
from ansible_collections.linux.namespaces.plugins.module_utils._core.facts import (
    host,
    host_kernel,
    host_limits,
    host_look,
    host_place,
    host_tools,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl import check

README = pathlib.Path(__file__).parents[3] / "README.md"
HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""
DEP = """\
kernel/drivers/net/dummy.ko.xz:
kernel/drivers/net/wireguard/wireguard.ko: kernel/lib/crypto/libcurve25519.ko kernel/net/ipv6/ip6_udp_tunnel.ko
kernel/net/8021q/8021q.ko.zst: kernel/net/802/mrp.ko
kernel/fs/foo-bar.ko:
"""
CONFIG = "\n# CONFIG_VRF is not set\nCONFIG_VETH=y\nCONFIG_DUMMY=m\n"


def reading(**texts: str) -> host_look.Host:
    """A host whose files have these texts; a name for a path stands in it with _ for /."""
    return host_look.Host(lambda path: texts.get(path.strip("/").replace("/", "_"), ""))


def test_table() -> None:
    names = [each.name for each in host.CHECKS]
    assert len(names) == len(set(names))
    assert {f"{kind} interfaces" for kind in link_words.KINDS if kind != link_words.MOVED} <= {
        *names
    }
    for each in host.CHECKS:
        assert "|" not in each.name + each.needed_for
        assert len(each.needed_for) < 130


def test_readme_has_the_section() -> None:
    text = README.read_text()
    assert text.count(host.BEGIN) == text.count(host.END) == 1, "run `make requirements`"
    section = text[text.index(host.BEGIN) : text.index(host.END) + len(host.END)]
    assert f"{section}\n" == host.requirements(), "run `make requirements`"


@pytest.mark.parametrize(
    ("limit", "seen", "state"),
    [
        (None, None, "ok"),
        (0, None, "missing"),
        (0, 0, "missing"),
        (100, None, "ok"),
        (100, 89, "ok"),
        (100, 90, "limited"),
        (100, 200, "limited"),
    ],
)
def test_limits(limit: int | None, seen: int | None, state: str) -> None:
    found = host_limits.of_limit("user.max_net_namespaces", limit, seen)
    assert found.state == state
    assert ("user.max_net_namespaces=10000" in found.remedy) == (state != "ok")


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("6.18.5", (6, 18)),
        ("5.10.0-33-amd64", (5, 10)),
        ("5.4-rc1", (5, 4)),
        ("6.12+bpo-amd64", (6, 12)),
        ("7", (7,)),
        ("odd", (0,)),
    ],
)
def test_version(release: str, version: tuple[int, ...]) -> None:
    assert host_place.version_in(release) == version


def test_versions_are_numbers() -> None:
    assert host_place.version_in("5.9") < host_place.OLDEST_KERNEL
    assert host_place.version_in("5.10") >= host_place.OLDEST_KERNEL


@pytest.mark.parametrize(
    ("mounts", "version"),
    [
        ("", None),
        (HYBRID, "hybrid"),
        (HYBRID.replace(" - cgroup cgroup ", " - tmpfs cgroup "), 2),
        (HYBRID.replace(" - cgroup2 ", " - tmpfs "), 1),
    ],
)
def test_cgroups(mounts: str, version: int | str | None) -> None:
    assert host_place.cgroup_version(reading(proc_self_mountinfo=mounts)) == version


def test_modules_by_their_lists() -> None:
    assert host_kernel.modules_in(DEP) == {"dummy", "wireguard", "8021q", "foo_bar"}


@pytest.mark.parametrize(
    ("drivers", "module", "option", "state", "text"),
    [
        ({}, "veth", "VETH", "unknown", "nothing"),
        ({"config": CONFIG}, "veth", "VETH", "ok", "built in"),
        ({"config": CONFIG}, "vrf", "NET_VRF", "missing", "has none"),
        ({"config": CONFIG}, "dummy", "DUMMY", "missing", "/lib/modules"),
        ({"loadable": {"dummy"}, "config": CONFIG}, "dummy", "DUMMY", "ok", "module dummy"),
        (
            {"loadable": {"dummy"}, "may_load": False},
            "dummy",
            "DUMMY",
            "missing",
            "modules_disabled",
        ),
        ({"built_in": {"veth"}}, "veth", "VETH", "ok", "built in"),
        ({"built_in": {"veth"}}, "vrf", "NET_VRF", "missing", "has none"),
    ],
)
def test_drivers(
    drivers: dict[str, t.Any], module: str, option: str, state: str, text: str
) -> None:
    found = host_kernel.Drivers(**drivers).look(module, option, is_loaded=False)
    assert found.state == state
    assert text in found.text
    assert bool(found.remedy) == (state == "missing")
    loaded = host_kernel.Drivers(**drivers).look(module, option, is_loaded=True)
    assert loaded.state == "ok"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian"\n',
            "Debian GNU/Linux 12 (bookworm)",
        ),
        ("NAME=Alpine\n# a comment\n\n", "Alpine"),
        ("odd", ""),
        ("", ""),
    ],
)
def test_name_of_the_distribution(text: str, name: str) -> None:
    assert host.os_name(text) == name


@pytest.mark.parametrize(
    ("names", "version"),
    [
        (["systemd", "libsystemd-shared-252.so"], "252"),
        (["libsystemd-shared-257.9-1~deb13u1.so"], "257"),
        (["libsystemd-shared-239-82.el8.so"], "239"),
        (["libsystemd-core-252.so"], ""),
        ([], ""),
    ],
)
def test_version_of_systemd(names: list[str], version: str) -> None:
    assert host_tools.version_of(names) == version


def test_users_with_subordinate_ids() -> None:
    assert host_limits.users_in("ann:100000:65536\n\n# odd\nbob:1\nann:9:9\neve:1:1\n") == {
        "ann",
        "eve",
    }


@pytest.mark.parametrize(
    ("status", "is_filtered"),
    [("Name:\tx\nSeccomp:\t0\n", False), ("Seccomp:\t2\n", True), ("", False)],
)
def test_filter(status: str, is_filtered: bool) -> None:
    assert reading(proc_self_status=status).is_filtered == is_filtered


def test_numbers_of_kernel_parameters() -> None:
    host_read = reading(proc_sys_user_max_net_namespaces="12\n")
    assert host_read.number("user/max_net_namespaces") == 12
    assert host_read.number("user/max_odd_namespaces") is None


def test_what_is_printed_first() -> None:
    def row(name: str, state: str, *, required: bool = False) -> dict[str, t.Any]:
        remedy = "" if state == "ok" else f"mend {name}."
        texts = {"found": "x", "needed_for": "all", "remedy": remedy}
        return {"name": name, "state": state, "required": required, **texts}

    rows = [
        row("there", "ok"),
        row("dark", "unknown"),
        row("wish", "missing"),
        row("less", "limited", required=True),
        row("must", "missing", required=True),
    ]
    about = {"kernel": "6.1", "machine": "x", "os": "", "hostname": "h", "python": "3.9.2"}
    found = {**about, "cgroup": None, "systemd": True, "problems": 1, "checks": rows}
    assert check.shown(found) == [
        "h: Linux 6.1 x, Python 3.9.2, no cgroups, systemd",
        *("", "missing, and required:", "  must  x", "    for all", "    mend must."),
        *("", "limited:", "  less  x", "    for all", "    mend less."),
        *("", "missing, optional:", "  wish  x", "    for all", "    mend wish."),
        *("", "unknown:", "  dark  x", "    for all", "    mend dark."),
        *("", "there:", "  there  x"),
    ]
