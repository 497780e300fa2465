# SPDX-License-Identifier: GPL-3.0-or-later
"""The test host after the role was applied."""

from __future__ import annotations

import json

import pytest

KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
UNIT = "linux-namespaces:web:nginx.service"


@pytest.fixture
def nginx(host):
    """The pid of nginx: the process of its own session, which its workers are children of."""
    masters = [
        process for process in host.process.filter(comm="nginx") if process.sess == process.pid
    ]
    assert len(masters) == 1
    return masters[0].pid


def test_host_booted_completely(host):
    assert host.check_output("systemctl is-system-running --wait") == "running"


def test_serves(host):
    page = host.check_output("python3 -c %s", PRINT_PAGE)
    assert "namespace web" in page


PRINT_PAGE = (
    "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8080/').read().decode())"
)


def test_mount_namespace_differs_from_the_hosts(host, nginx):
    assert ns(host, nginx, "mnt") != ns(host, 1, "mnt")


def ns(host, pid, kind):
    link = host.check_output("readlink /proc/%s/ns/%s", str(pid), kind)
    return int(link.partition("[")[2].rstrip("]"))


def test_shares_the_other_namespaces_with_the_host(host, nginx):
    for kind in sorted(set(KINDS) - {"mnt"}):
        assert ns(host, nginx, kind) == ns(host, 1, kind), kind


def test_root_differs_from_the_hosts(host, nginx):
    inside = host.check_output("stat --dereference --format=%%d:%%i /proc/%s/root/", str(nginx))
    assert inside != host.check_output("stat --format=%%d:%%i /")


def test_mount_table_of_the_host_gains_only_pins(host):
    mounted = [mount.path for mount in host.mount_point.get_mountpoints()]
    ours = [path for path in mounted if "linux-namespaces" in path]
    assert ours == ["/run/linux-namespaces", "/run/linux-namespaces/web/mnt"]
    assert not [
        mount
        for mount in host.mount_point.get_mountpoints()
        if mount.filesystem == "overlay" and mount.path != "/"
    ]


def test_old_root_cannot_be_reached_inside(host, nginx):
    inside = host.check_output("cat /proc/%s/mountinfo", str(nginx)).splitlines()
    root = next(
        line.split()
        for line in host.check_output("cat /proc/1/mountinfo").splitlines()
        if line.split()[4] == "/"
    )
    assert [line for line in inside if line.split()[2:4] == root[2:4]] == []
    marker = host.check_output("cat /etc/hostname")
    assert marker == host.ansible.get_variables()["inventory_hostname"]
    assert host.run("chroot /proc/%s/root cat /etc/hostname", str(nginx)).stdout.strip() != marker


def test_has_no_descriptor_of_the_host_but_the_standard_ones(host, nginx):
    """What nginx has open itself lies on mounts of its own namespace."""
    for number in host.check_output("ls /proc/%s/fd", str(nginx)).split():
        if int(number) <= 2:
            continue
        link = host.check_output("readlink /proc/%s/fd/%s", str(nginx), number)
        assert link.startswith(("socket:", "anon_inode:", "pipe:", "/var/log/nginx/")), link


def test_has_no_helper_beside_it(host, nginx):
    own = ns(host, nginx, "mnt")
    listed = host.check_output("lsns --type mnt --noheadings --output NS,NPROCS").splitlines()
    counts = {int(line.split()[0]): int(line.split()[1]) for line in listed}
    workers = [process for process in host.process.filter(comm="nginx") if process.pid != nginx]
    assert workers
    assert counts[own] == 1 + len(workers)
    assert host.process.get(pid=nginx).ppid == 1
    assert "nsctl" not in host.check_output("ps -A -o args=")


def test_is_the_main_process_of_its_unit(host, nginx):
    expected = {
        "MainPID": str(nginx),
        "ActiveState": "active",
        "UnitFileState": "enabled",
        "NeedDaemonReload": "no",
    }
    shown = host.check_output("systemctl show --property=%s %s", ",".join(expected), UNIT)
    assert dict(line.split("=", 1) for line in shown.splitlines()) == expected


def test_nsctl_shows_the_mounts_as_wanted(host):
    seen = json.loads(host.check_output("nsctl show --json web"))
    assert seen["state"] == "up"
    assert seen["changes"] == []
    assert {mount["state"] for mount in seen["mounts"]} == {"ok"}


def test_no_mount_lies_on_another(host, nginx):
    table = host.check_output("cat /proc/%s/mountinfo", str(nginx)).splitlines()
    paths = [line.split()[4] for line in table]
    assert len(paths) == len(set(paths))


def test_no_file_is_half_written(host):
    """What a run that was killed may leave, it or the next one takes away."""
    found = host.check_output(
        "find /etc/linux-namespaces /run/linux-namespaces /usr/local/lib/linux-namespaces "
        "/usr/local/sbin /etc/systemd/system /var/lib/linux-namespaces-web -maxdepth 2 "
        "-name '*.new*'"
    )
    assert found == ""


def test_ns_info_knows_the_ids_the_name_and_the_pin(host, nginx):
    arguments = json.dumps({"pid": nginx})
    found = host.ansible("linux.namespaces.ns_info", arguments, check=False)["namespaces"]
    by_kind = {each["kind"]: each for each in found}
    assert {kind: each["id"] for kind, each in by_kind.items()} == {
        kind: ns(host, nginx, kind) for kind in KINDS
    }
    assert by_kind["mnt"]["name"] == "web"
    assert "/run/linux-namespaces/web/mnt" in by_kind["mnt"]["pins"]
