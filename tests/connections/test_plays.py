# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole plays inside: each connection, with and without pipelining, as root and by sudo and doas.

`make test-connection` runs this: it takes some minutes.
"""

from __future__ import annotations

import filecmp
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import typing as t

import pytest
from module_server import CHECKOUT
from remote_host import ADMIN, PLAIN, remote_host
from results import RunModule
from roots import with_root_of_host

from ansible_collections.linux.namespaces.plugins.module_utils._core import nsctl
from ansible_collections.linux.namespaces.plugins.module_utils._core.install import host_command
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc

HERE = pathlib.Path(__file__).parent
Variables = dict[str, t.Any]
NewName = t.Callable[[], str]
INSIDE = "inside"


@pytest.fixture(scope="module")
def remote() -> t.Iterator[Variables]:
    with remote_host() as variables:
        yield variables


@pytest.fixture
def web(run_module: RunModule, new_name: NewName) -> t.Iterator[str]:
    name = new_name()
    with_root_of_host(run_module, name, kinds=("mnt", "pid", "uts"), hostname=INSIDE)
    yield name
    shutil.rmtree(f"/run/tests/{name}")
    host_command.absent(check=False)


@pytest.fixture
def way(request: pytest.FixtureRequest) -> None:
    if request.param == "nsctl":
        host_command.present(nsctl, check=False)


def ssh(remote: Variables, escalation: str = "none", **variables: t.Any) -> Variables:
    user = {"ansible_user": "root" if escalation == "none" else ADMIN}
    plugin = {"ansible_connection": "linux.namespaces.ssh", "ansible_ns_escalation": escalation}
    return {**remote, **user, **plugin, **variables}


def local(escalation: str = "none", **variables: t.Any) -> Variables:
    plugin = {"ansible_connection": "linux.namespaces.local", "ansible_ns_escalation": escalation}
    return {**plugin, **variables}


class Ansible:
    """Runs Ansible's commands with an inventory."""

    def __init__(self, directory: pathlib.Path, hosts: dict[str, Variables]) -> None:
        self._inventory = directory / "hosts.json"
        common = {"ansible_python_interpreter": "/usr/bin/python3"}
        self._inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": common}}))

    def __call__(
        self, program: str, *words: str, code: int | None = 0, **options: t.Any
    ) -> subprocess.CompletedProcess[str]:
        argv = [str(pathlib.Path(sys.executable).parent / program), "-i", str(self._inventory)]
        done = subprocess.run(
            [*argv, *words], check=False, capture_output=True, text=True, cwd=CHECKOUT, **options
        )
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done


@pytest.fixture
def files(tmp_path: pathlib.Path) -> pathlib.Path:
    """What everything.yml needs on the controller."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "empty").touch()
    (files / "large").write_bytes(os.urandom(9_000_000))
    (files / "template").write_text("{{ inventory_hostname }}\n")
    (files / "script").write_text('#!/bin/sh\necho "$1 $2 on $(hostname)"\n')
    (files / "script").chmod(0o755)
    with tarfile.open(files / "archive.tar", "w") as archive:
        archive.add(files / "empty", "archived")
    return files


@pytest.mark.parametrize("way", ["nsctl", "nsenter"], indirect=True)
def test_everything(
    remote: Variables, web: str, files: pathlib.Path, way: None, tmp_path: pathlib.Path
) -> None:
    assert way is None
    hosts = {}
    for pipelining, escalation in itertools.product((True, False), ("none", "sudo", "doas")):
        more = {"ansible_pipelining": pipelining, "ansible_ns_namespace": web}
        title = f"{escalation}-{'pipelining' if pipelining else 'files'}"
        hosts[f"ssh-{title}"] = ssh(remote, escalation, **more)
        if escalation != "doas":
            hosts[f"local-{title}"] = local(escalation, **more)
    ansible = Ansible(tmp_path, hosts)
    extra = json.dumps({"files": str(files), "hostname": INSIDE})
    playbook = str(HERE / "everything.yml")
    done = ansible("ansible-playbook", playbook, "--forks=4", "-e", extra)
    print(done.stdout[done.stdout.index("PLAY RECAP") :])
    for host in hosts:
        for name in ("empty", "large"):
            assert filecmp.cmp(files / name, files / "back" / host / name, shallow=False)


def test_who_may_not_enter(remote: Variables, web: str, tmp_path: pathlib.Path) -> None:
    host_command.present(nsctl, check=False)
    plain = {"ansible_user": PLAIN, "ansible_ns_namespace": web}
    become = {"ansible_become": True, "ansible_become_user": "nobody"}
    expected = {
        "none": ({**ssh(remote), **plain}, "this takes root. Set ansible_ns_escalation"),
        "sudo": ({**ssh(remote, "sudo"), **plain}, "sudo: a password is required"),
        "doas": ({**ssh(remote, "doas"), **plain}, "doas: Operation not permitted"),
        "become": ({**ssh(remote, "sudo"), **plain, **become}, "sudo: a password is required"),
        "unknown": (ssh(remote, ansible_ns_namespace="nosuch"), "There is no namespace 'nosuch'"),
        "gone": (ssh(remote, "sudo", ansible_ns_pid=4194303), "There is no process 4194303"),
        "no target": (ssh(remote), "No target is set"),
    }
    ansible = Ansible(tmp_path, {name: variables for name, (variables, _why) in expected.items()})
    environment = {**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    for module in (
        ["-m", "ping"],
        ["-m", "raw", "-a", "echo here"],
        ["-m", "copy", "-a", "src=/etc/hostname dest=/tmp/x"],
    ):
        done = ansible("ansible", "all", *module, "--one-line", code=4, env=environment)
        lines = dict(line.split(" | ", 1) for line in done.stdout.splitlines() if " | " in line)
        for name, (_variables, why) in expected.items():
            assert lines[name].startswith("UNREACHABLE!"), lines[name]
            assert why in lines[name].replace("\\", ""), lines[name]
        assert "Traceback" not in done.stdout


def counting_ssh(directory: pathlib.Path) -> tuple[str, pathlib.Path]:
    """An ssh that notes each time it is run; and where it does."""
    log, program = directory / "runs", directory / "ssh"
    program.write_text(f'#!/bin/sh\necho x >>{log}\nexec /usr/bin/ssh "$@"\n')
    program.chmod(0o755)
    return str(program), log


@pytest.mark.parametrize("pipelining", [True, False])
def test_as_many_round_trips_as_ssh_itself(
    remote: Variables, web: str, tmp_path: pathlib.Path, pipelining: bool
) -> None:
    host_command.present(nsctl, check=False)
    program, log = counting_ssh(tmp_path)
    common = {"ansible_pipelining": pipelining, "ansible_ssh_executable": program}
    piped = {**common, "ansible_ssh_transfer_method": "piped"}
    inside = ssh(remote, ansible_ns_namespace=web, **common)
    ansible = Ansible(tmp_path, {"host": {**remote, **piped}, "inside": inside})

    def runs(host: str, *words: str) -> int:
        log.write_text("")
        ansible("ansible", host, *words)
        return len(log.read_text())

    for words in (
        ["-m", "ping"],
        ["-m", "command", "-a", "true"],
        ["-m", "copy", "-a", "content=x dest=/tmp/round-trips mode=0600"],
        ["-m", "file", "-a", "path=/tmp/round-trips state=absent"],
    ):
        counted = runs("host", *words), runs("inside", *words)
        print(words[1], counted)
        assert counted[0] == counted[1] > 0
    if pipelining:
        assert runs("inside", "-m", "ping") == 2  # two characters a line


def test_large_files_in_constant_memory(
    remote: Variables, web: str, tmp_path: pathlib.Path
) -> None:
    host_command.present(nsctl, check=False)
    large = tmp_path / "large"
    with open(large, "wb") as file:
        for _part in range(200):
            file.write(os.urandom(1000) * 1000)
    ansible = Ansible(tmp_path, {"inside": ssh(remote, "sudo", ansible_ns_namespace=web)})
    most = 0
    enough = threading.Event()

    def watch() -> None:
        nonlocal most
        own = pins.pinned(web)["mnt"]
        while not enough.wait(0.02):
            for pid in proc.all_pids():
                if proc.ids_of_process(pid, ["mnt"]).get("mnt") == own:
                    most = max(most, resident(pid))

    def resident(pid: int) -> int:
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return 0
        return max([int(line.split()[1]) for line in status.splitlines() if "VmRSS" in line] + [0])

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    try:
        ansible("ansible", "inside", "-m", "copy", "-a", f"src={large} dest=/var/tmp/l mode=0600")
        back = tmp_path / "back"
        ansible("ansible", "inside", "-m", "fetch", "-a", f"src=/var/tmp/l dest={back} flat=true")
    finally:
        enough.set()
        watcher.join()
    print(f"there and back in {time.monotonic() - began:.0f} s, at most {most} kB at a time inside")
    assert filecmp.cmp(large, back, shallow=False)
    assert 0 < most < 65536


def test_console(remote: Variables, web: str, tmp_path: pathlib.Path) -> None:
    host_command.present(nsctl, check=False)
    hosts = {"a": ssh(remote, ansible_ns_namespace=web), "b": local(ansible_ns_namespace=web)}
    ansible = Ansible(tmp_path, hosts)
    done = ansible("ansible-console", "all", input="command hostname\nexit\n")
    assert done.stdout.count(INSIDE) == 2


def test_without_python(remote: Variables, web: str, tmp_path: pathlib.Path) -> None:
    hosts = {}
    for pipelining in (True, False):
        more = {"ansible_ns_namespace": web, "ansible_pipelining": pipelining}
        hosts[f"ssh{pipelining}"] = ssh(remote, **more)
        hosts[f"local{pipelining}"] = local(**more)
    ansible = Ansible(tmp_path, hosts)
    ansible("ansible", "sshTrue", "-m", "raw", "-a", "rm /usr/bin/python3*")
    done = ansible("ansible", "all", "-m", "raw", "-a", "echo still here")
    assert done.stdout.count("still here") == len(hosts)
    done = ansible("ansible", "all", "-m", "ping", code=2)
    assert done.stdout.count("There is no such Python inside namespace") == len(hosts)
