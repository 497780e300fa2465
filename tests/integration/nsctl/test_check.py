# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl check: what it says is so, on this kernel and where something was taken away."""

from __future__ import annotations

import collections
import contextlib
import ctypes
import errno
import os
import pathlib
import platform
import struct
import sys
import time
import typing as t

import pytest
from command import Nsctl
from failed_calls import NOBODY, map_all
from programs import in_child

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths, kinds
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import KernelError
from ansible_collections.linux.namespaces.plugins.module_utils._core.facts import host, host_look
from ansible_collections.linux.namespaces.plugins.module_utils._core.link import tool
from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl import check
from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl.arguments import Given
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
    call,
    mounts,
    namespaces,
    processes,
)

Row = dict[str, t.Any]
OWN_MOUNTS = kinds.KINDS["mnt"].flag
# On x86_64 and aarch64: of those that have no number of their own in call.NUMBERS.
UNSHARE_NUMBERS = {"x86_64": 272, "aarch64": 97}
with_filters = pytest.mark.skipif(
    platform.machine() not in UNSHARE_NUMBERS, reason="the number of unshare(2) is not known here"
)


def rows(found: dict[str, t.Any]) -> dict[str, Row]:
    return {each["name"]: each for each in found["checks"]}


def looked(*prepare: t.Callable[[], None]) -> dict[str, t.Any]:
    """What a process says of the host that has done this before."""

    def look() -> dict[str, t.Any]:
        tool.path_of.cache_clear()
        for each in prepare:
            each()
        return host.facts()

    found: dict[str, t.Any] = in_child(look)
    return found


def filtered(number: int, error: int) -> None:
    """From here on the call of this number fails so (seccomp(2))."""
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (0x20, 0, 0, 0),
            (0x15, 0, 1, number),
            (0x06, 0, 0, 0x00050000 | error),
            (0x06, 0, 0, 0x7FFF0000),
        )
    )
    code = ctypes.create_string_buffer(program)
    header = ctypes.create_string_buffer(struct.pack("=H6xQ", 4, ctypes.addressof(code)))
    processes.prctl(processes.PR_SET_NO_NEW_PRIVS, 1)
    processes.prctl(22, 2, ctypes.addressof(header))


def own_mounts() -> None:
    namespaces.unshare(OWN_MOUNTS)
    mounts.set_propagation_of_all("private")


def become_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def test_form(nsctl: Nsctl) -> None:
    found = nsctl.data("check")
    assert list(found) == [
        *("kernel", "machine", "os", "hostname", "python", "cgroup", "systemd", "problems"),
        "checks",
    ]
    assert found["kernel"] == os.uname().release
    assert found["problems"] == 0
    assert found["cgroup"] in (2, 1, "hybrid", None)
    for each in found["checks"]:
        assert list(each) == ["name", "state", "required", "found", "needed_for", "remedy"]
        assert each["state"] in host_look.STATES
        assert each["found"] and each["needed_for"]
        assert (each["state"] == host_look.OK) <= (each["remedy"] == "")
        assert each["state"] != host_look.MISSING or each["remedy"], each
    assert [each["name"] for each in found["checks"]] == [each.name for each in host.CHECKS]


def test_printed(nsctl: Nsctl) -> None:
    said = nsctl("check").stdout.splitlines()
    assert said[0].startswith(f"{os.uname().nodename}: Linux {os.uname().release}")
    assert "there:" in said
    assert "missing, and required:" not in said
    assert any(line.split() == ["unshare,", "setns", "there"] for line in said)


def test_wrong_usage(nsctl: Nsctl) -> None:
    assert "name nothing" in nsctl("check", "web", code=2).stderr
    nsctl("check", "--all", code=2)


def test_what_is_there(nsctl: Nsctl) -> None:
    found = rows(nsctl.data("check"))
    for each in kinds.NAMES:
        name = "mount" if each == "mnt" else each
        assert found[f"{name} namespaces"]["state"] == "ok"
    for kind in ("veth", "bridge"):  # tests of ns_link make them
        assert found[f"{kind} interfaces"]["state"] == "ok"
    assert found["ip"]["found"] == tool.path_of("ip")


def test_nothing_is_changed_or_run_and_nothing_read_twice() -> None:
    def watched() -> tuple[list[str], collections.Counter[str], list[str], list[str]]:
        done: list[str] = []
        opened: collections.Counter[str] = collections.Counter()

        def audit(event: str, words: tuple[t.Any, ...]) -> None:
            if event == "open" and not isinstance(words[0], int):
                opened[str(words[0])] += 1
                if words[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
                    done.append(f"open {words[0]}")
            elif event.startswith(("subprocess.", "os.", "shutil.")) and event not in LOOKING:
                done.append(event)

        # What is imported late is imported before.
        host.facts()
        before = [*os.listdir("/proc/self/fd"), *read_modules()]
        sys.addaudithook(audit)
        host.facts()
        done_now, opened_now = list(done), opened.copy()
        return done_now, opened_now, before, [*os.listdir("/proc/self/fd"), *read_modules()]

    done, opened, before, after = in_child(watched)
    assert done == []
    del opened["/"]  # a directory, by which several calls are tried
    assert [path for path, count in opened.items() if count > 1] == []
    assert before == after


LOOKING = ("os.listdir", "os.scandir", "os.getxattr")


def read_modules() -> list[str]:
    path = pathlib.Path("/proc/modules")
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def test_time() -> None:
    def best() -> float:
        times = []
        for _attempt in range(5):
            began = time.perf_counter()
            host.facts()
            times.append(time.perf_counter() - began)
        return min(times)

    assert in_child(best) < 0.05


def test_no_namespaces_are_allowed() -> None:
    def forbid() -> None:
        namespaces.unshare(kinds.KINDS["user"].flag)
        map_all()
        pathlib.Path("/proc/sys/user/max_net_namespaces").write_text("0")
        with pytest.raises(KernelError):
            namespaces.unshare(kinds.KINDS["net"].flag)

    found = looked(forbid)
    net = rows(found)["net namespaces"]
    assert net["state"] == "missing"
    assert net["found"] == "none is allowed: user.max_net_namespaces is 0"
    assert "sysctl -w user.max_net_namespaces=" in net["remedy"]
    assert found["problems"] == 1
    first = rows(found)["the first user namespace"]
    assert first["state"] == "limited" and first["remedy"]


def test_a_limit_that_is_near() -> None:
    def lower() -> None:
        namespaces.unshare(kinds.KINDS["user"].flag)
        map_all()
        pathlib.Path("/proc/sys/user/max_uts_namespaces").write_text("1")

    found = rows(looked(lower))["uts namespaces"]
    assert (found["state"], found["required"]) == ("limited", False)
    assert found["found"].startswith("at most 1, ")


@with_filters
@pytest.mark.parametrize(
    ("name", "row", "required"),
    [
        ("mount_setattr", "mount_setattr", False),
        ("clone3", "clone3", False),
        ("pidfd_open", "pidfd_open, pidfd_send_signal", True),
        ("openat2", "openat2, statx", True),
        ("fsmount", "open_tree, move_mount", True),
        ("listmount", "mounts of other namespaces", False),
    ],
)
def test_calls_that_the_kernel_has_not(name: str, row: str, required: bool) -> None:
    found = looked(lambda: filtered(call.NUMBERS[name], errno.ENOSYS))
    each = rows(found)[row]
    assert (each["state"], each["required"]) == ("missing", required)
    assert f"no {name}" in each["found"]
    assert each["remedy"]
    assert found["problems"] == int(required)


@with_filters
def test_calls_that_a_filter_forbids() -> None:
    number = UNSHARE_NUMBERS.get(platform.machine(), 0)
    found = looked(lambda: filtered(number, errno.EPERM))
    each = rows(found)["unshare, setns"]
    assert each["state"] == "missing"
    assert each["found"] == "a system call filter forbids unshare (seccomp(2))"
    assert "filter" in each["remedy"]
    assert found["problems"] == 1


def test_as_an_older_kernel() -> None:
    """By what other tests take from kernels as well."""
    absent = "mount_setattr move_mount_beneath fsconfig_set_fd clone3 statx_mnt_id_unique statmount"

    def take_away() -> None:
        call.absent_calls = frozenset(absent.split())

    found = rows(looked(take_away))
    for name, version in (
        ("mount_setattr", "5.12"),
        ("move_mount beneath", "6.5"),
        ("overlays of open directories", "6.13"),
        ("mounts with ids of their own", "6.8"),
        ("mounts that tell their id map", "6.15"),
        ("mounts of other namespaces", "6.11"),
    ):
        assert found[name]["state"] == "missing", name
        assert found[name]["remedy"] == f"Linux {version} and newer have it."
    assert found["clone3"]["state"] == "missing"
    assert found["overlays, layer by layer"]["state"] == "ok"


def test_programs_that_are_not_there() -> None:
    def hide() -> None:
        own_mounts()
        os.environ["PATH"] = host_paths.DEFAULT_PATH
        for path in {os.path.realpath(each) for each in host_paths.DEFAULT_PATH.split(":")}:
            if os.path.isdir(path):
                mounts.mount("none", path, fstype="tmpfs")

    found = looked(hide)
    assert found["problems"] == 0
    for name, package in (
        ("ip", "iproute2"),
        ("nft", "nftables"),
        ("skopeo", "skopeo"),
        ("mmdebstrap", "mmdebstrap"),
        ("zstd", "zstd"),
        ("pasta", "passt"),
        ("newuidmap, newgidmap", "uidmap"),
    ):
        each = rows(found)[name]
        assert (each["state"], each["required"]) == ("missing", False)
        assert package in each["remedy"]


def test_an_ip_that_is_busybox(tmp_path: pathlib.Path) -> None:
    busybox = tmp_path / "busybox"
    busybox.write_text("")
    busybox.chmod(0o755)
    (tmp_path / "ip").symlink_to(busybox)

    def first() -> None:
        os.environ["PATH"] = f"{tmp_path}:{os.environ['PATH']}"

    each = rows(looked(first))["ip"]
    assert each["state"] == "missing"
    assert "busybox" in each["found"]


def test_etc_that_can_only_be_read() -> None:
    def make_read_only() -> None:
        own_mounts()
        mounts.mount("/etc", "/etc", flags=mounts.MS_BIND)
        flags = mounts.MS_BIND | mounts.MS_REMOUNT | mounts.MS_RDONLY
        mounts.mount("none", "/etc", flags=flags)

    found = looked(make_read_only)
    each = rows(found)["/etc, to be written"]
    assert (each["state"], each["required"]) == ("missing", True)
    assert each["remedy"] == "Mount it for writing: mount -o remount,rw /etc."
    assert found["problems"] == 1
    said = in_child(lambda: check.shown(found))
    at = said.index("missing, and required:")
    assert said[at + 1].split() == [
        "/etc,",
        "to",
        "be",
        "written",
        "it",
        "can",
        "only",
        "be",
        "read",
    ]
    assert said[at + 1 :].index(f"    {each['remedy']}") == 2


def test_exit_code_where_something_required_is_missing() -> None:
    def code() -> int:
        call.absent_calls = frozenset(["openat2"])
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            return check.run("check", Given())

    assert in_child(code) == 1


@pytest.mark.newer_kernel
def test_plain_user() -> None:
    found = looked(become_nobody)
    assert found["problems"] == 0
    by_name = rows(found)
    assert by_name["CAP_SYS_ADMIN"]["state"] == "limited"
    assert by_name["/run, to be written"]["state"] == "unknown"
    assert by_name["move_mount beneath"]["state"] == "unknown"
    assert by_name["mount_setattr"]["state"] == "ok"
    assert by_name["unshare, setns"]["state"] == "ok"
    assert by_name["subordinate ids"]["found"].endswith(" has none")
    assert "seen" not in by_name["net namespaces"]["found"]


@with_filters
def test_plain_user_with_a_filter() -> None:
    number = call.NUMBERS["fsopen"]
    found = rows(looked(become_nobody, lambda: filtered(number, errno.EPERM)))
    assert found["open_tree, move_mount"]["state"] == "unknown"
    # Root, without its rights, cannot tell either; with them it can.
    found = rows(looked(lambda: filtered(number, errno.EPERM)))
    assert found["open_tree, move_mount"]["state"] == "missing"


def test_without_proc() -> None:
    def hide() -> None:
        own_mounts()
        mounts.mount("none", "/proc", fstype="tmpfs")

    found = rows(looked(hide))
    assert found["net namespaces"]["state"] == "unknown"
    assert found["cgroups"]["state"] == "missing"


def test_a_container() -> None:
    def mark() -> None:
        own_mounts()
        mounts.mount("none", "/run", fstype="tmpfs")
        os.mkdir("/run/systemd")
        pathlib.Path("/run/systemd/container").write_text("systemd-nspawn\n")

    each = rows(looked(mark))["no container around"]
    assert each["state"] == "limited"
    assert each["found"] == "this is a container of systemd-nspawn"
