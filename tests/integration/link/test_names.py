# SPDX-License-Identifier: GPL-3.0-or-later
"""Names: /etc/netns/NAME as `ip netns exec` has it, and the same files inside."""

from __future__ import annotations

import os
import pathlib
import subprocess
import typing as t

import pytest
from command import Nsctl
from host_state import host_state
from named_namespaces import NewName
from reboots import reboot
from results import Converge, RunModule, is_failure

NETNS = pathlib.Path("/etc/netns")


def linked(name: str, *kinds: str, **dns: t.Any) -> dict[str, t.Any]:
    """A namespace whose interface has names."""
    dns = dns or {
        "servers": ["10.9.0.1", "FD00:9::1"],
        "search": ["example.internal"],
        "options": ["ndots:2"],
        "hosts": [{"address": "10.9.0.7", "names": ["db", "db.example.internal"]}],
    }
    link = {
        "name": "eth0", "kind": "veth", "peer": {"name": "ve0"}, "addresses": ["10.9.0.2/24"], "dns": dns,
    }  # fmt: skip
    return {"name": name, "kinds": ["net", *kinds], "links": [link]}


def read_by(nsctl: Nsctl, name: str, file: str) -> str:
    """What a program finds in the file that nsctl starts there."""
    return nsctl("exec", name, "cat", f"/etc/{file}").stdout


def test_the_files(converge: Converge, new_name: NewName) -> None:
    name, before = new_name(), host_state()
    converge("ns_namespace", linked(name))
    lines = (NETNS / name / "resolv.conf").read_text().splitlines()
    assert lines[1:] == [
        "nameserver 10.9.0.1",
        "nameserver fd00:9::1",
        "search example.internal",
        "options ndots:2",
    ]
    assert "10.9.0.7 db db.example.internal" in (NETNS / name / "hosts").read_text()
    # As `ip netns` has them.
    argv = ["ip", "netns", "exec", name, "cat", "/etc/resolv.conf"]
    assert "10.9.0.1" in subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    converge("ns_namespace", linked(name, servers=["10.9.0.9"]))
    assert sorted(os.listdir(NETNS / name)) == ["resolv.conf"]
    options = linked(name)
    del options["links"][0]["dns"]
    converge("ns_namespace", options)
    assert not (NETNS / name).exists()
    converge("ns_namespace", linked(name))
    converge("ns_namespace", {"name": name, "state": "absent"})
    assert host_state() == before


@pytest.mark.parametrize(
    "kinds", [(), ("mnt",), ("mnt", "user"), ("user",), ("pid",)], ids="-".join
)
def test_programs_find_them(
    converge: Converge,
    nsctl: Nsctl,
    new_name: NewName,
    run_module: RunModule,
    kinds: tuple[str, ...],
) -> None:
    name = new_name()
    hosts = pathlib.Path("/etc/hosts").read_text()
    converge("ns_namespace", linked(name, *kinds))
    assert "10.9.0.1" in read_by(nsctl, name, "resolv.conf")
    assert "db.example.internal" in read_by(nsctl, name, "hosts")
    argv = ["cat", "/etc/resolv.conf"]
    said = run_module("ns_setns_run", {"namespace": name, "argv": argv})
    assert "10.9.0.1" in said["stdout"]
    # By another name for the server, also where it is mounted already.
    converge("ns_link", {"namespace": name, **linked(name, servers=["10.9.0.9"])["links"][0]})
    assert "10.9.0.9" in read_by(nsctl, name, "resolv.conf")
    assert read_by(nsctl, name, "hosts").strip() == hosts.strip()
    assert pathlib.Path("/etc/hosts").read_text() == hosts


def test_after_a_pivot_and_a_reboot(
    converge: Converge,
    nsctl: Nsctl,
    new_name: NewName,
    tmp_path: pathlib.Path,
    run_module: RunModule,
) -> None:
    name, other = new_name(), new_name()
    root = tmp_path / "root"
    for each in ("etc", "mnt", "usr", "lib", "lib64", "bin", "opt", "root", "proc"):
        (root / each).mkdir(parents=True)
    # A link that leads nowhere, as to what a resolver of the host would write.
    (root / "etc/resolv.conf").symlink_to("../run/nowhere/resolv.conf")
    converge("ns_namespace", linked(name, "mnt"))
    mounts = [
        {"path": str(root), "src": str(root), "opts": "bind"},
        {"path": f"{root}/proc", "src": "proc", "fstype": "proc"},
        *[
            {"path": f"{root}/{each}", "src": f"/{each}", "opts": "rbind,ro"}
            for each in ("usr", "lib", "lib64", "bin", "opt", "root")
            if pathlib.Path("/", each).exists()
        ],
    ]
    converge("ns_mount", {"namespace": name, "mounts": mounts})
    converge("ns_pivot_root", {"namespace": name, "new_root": str(root)})

    def is_there() -> bool:
        return "10.9.0.1" in read_by(nsctl, name, "resolv.conf") and "db" in read_by(
            nsctl, name, "hosts"
        )

    assert is_there()
    assert (root / "etc/resolv.conf").is_symlink()
    assert run_module("ns_namespace", linked(name, "mnt"))["actions"] == []
    assert nsctl.data("show", name)["changes"] == []
    reboot()
    nsctl("up", name)
    assert is_there()
    # Taken away by hand, and mended.
    nsctl("exec", name, "umount", "/etc/hosts")
    assert (
        f"lay /etc/netns/{name}/hosts over /etc/hosts inside" in nsctl.data("show", name)["changes"]
    )
    nsctl("up", name)
    assert is_there()
    # Who shares its network asks as it does.
    converge("ns_namespace", {"name": other, "kinds": ["mnt"], "share": {"net": name}})
    assert "10.9.0.1" in read_by(nsctl, other, "resolv.conf")
    converge("ns_namespace", {"name": other, "state": "absent"})


def test_what_is_others_is_not_touched(
    converge: Converge, nsctl: Nsctl, run_module: RunModule, new_name: NewName
) -> None:
    name = new_name()
    directory = NETNS / name
    directory.mkdir(parents=True)
    (directory / "resolv.conf").write_text("nameserver 192.0.2.1\n")
    (directory / "nsswitch.conf").write_text("hosts: files\n")
    try:
        before = host_state()
        for check in (True, False):
            failed = run_module("ns_namespace", linked(name), check=check)
            is_failure(failed, "was not written by this collection", "ip netns exec")
        assert host_state() == before
        converge("ns_namespace", {"name": name, "kinds": ["net"]})
        assert "192.0.2.1" in read_by(nsctl, name, "resolv.conf")
        assert read_by(nsctl, name, "nsswitch.conf") == "hosts: files\n"
        converge("ns_namespace", {"name": name, "state": "absent"})
        assert sorted(os.listdir(directory)) == ["nsswitch.conf", "resolv.conf"]
    finally:
        for each in directory.iterdir():
            each.unlink()
        directory.rmdir()
        if not os.listdir(NETNS):
            NETNS.rmdir()


@pytest.mark.parametrize(
    ("dns", "reason"),
    [
        ({"servers": ["nowhere"]}, "no address"),
        ({"servers": ["10.9.0.1\nnameserver 6.6.6.6"]}, "no address"),
        ({"servers": ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]}, "4 servers"),
        ({"search": ["a b"]}, "no name of a domain"),
        ({"search": ["a\nnameserver 6.6.6.6"]}, "no name of a domain"),
        ({"options": ["ndots:2 rotate"]}, "options has"),
        ({"hosts": [{"address": "x", "names": ["db"]}]}, "no address"),
        ({"hosts": [{"address": "10.0.0.1", "names": []}]}, "without names"),
        ({"hosts": [{"address": "10.0.0.1", "names": ["a b"]}]}, "no name of a host"),
    ],
)
def test_refused(
    run_module: RunModule, new_name: NewName, dns: dict[str, t.Any], reason: str
) -> None:
    name, before = new_name(), host_state()
    for check in (True, False):
        failed = run_module("ns_namespace", linked(name, **dns), check=check)
        assert failed.get("failed")
        assert reason in failed["msg"]
    assert host_state() == before
