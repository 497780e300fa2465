# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of README.md and of the guides on definitions and on upgrades, as a reader runs them."""

from __future__ import annotations

import contextlib
import functools
import json
import pathlib
import re
import shutil
import subprocess
import typing as t

import guides
import pytest
import shop
import yaml
from command import Nsctl
from module_server import CHECKOUT
from results import RunModule
from second_host import second_host
from stub_systemd import UNITS, StubSystemd, stub_systemd
from tasks import examples_of
from waiting import wait_until

__all__ = ["stub_systemd"]

GUIDES = CHECKOUT / "docs/docsite/rst"
# As `busctl --json=short` answers, of what a unit may have.
UNIT = {
    "LoadState": "loaded",
    "ExecStart": [["/usr/sbin/resolver", ["/usr/sbin/resolver", "-d"], False]],
    "User": "nobody",
    "PrivateTmp": True,
    "SystemCallFilter": [True, ["@system-service"]],
}
FSTAB = """\
UUID=2c1f8e3a-7f05-4b1e-9a58-55f0d1f9a0aa / ext4 errors=remount-ro 0 1
UUID=5f0c4a1e-1f3c-4dd2-8a60-1f0f8a2d7c11 none swap sw 0 0
scratch /media tmpfs size=1m 0 0
LABEL=backup /backup ext4 noauto 0 2
"""
# What is at the end of all of them, whatever there is on the host.
NOTHING = {"namespaces": [], "exclusive": True, "force": True}


class Reader(t.NamedTuple):
    """Somebody who has a controller and a host, host1, which are one here."""

    directory: pathlib.Path
    env: dict[str, str]

    def play(self, playbook: str, *words: str) -> int:
        """Run it, which must not fail; how much it changed."""
        argv = ["ansible-playbook", "--inventory", "hosts.yml", playbook, *words]
        done = subprocess.run(
            argv, check=False, capture_output=True, text=True, cwd=self.directory, env=self.env
        )
        assert done.returncode == 0, done.stdout + done.stderr
        print(done.stdout)
        return sum(int(number) for number in re.findall(r"changed=(\d+)", done.stdout))


@pytest.fixture
def reader(
    tmp_path: pathlib.Path, stub_systemd: StubSystemd, nsctl: Nsctl, run_module: RunModule
) -> t.Iterator[Reader]:
    """On a host with systemd and what the examples find there."""
    stub_systemd.run_units()
    directory = tmp_path / "reader"
    directory.mkdir()
    with shop.on_this_host():
        yield Reader(directory, guides.environment(nsctl, stub_systemd.env["PATH"]))
        gone = run_module("ns_definition", NOTHING, env=stub_systemd.env)
        assert not gone.get("failed"), gone


def write_hosts(reader: Reader, **hosts: dict[str, t.Any]) -> None:
    group = {"shops": {"hosts": hosts}}
    (reader.directory / "hosts.yml").write_text(yaml.safe_dump(group))


PYTHON = {"ansible_python_interpreter": "/usr/bin/python3"}
LOCAL = guides.THIS_HOST


def test_the_first_example_of_the_readme(reader: Reader) -> None:
    text = (CHECKOUT / "README.md").read_text()
    first = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0]
    assert len(first.splitlines()) <= 20
    (reader.directory / "shop.yml").write_text(first)
    write_hosts(reader, host1=LOCAL)
    assert reader.play("shop.yml", "--check", "--diff") == 1
    assert reader.play("shop.yml") == 1
    assert reader.play("shop.yml", "--diff") == 0


def test_the_examples_of_the_module(reader: Reader) -> None:
    """As Ansible has them, up to the one that fills in a template."""
    play = {"hosts": "host1", "tasks": examples_of("ns_definition")}
    (reader.directory / "play.yml").write_text(json.dumps([play]))
    write_hosts(reader, host1=LOCAL)
    assert reader.play("play.yml", "--diff") == len(play["tasks"])


@contextlib.contextmanager
def adoptable(reader: Reader) -> t.Iterator[None]:
    """What others have made: a process, a machine, a unit and lines of an fstab."""
    commands = reader.directory / "bin"
    commands.mkdir()
    shutil.copy(shutil.which("sleep") or "sleep", commands / "reporter")
    script = f"mount -t tmpfs -o size=3m scratch /mnt; exec {commands}/reporter infinity"
    pathlib.Path("/etc/fstab").write_text(FSTAB)
    process = subprocess.Popen(["unshare", "--mount", "--uts", "sh", "-c", script])
    try:
        comm = pathlib.Path(f"/proc/{process.pid}/comm")
        assert wait_until(lambda: comm.read_text() == "reporter\n")
        answer = {"LoadUnit": "/org/unit", "GetAll": {k: {"data": v} for k, v in UNIT.items()}}
        said = {verb: json.dumps({"data": [data]}) for verb, data in answer.items()}
        cases = "\n".join(f"*' {verb} '*) echo '{text}' ;;" for verb, text in said.items())
        for name, text in (
            ("busctl", f'case " $* " in\n{cases}\nesac'),
            ("machinectl", f"echo {process.pid}"),
        ):
            (commands / name).write_text(f"#!/bin/sh\n{text}\n")
            (commands / name).chmod(0o755)
        reader.env["PATH"] = f"{commands}:{reader.env['PATH']}"
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def furnished(commands: str) -> t.Iterator[None]:
    """The second host, with the archive that the first one has, and a systemd of its own."""
    UNITS.mkdir(parents=True)
    shutil.copytree(commands, "/usr/local/bin", dirs_exist_ok=True)
    with shop.on_host():  # with a network of its own
        yield


def test_the_guide_on_definitions(
    ip_netns: t.Callable[[str], str], reader: Reader, stub_systemd: StubSystemd
) -> None:
    ip_netns("dmz")
    subprocess.run(["ip", "-n", "dmz", "link", "set", "lo", "up"], check=True)
    commands = stub_systemd.env["PATH"].partition(":")[0]
    with second_host(functools.partial(furnished, commands)) as pid, adoptable(reader):
        inside = {"ansible_connection": "linux.namespaces.local", "ansible_ns_pid": pid}
        other = {**PYTHON, **inside, "ansible_ns_has_init": True}
        write_hosts(reader, host1=LOCAL, host2=other)
        guide = GUIDES / "guide_definition.rst"
        guides.follow(guides.blocks_of(guide), reader.directory, reader.env)


def test_the_guide_on_upgrades(nsctl: Nsctl, run_module: RunModule, tmp_path: pathlib.Path) -> None:
    """On a host without systemd; how it is with systemd is tried on booted hosts."""
    with shop.on_this_host():
        reader = Reader(tmp_path, guides.environment(nsctl))
        write_hosts(reader, host1=LOCAL)
        try:
            guide = GUIDES / "guide_upgrade.rst"
            guides.follow(guides.blocks_of(guide), reader.directory, reader.env)
        finally:
            gone = run_module("ns_definition", NOTHING)
    assert not gone.get("failed"), gone
