# SPDX-License-Identifier: GPL-3.0-or-later
"""The namespace after the role was applied, and its host, which has nothing of it."""

from __future__ import annotations

testinfra_hosts = ["ansible://web", "ansible://ni-bookworm"]
GREETING = "/etc/greeting"


def test_greeting(host):
    file = host.file(GREETING)
    assert file.exists == is_inside(host)
    if file.exists:
        assert file.content_string.strip() == "Hello from web, with Debian."
        assert (file.user, file.mode) == ("greeter", 0o640)
        assert host.file("/var/lib/greeter/read").exists


def test_user(host):
    assert host.user("greeter").exists == is_inside(host)


def test_root_and_processes(host):
    inside = is_inside(host)
    assert (host.check_output("hostname") == "web") == inside
    assert (host.check_output("cat /proc/1/comm") == "systemd") != inside


def test_tools_of_the_host(host):
    """Modules run there as well."""
    found = host.ansible("ansible.builtin.stat", f"path={GREETING}", check=False)
    assert found["stat"]["exists"] == is_inside(host)


def is_inside(host):
    return host.ansible.get_variables()["inventory_hostname"] == "web"
