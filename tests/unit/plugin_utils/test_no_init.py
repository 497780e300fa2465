# SPDX-License-Identifier: GPL-3.0-or-later
"""What asks an init for something, as it is known before it runs."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ansible_collections.linux.namespaces.plugins.plugin_utils import _no_init


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("reboot", "reboot"),
        ("/sbin/shutdown -r +0 'now {{ x }}'", "shutdown"),
        ("systemctl stop cron", "systemctl"),
        ("cd / && LC_ALL=C systemctl stop cron", "systemctl"),
        ("if ! systemctl is-active x; then true; fi", "systemctl"),
        ("true; (reboot)", "reboot"),
        ("true\nreboot\n", "reboot"),
        ("echo $(systemctl show x)", "systemctl"),
        ("echo `systemctl show x`", "systemctl"),
        ("true >/dev/null 2>&1 || service cron stop", "service"),
        ("sudo -n -u root systemctl stop x", "systemctl"),
        ("env -i A=1 nohup nice -n 5 timeout 5s reboot &", "reboot"),
        ("/bin/sh -c 'sleep 1; reboot'", "reboot"),
        ("/bin/sh -c 'sudo -H -S -n  -u root /bin/sh -c '\"'\"'echo OK ; /sbin/reboot'\"'\"''", "reboot"),
        ("su - root -c 'poweroff -f'", "poweroff"),
        ("busybox reboot", "reboot"),
        ("echo cron | xargs -n 1 systemctl stop", "systemctl"),
        ("/etc/init.d/cron stop", "cron"),
        ("systemd-run --wait id", "systemd-run"),
        ("init 6", "init"),
        ("cat 'unbalanced; reboot", None),
        ("reboot 'unbalanced", "reboot"),
        ("echo reboot", None),
        ("which systemctl", None),
        ("command -v systemctl", None),
        ("test -x /sbin/reboot && echo 'reboot; or not'", None),
        ("cat /etc/init.d/cron > /tmp/service", None),
        ("apt-get install -y shutdown service", None),
        ("grep -r reboot /etc | grep systemctl", None),
        ("git init", None),
        ("/usr/bin/python3 && sleep 0", None),
        ("", None),
    ],
)  # fmt: skip
def test_commands(text: str, asks: str | None) -> None:
    assert _no_init.of_command(text) == asks


@pytest.mark.parametrize(
    ("action", "arguments", "asks"),
    [
        ("reboot", {}, "reboot"),
        ("ansible.builtin.service", {"name": "x"}, "service"),
        ("ansible.legacy.systemd", {}, "systemd"),
        ("community.general.shutdown", {}, "shutdown"),
        ("linux.namespaces.ns_service", {}, "ns_service"),
        ("command", {"_raw_params": "systemctl stop x"}, "systemctl"),
        ("ansible.builtin.command", {"argv": ["/bin/systemctl", "stop", "x"]}, "systemctl"),
        ("ansible.builtin.command", {"argv": ["echo", "; reboot"]}, None),
        ("ansible.builtin.shell", {"cmd": "true && reboot"}, "reboot"),
        ("expect", {"command": "shutdown -h now"}, "shutdown"),
        ("copy", {"content": "reboot", "cmd": "reboot"}, None),
        ("command", {"_raw_params": None, "argv": [1, None]}, None),
        ("package", {"name": "service"}, None),
        ("", {}, None),
    ],
)
def test_tasks(action: str, arguments: dict[str, t.Any], asks: str | None) -> None:
    assert _no_init.of_task(action, arguments) == asks


def test_modules_on_their_way() -> None:
    assert _no_init.of_payload(b"x(\n module_fqn='ansible.modules.systemd',") == "systemd"
    assert _no_init.of_payload(b"f(module_fqn=module_fqn) module_fqn='a.b.plugins.modules.service'")
    assert _no_init.of_payload(b"module_fqn='ansible.modules.setup'") is None
    assert _no_init.of_payload(b"reboot systemd module_fqn=") is None
    assert _no_init.of_file("/root/.ansible/tmp/x/AnsiballZ_systemd.py") == "systemd"
    assert _no_init.of_file("/tmp/AnsiballZ_service") == "service"
    assert _no_init.of_file("/etc/systemd") is None
    assert _no_init.of_file("/tmp/AnsiballZ_setup.py") is None


def test_facts() -> None:
    said = b'{"ansible_facts": {"ansible_service_mgr": "systemd", "x": "ansible_service_mgr"}}\n'
    assert _no_init.without_manager(said) == said.replace(b'"systemd"', b'"service"')
    quoted = b'{"stdout": "{\\"ansible_service_mgr\\": \\"systemd\\"}"}'
    assert _no_init.without_manager(quoted) == quoted


@given(
    some.text(alphabet="a; \n'\"\\()<>|&$`-=1{}")
    | some.lists(
        some.sampled_from(["reboot", "sh", "-c", "sudo", ";", "'", "\n", "(", ">", "env"])
    ).map(" ".join)
)
def test_any_command(text: str) -> None:
    found = _no_init.of_command(text)
    assert found in (None, "reboot")
