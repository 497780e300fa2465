# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays inside that would act on the host's init: they are refused, unless that is what is meant."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import sys
import typing as t

import pytest
from module_server import CHECKOUT
from processes_inside import inside
from results import RunModule
from roots import with_root_of_host

from ansible_collections.linux.namespaces.plugins.module_utils._core import nsctl
from ansible_collections.linux.namespaces.plugins.module_utils._core.install import host_command

NewName = t.Callable[[], str]
Task = dict[str, t.Any]
Results = dict[str, dict[str, t.Any]]

# What would act on the host, were it run: it says that it was, and with which environment.
CALLED = "/var/tmp/called"
COMMANDS = ("systemctl", "shutdown", "reboot", "hostnamectl", "service")
COMMAND = f"""#!/bin/sh
echo "$0 $*, offline ${{SYSTEMD_OFFLINE:-no}}" >>{CALLED}
[ "${{SYSTEMD_OFFLINE:-}}" = 1 ] || [ "$1" != show ] || printf 'LoadState=loaded\\nActiveState=active\\n'
"""
CALLING = """
from ansible.plugins.action import ActionBase
class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        if "command" in self._task.args:
            done = self._low_level_execute_command(self._task.args["command"])
            return dict(failed=done["rc"] != 0, **done)
        return self._execute_module(**self._task.args, task_vars=task_vars)
"""
STUB = """#!/usr/bin/python3
from ansible.module_utils.basic import AnsibleModule
AnsibleModule({}, supports_check_mode=True).exit_json(changed=True)
"""

REFUSED: list[Task] = [
    {"reboot": {}},
    {"ansible.builtin.reboot": {"reboot_command": "/bin/true"}},
    {"ansible.legacy.reboot": {}},
    {"service": {"name": "cron", "state": "stopped"}},
    {"service": {"name": "cron", "state": "stopped", "use": "service"}},
    {"service": {"name": "cron"}, "vars": {"ansible_facts": {"service_mgr": "systemd"}}},
    {"ansible.builtin.service": {"name": "cron", "enabled": False}},
    {"systemd": {"name": "cron", "state": "stopped"}},
    {"ansible.builtin.systemd": {"daemon_reload": True}},
    {"ansible.builtin.systemd_service": {"name": "cron", "state": "restarted"}},
    {"ansible.legacy.systemd_service": {"name": "cron", "state": "started"}},
    {"action": "systemd name=cron state=stopped"},
    {"sysvinit": {"name": "cron", "state": "stopped"}},
    {"hostname": {"name": "other"}},
    {"shutdown": {}},
    {"timezone": {}},
    {"linux.namespaces.ns_service": {"namespace": "x", "name": "x", "state": "stopped"}},
    {"command": "systemctl stop cron"},
    {"ansible.builtin.command": {"argv": ["/usr/bin/systemctl", "stop", "cron"]}},
    {"shell": "cd / && reboot"},
    {"ansible.builtin.shell": {"cmd": "service cron stop"}},
    {"shell": 'echo "is $(systemctl restart cron)"'},
    {"shell": {"cmd": "# don't\ncommand systemctl stop cron"}},
    {"raw": "systemctl stop cron"},
    {"raw": "env --unset X sh -c 'eval systemctl stop cron'"},
    {"calling": {"command": "/sbin/shutdown -r now"}},
    {"calling": {"module_name": "ansible.legacy.systemd", "module_args": {"name": "cron"}}},
    {"calling": {"module_name": "ansible.builtin.service", "module_args": {"name": "cron"}}},
    {"systemd": {"name": "cron", "state": "stopped"}, "async": 30, "poll": 1},
    {"command": "systemctl stop {{ item }}", "loop": ["cron"]},
]
# They are skipped in check mode.
NOT_CHECKED = ("raw", "calling", "action")


@pytest.fixture
def web(run_module: RunModule, new_name: NewName) -> t.Iterator[str]:
    """A namespace that looks like one of a host with systemd, which only notes what it is asked."""
    name = new_name()
    with_root_of_host(run_module, name, kinds=("mnt", "pid", "uts"))
    host_command.present(nsctl, check=False)

    def prepare() -> None:
        pathlib.Path("/run/systemd/system").mkdir(parents=True)
        pathlib.Path("/run/comm").write_text("systemd\n")
        subprocess.run(["mount", "--bind", "/run/comm", "/proc/1/comm"], check=True)
        for command in COMMANDS:
            for directory in ("/usr/bin", "/usr/sbin"):
                path = pathlib.Path(directory, command)
                path.unlink(missing_ok=True)
                path.write_text(COMMAND)
                path.chmod(0o755)

    inside(name, prepare)
    yield name
    host_command.absent(check=False)
    shutil.rmtree(f"/run/tests/{name}")


class Play:
    """A play inside, whose tasks may all fail."""

    def __init__(self, directory: pathlib.Path, web: str) -> None:
        self._directory = directory
        self._web = web
        for path, text in (
            ("action_plugins/calling.py", CALLING),
            ("library/calling.py", STUB),
            ("library/shutdown.py", STUB),
            ("library/timezone.py", STUB),
        ):
            (directory / path).parent.mkdir(exist_ok=True)
            (directory / path).write_text(text)

    def __call__(self, tasks: t.Sequence[Task], *words: str, **variables: t.Any) -> list[Task]:
        hosts = {
            "inside": {
                "ansible_connection": "linux.namespaces.local",
                "ansible_ns_namespace": self._web,
                "ansible_python_interpreter": "/usr/bin/python3",
                **variables,
            }
        }
        said = self._directory / "said.json"
        numbered = [
            {**task, "register": f"task{number}", "ignore_errors": True}
            for number, task in enumerate(tasks)
        ]
        content = "{{ [" + ", ".join(f"task{n}" for n in range(len(tasks))) + "] | to_json }}"
        tell = {
            "copy": {"content": content, "dest": str(said)},
            "delegate_to": "localhost",
            "check_mode": False,
            "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
        }
        play = {"hosts": "inside", "gather_facts": False, "tasks": [*numbered, tell]}
        (self._directory / "play.json").write_text(json.dumps([play]))
        (self._directory / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
        program = str(pathlib.Path(sys.executable).parent / "ansible-playbook")
        files = ["-i", str(self._directory / "hosts.json"), str(self._directory / "play.json")]
        done = subprocess.run(
            [program, *files, *words], check=False, capture_output=True, text=True, cwd=CHECKOUT
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        found: list[Task] = json.loads(said.read_text())
        return found

    def called(self) -> list[str]:
        """What was asked of the host since the last time."""

        def take() -> list[str]:
            path = pathlib.Path(CALLED)
            lines = path.read_text().splitlines() if path.exists() else []
            path.unlink(missing_ok=True)
            return lines

        return inside(self._web, take)


@pytest.fixture
def play(tmp_path: pathlib.Path, web: str) -> Play:
    return Play(tmp_path, web)


@pytest.mark.parametrize(("pipelining", "check"), [(True, False), (False, False), (True, True)])
def test_what_asks_an_init_is_refused(play: Play, pipelining: bool, check: bool) -> None:
    tasks = [task for task in REFUSED if not (check and set(NOT_CHECKED) & set(task))]
    results = play(tasks, *(["--check"] if check else []), ansible_pipelining=pipelining)
    for task, result in zip(tasks, results):
        (each,) = result.get("results", [result])
        assert each.get("failed"), (task, result)
        assert not each.get("unreachable"), (task, result)
        assert "which has no init of its own" in each["msg"], (task, result)
        assert "ansible_ns_has_init" in each["msg"]
    assert play.called() == []


def test_over_ssh_before_anything_is_reached(play: Play) -> None:
    tasks = [{"reboot": {}}, {"service": {"name": "cron"}}, {"command": "systemctl stop cron"}]
    away = {"ansible_connection": "linux.namespaces.ssh", "ansible_host": "192.0.2.1"}
    for result in play(tasks, **away):
        assert "which has no init of its own" in result["msg"], result
        assert not result.get("unreachable")


def test_where_an_init_is_said_to_be(play: Play) -> None:
    """They do what they do on any host, in the environment of any host."""
    results = play(
        [
            {"systemd": {"name": "cron", "state": "stopped"}},
            {"command": "systemctl stop cron"},
            {"raw": "service cron stop"},
            {"calling": {"command": "/sbin/shutdown -r now"}},
            {"setup": {"gather_subset": ["!all", "!min", "service_mgr"]}},
            {"reboot": {}, "check_mode": True},
        ],
        ansible_ns_has_init=True,
    )
    assert not any(result.get("failed") for result in results), results
    called = play.called()
    assert len([line for line in called if "stop cron" in line or "cron stop" in line]) == 3
    assert any(line.startswith("/sbin/shutdown -r now") for line in called)
    assert all(line.endswith("offline no") for line in called)
    assert results[4]["ansible_facts"]["ansible_service_mgr"] == "systemd"


@pytest.mark.parametrize("pipelining", [True, False])
def test_what_asks_none_is_as_ever(play: Play, tmp_path: pathlib.Path, pipelining: bool) -> None:
    script = tmp_path / "init"
    script.write_text("#!/bin/sh\nsystemctl restart cron\n")
    results = play(
        [
            {"ping": {}},
            {"command": "echo reboot systemctl"},
            {"shell": "cat >/dev/null <<EOF\nservice x\nreboot\nEOF"},
            {"copy": {"content": "service\n", "dest": "/var/tmp/AnsiballZ_systemd"}},
            {"stat": {"path": "/sbin/reboot"}},
            {"script": str(script)},
            {"command": "true", "vars": {"ansible_ns_has_init": False}},
        ],
        ansible_pipelining=pipelining,
    )
    assert not any(result.get("failed") for result in results), results
    assert results[1]["stdout"] == "reboot systemctl"
    # What a script hides runs, but not in a way that systemctl(1) would ask the host's systemd.
    (called,) = play.called()
    assert called.endswith("systemctl restart cron, offline 1")


@pytest.mark.parametrize("pipelining", [True, False])
def test_facts_of_inside(play: Play, pipelining: bool) -> None:
    results = play(
        [
            {"setup": {"gather_subset": ["!all", "!min", "service_mgr"]}},
            {"gather_facts": {"parallel": True}},
            {"service_facts": {}},
            {"set_fact": {"seen": "{{ ansible_facts.service_mgr }}"}},
        ],
        ansible_pipelining=pipelining,
    )
    assert not any(result.get("failed") for result in results), results
    assert results[0]["ansible_facts"]["ansible_service_mgr"] == "service"
    assert results[1]["ansible_facts"]["ansible_service_mgr"] == "service"
    assert results[3]["ansible_facts"]["seen"] == "service"
    assert all(line.endswith("offline 1") for line in play.called())


def test_a_file_with_facts_is_fetched_as_it_is(play: Play, tmp_path: pathlib.Path) -> None:
    facts = '{"ansible_service_mgr": "systemd"}'
    results = play(
        [
            {"copy": {"content": facts, "dest": "/var/tmp/facts.json"}},
            {"fetch": {"src": "/var/tmp/facts.json", "dest": f"{tmp_path}/", "flat": True}},
            {"command": "cat /var/tmp/facts.json"},
        ]
    )
    assert not any(result.get("failed") for result in results), results
    assert (tmp_path / "facts.json").read_text() == facts
    assert results[2]["stdout"] == facts
