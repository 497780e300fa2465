# SPDX-License-Identifier: GPL-3.0-or-later
"""The test host after the role removed what it made: nothing is left."""

from __future__ import annotations


def test_no_process_is_left(host):
    assert host.process.filter(comm="nginx") == []


def test_no_file_is_left(host):
    for path in (
        "/etc/linux-namespaces",
        "/run/linux-namespaces",
        "/usr/local/lib/linux-namespaces",
        "/usr/local/sbin/nsctl",
        "/usr/local/share/man/man8/nsctl.8",
        "/usr/local/share/bash-completion/completions/nsctl",
        "/usr/local/share/zsh/site-functions/_nsctl",
        "/var/lib/linux-namespaces-web",
        "/var/log/linux-namespaces",
    ):
        assert not host.file(path).exists, path


def test_systemd_knows_nothing_of_it(host):
    assert host.check_output("find /etc/systemd/system -name 'linux-namespaces*'") == ""
    listed = host.check_output("systemctl list-units --all --no-legend 'linux-namespaces*'")
    assert listed == ""
    assert host.check_output("systemctl is-system-running --wait") == "running"


def test_no_mount_is_left(host):
    mounted = [mount.path for mount in host.mount_point.get_mountpoints()]
    assert [path for path in mounted if path.startswith("/run/linux-namespaces/")] == []


def test_every_process_lives_in_a_namespace_of_the_system(host):
    """A mount namespace that no unit of systemd accounts for is one that the role left behind."""
    own = host.check_output("readlink /proc/1/ns/mnt")
    listed = host.check_output("lsns --type mnt --noheadings --output NS,PID,COMMAND")
    for line in listed.splitlines():
        namespace, pid, command = line.split(None, 2)
        # A thread of the kernel has no command line. devtmpfs has one, with a namespace of its own.
        if f"mnt:[{namespace}]" != own and host.check_output("cat /proc/%s/cmdline", pid):
            unit = host.check_output("cat /proc/%s/cgroup", pid)
            assert "/system.slice/systemd-" in unit, command
