# SPDX-License-Identifier: GPL-3.0-or-later
"""The test host after the role was applied."""

from __future__ import annotations


def test_host_booted_completely(host):
    assert host.check_output("systemctl is-system-running") == "running"


def test_host_has_pure_cgroup_v2(host):
    assert host.mount_point("/sys/fs/cgroup").filesystem == "cgroup2"


def test_archive_is_read_only(host):
    assert "ro" in host.mount_point("/srv/nginx-rootfs.tar").options
