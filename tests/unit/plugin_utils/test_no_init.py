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
        ("command systemctl stop x", "systemctl"),
        ("watch -n 2 systemctl status x", "systemctl"),
        ("script -q -c 'systemctl stop x' /dev/null", "systemctl"),
        ("trap reboot EXIT", "reboot"),
        ("find /etc -name '*.service' -exec systemctl disable {} ';'", "systemctl"),
        pytest.param("$(" * 5_000 + "systemctl" + ")" * 5_000, "systemctl", id="substitutions"),
        pytest.param("eval " * 3_000 + "systemctl", "systemctl", id="evals"),
        ("eval 'systemctl stop x'", "systemctl"),
        ("chroot / systemctl stop x", "systemctl"),
        ("flock -w 5 /run/lock systemctl stop x", "systemctl"),
        ("nsenter --target 1 -a systemctl stop x", "systemctl"),
        ("sudo --user root reboot", "reboot"),
        ("run0 id", "run0"),
        ("su --command='reboot' root", "reboot"),
        ("runuser -u root -- reboot", "reboot"),
        ("bash -eo pipefail -c reboot", "reboot"),
        ("bash -c -e reboot", "reboot"),
        ("sudo sh <<EOF\nreboot\nEOF\n", "reboot"),
        ("bash <<<'true; reboot'", "reboot"),
        ("bash -s <<< $x\"reboot\" && true", None),
        ("cat <<< reboot", None),
        ("true <<<x\nsh <<EOF <<<true\nreboot\nEOF", "reboot"),
        ("sh /etc/init.d/cron stop", "cron"),
        ('echo "is $(systemctl is-active x)"', "systemctl"),
        ('echo "is `systemctl is-active x`"', "systemctl"),
        ('test "$(echo ")"; reboot)"', "reboot"),
        ("# don't\nreboot", "reboot"),
        ("2>/dev/null reboot", "reboot"),
        ("reb''oot", "reboot"),
        ("\\reboot", "reboot"),
        ("sys\\\ntemctl stop x", "systemctl"),
        ("//usr/bin/../sbin/reboot", "reboot"),
        ("echo b > /proc/sysrq-trigger", "sysrq-trigger"),
        ("case x in x) reboot;; esac", "reboot"),
        ("case x in (x) reboot;; esac", "reboot"),
        ("case x in (y) :;; (x) (reboot);; esac", "reboot"),
        ("[[ $1 =~ (a|b) ]] && (reboot)", "reboot"),
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
        ("sudo -H -S -n -u svc /bin/sh -c 'echo OK ; id'", None),
        ("sudo -nu service id", None),
        ("su - service", None),
        ("su  svc -c '/bin/sh -c id'", None),
        ("env -u service id", None),
        ("xargs -I service echo service", None),
        ("sh ./deploy.sh reboot", None),
        ("sh -c 'echo $1' x reboot", None),
        ("/root/.ansible/tmp/ansible-tmp-1/init ", None),
        ("./service start", None),
        ("cat > /etc/x <<EOF\nservice x\nreboot\nEOF\ntrue", None),
        ("cat <<-'EOF'\n\treboot\n\tEOF", None),
        ("case $1 in\n  init | reboot) echo x;;\nesac", None),
        ("case $1 in (init | reboot) echo x;;\n  (halt) echo y;; esac", None),
        ("if [[ $1 =~ ^(init|reboot)$ ]]; then echo x; fi", None),
        ("actions=(service reboot)", None),
        ("echo a # ; reboot", None),
        ("mysql -e 'select `service` from x'", None),
        ("echo $((init+1)) '$(reboot)'", None),
        ("systemctl --version", None),
        ("cat /proc/sysrq-trigger", None),
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
        ("command", {"_raw_params": "sh", "stdin": "cd /\nsystemctl stop x"}, "systemctl"),
        ("command", {"argv": ["bash", "-s"], "stdin": "reboot"}, "reboot"),
        ("shell", {"_raw_params": "cat >/x", "stdin": "reboot"}, None),
        ("command", {"_raw_params": "sh", "stdin": ["reboot"]}, None),
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
