# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection plugin `local`: commands and files inside, and what cannot be entered.

What both plugins share is tested here without ssh; tests/connection has it with ssh, and whole plays.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import typing as t

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from connected import Connected, quoted, way, web
from named_namespaces import holder_of
from processes_inside import living
from results import RunModule
from roots import with_root
from unshared_process import UnsharedProcess

from ansible_collections.linux.namespaces.plugins.connection import local
from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import (
    gate,
    lock,
    pins,
)

__all__ = ["way", "web"]

NewName = t.Callable[[], str]
CHUNK = 8 << 20


def test_commands_run_inside(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_HOST", "1")
    connected = Connected(namespace=web)
    for kind, number in pins.pinned(web).items():
        assert connected.said(f"readlink /proc/self/ns/{kind}") == f"{kind}:[{number}]\n"
    assert connected.said("pwd; echo ~ ~root; id -u").split() == ["/", "/root", "/root", "0"]
    for kinds in (None, ["uts"]):
        connected = Connected(namespace=web, kinds=kinds)
        assert set(connected.said("env").split()) - {"PWD=/"} == {
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/root",
            "USER=root",
            "LOGNAME=root",
            "SYSTEMD_OFFLINE=1",
        }


def test_a_command_is_one_on_the_host(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round trip, over ssh."""
    commands = []
    on_host = local.Connection._exec_on_host

    def counted(self: t.Any, command: str, *others: t.Any) -> t.Any:
        commands.append(command)
        return on_host(self, command, *others)

    monkeypatch.setattr(local.Connection, "_exec_on_host", counted)
    connected = Connected(namespace=web)
    connected("exit 7")
    connected.plugin.put_file("/etc/hostname", "/var/tmp/x")
    connected("cat", stdin=b"module_fqn='ansible.modules.setup'")
    with pytest.raises(AnsibleError, match="no init of its own"):
        connected("systemctl stop cron")
    with pytest.raises(AnsibleError, match="no init of its own"):
        connected("cat", stdin=b"module_fqn='ansible.modules.systemd'")
    assert len(commands) == 3


def test_exit_codes_are_those_of_the_command(web: str) -> None:
    connected = Connected(namespace=web)
    for command, code in [
        ("exit 7", 7),
        ("exit 125", 125),
        ("nosuchprogram", 127),
        ("/etc/passwd", 126),
        ("kill -KILL $$", 128 + signal.SIGKILL),
        ("sh -c 'kill -TERM $$'; exit $?", 128 + signal.SIGTERM),
        ("echo 'sudo: a password is required' >&2; exit 1", 1),
        ("echo 'nsctl exec: hello' >&2; exit 1", 1),
    ]:
        assert connected(command)[0] == code, command


def test_input_and_output_are_bytes(web: str) -> None:
    every = bytes(range(256)) * 1000
    done = Connected(namespace=web).plugin.exec_command("cat; cat >&2 /dev/null", in_data=every)
    assert done == (0, every, b"")
    odd = "漢字 $x 'a' \"b\" `c` ! \\ \n #"
    assert Connected(namespace=web).said(f"printf %s {quoted(odd)}") == odd


def test_files_arrive_inside_and_come_back(web: str, tmp_path: pathlib.Path) -> None:
    source, back = tmp_path / "source 'x'", tmp_path / "back"
    connected = Connected(namespace=web)
    there = "/var/tmp/漢字 'x' $HOME"
    for size in (2 * CHUNK, CHUNK + 1, CHUNK - 1, 1, 0):
        source.write_bytes(os.urandom(size))
        connected.plugin.put_file(str(source), there)
        assert not os.path.exists(there)
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        assert connected.said("sha256sum < " + quoted(there)).split()[0] == digest
        connected.plugin.fetch_file(there, str(back))
        assert back.read_bytes() == source.read_bytes()


def test_a_command_leaves_no_file_inside(web: str) -> None:
    """Ansible CVE-2016-3096: no script of a name that others can guess."""
    connected = Connected(namespace=web)
    connected.said("touch /var/tmp/before; sleep 0.05")
    assert connected.said("find /tmp /var/tmp /root -newer /var/tmp/before -type f") == ""


def test_files_that_cannot_be_copied(web: str, tmp_path: pathlib.Path) -> None:
    plugin = Connected(namespace=web).plugin
    with pytest.raises(AnsibleFileNotFound, match="nosuch"):
        plugin.put_file(str(tmp_path / "nosuch"), "/tmp/x")
    (tmp_path / "there").touch()
    with pytest.raises(AnsibleError, match="No such file"):
        plugin.put_file(str(tmp_path / "there"), "/nosuch/x")
    with pytest.raises(AnsibleError, match="No such file"):
        plugin.fetch_file("/nosuch", str(tmp_path / "back"))


class TestTargets:
    @pytest.mark.usefixtures("way")
    def test_some_kinds_of_a_name(self, run_module: RunModule, new_name: NewName) -> None:
        name = new_name()
        args = {"name": name, "kinds": ["mnt", "uts", "net"], "persistent": False}
        assert run_module("ns_namespace", args)["changed"]
        connected = Connected(namespace=name, kinds=["uts"])
        assert connected.said("readlink /proc/self/ns/uts") == f"uts:[{pins.pinned(name)['uts']}]\n"
        own = os.readlink("/proc/self/ns/mnt")
        assert connected.said("readlink /proc/self/ns/mnt") == f"{own}\n"
        assert "has no pid namespace" in Connected(namespace=name, kinds=["uts", "pid"]).why_not()

    @pytest.mark.usefixtures("way")
    def test_a_process(self, unshared_process: UnsharedProcess) -> None:
        kinds = ("mnt", "pid", "uts", "user")
        process = unshared_process(kinds, options=("--map-root-user",))
        connected = Connected(pid=process.pid)
        for kind in kinds:
            link = os.readlink(f"/proc/{process.pid}/ns/{kind}")
            assert connected.said(f"readlink /proc/self/ns/{kind}") == f"{link}\n"
        assert connected.said("id -u") == "0\n"

    def test_a_file(self, web: str, tmp_path: pathlib.Path) -> None:
        pinned = pins.path(web, "uts")
        link = tmp_path / "a link"
        link.symlink_to(pinned)
        for path in (pinned, str(link)):
            said = Connected(path=path).said("readlink /proc/self/ns/uts")
            assert said == f"uts:[{pins.pinned(web)['uts']}]\n"
        with living(web) as pid:
            path = f"/proc/{pid}/ns/mnt"
            assert Connected(path=path).said("ls /proc/1/exe") == "/proc/1/exe\n"
        assert "uts" in Connected(path=pinned, kinds=["net"]).why_not()


class TestUnreachable:
    """Nothing runs, and the reason is told."""

    @pytest.mark.parametrize(
        ("variables", "reason"),
        [
            ({}, "No target is set"),
            ({"namespace": "web", "pid": 1}, "More than one target"),
            ({"namespace": "../web"}, "cannot be a name"),
            ({"namespace": "x;reboot"}, "cannot be a name"),
            ({"pid": 0}, "positive number"),
            ({"path": "run/x"}, "absolute path"),
        ],
    )
    def test_what_makes_no_sense(self, variables: dict[str, t.Any], reason: str) -> None:
        assert reason in Connected(**variables).why_not()

    @pytest.mark.usefixtures("way")
    def test_what_is_not_there(self, tmp_path: pathlib.Path) -> None:
        ended = subprocess.Popen(["true"])
        ended.wait()
        (tmp_path / "file").touch()
        for variables, reason in [
            ({"namespace": "nosuch"}, "here is no namespace 'nosuch' on this host"),
            ({"pid": ended.pid}, f"here is no process {ended.pid} on this host"),
            ({"path": "/nosuch file"}, "cannot be opened"),
            ({"path": str(tmp_path / "file")}, "is not a namespace file"),
        ]:
            assert reason in Connected(**variables).why_not()

    @pytest.mark.usefixtures("way")
    def test_what_is_closed(self, web: str) -> None:
        """Of what is not whole, the missing part would be the host's."""
        with lock.held(web, timeout=5):
            gate.close(web)
        try:
            for kinds in (None, ("mnt",), ("uts",)):
                why = Connected(namespace=web, kinds=kinds).why_not()
                assert f"namespace '{web}' is not whole, and so is closed" in why.replace("N", "n")
        finally:
            with lock.held(web, timeout=5):
                gate.open_up(web)
        assert Connected(namespace=web).said("id -u") == "0\n"

    @pytest.mark.usefixtures("way")
    def test_what_belongs_to_a_closed_one(self, web: str) -> None:
        """By the number of a process in it, by its pin, by any file of its namespaces."""
        holder = holder_of(web)
        with lock.held(web, timeout=5):
            gate.close(web)
        try:
            ways: list[dict[str, t.Any]] = [{"pid": holder}, {"pid": holder, "kinds": ("uts",)}]
            files = [pins.path_now(web, "mnt"), pins.path_now(web, "pid"), f"/proc/{holder}/ns/mnt"]
            for target in [*ways, *({"path": path} for path in files)]:
                assert "not whole, and so is closed" in Connected(**target).why_not()
        finally:
            with lock.held(web, timeout=5):
                gate.open_up(web)
        assert Connected(pid=holder).said("id -u") == "0\n"

    @pytest.mark.usefixtures("way")
    def test_what_lost_a_namespace(self, web: str) -> None:
        """As by `ip netns del`: the command would live with the host in its place."""
        subprocess.run(["umount", pins.path(web, "uts")], check=True)
        for kinds in (None, ("mnt",), ("uts",)):
            assert "has lost its uts namespace" in Connected(namespace=web, kinds=kinds).why_not()

    @pytest.mark.usefixtures("way")
    def test_what_is_closed_and_opened_meanwhile(self, web: str) -> None:
        """In 30 rounds: all of its namespaces are joined, or none."""
        is_over = threading.Event()

        def close_and_open() -> None:
            while not is_over.is_set():
                with lock.held(web, timeout=5):
                    gate.close(web)
                    gate.open_up(web)

        racing = threading.Thread(target=close_and_open)
        racing.start()
        own = {os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "uts", "pid")}
        try:
            for _round in range(30):
                with contextlib.suppress(AnsibleConnectionFailure):
                    _code, out, _err = Connected(namespace=web)("readlink /proc/self/ns/*")
                    assert not own & set(out.split())
        finally:
            is_over.set()
            racing.join()

    def test_what_is_the_host(self) -> None:
        """A number that was given to another process must not lead to the host."""
        assert "of the host" in Connected(pid=os.getpid()).why_not()
        assert "of the host" in Connected(path="/proc/self/ns/mnt").why_not()

    @pytest.mark.usefixtures("way")
    def test_a_zombie(self) -> None:
        process = subprocess.Popen(["true"])
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        try:
            assert f"no process {process.pid}" in Connected(pid=process.pid).why_not()
        finally:
            process.wait()

    def test_a_file_that_pins_nothing(self, web: str) -> None:
        """It is what a killed run leaves."""
        connected = Connected(namespace=web)
        assert connected.said("echo here") == "here\n"
        for kind in list(pins.pinned(web)):
            pins.unpin(web, kind)
            pathlib.Path(pins.path(web, kind)).touch()
        assert "has lost its mnt" in connected.why_not()

    def test_a_name_that_vanishes_between_two_commands(
        self, web: str, run_module: RunModule
    ) -> None:
        connected = Connected(namespace=web)
        assert connected.said("echo here") == "here\n"
        gone = {"name": web, "state": "absent", "force": True}
        assert run_module("ns_namespace", gone)["changed"]
        assert f"here is no namespace '{web}'" in connected.why_not()
        with pytest.raises(AnsibleConnectionFailure):
            connected.plugin.put_file("/etc/hostname", "/tmp/x")

    def test_no_shell_inside(
        self, run_module: RunModule, new_name: NewName, way: str, tmp_path: pathlib.Path
    ) -> None:
        name = new_name()
        with_root(run_module, name, tmp_path)
        reason = Connected(namespace=name).why_not()
        assert "/bin/sh" in reason
        assert way in ("nsctl", "nsenter")

    @pytest.mark.usefixtures("way")
    def test_no_escalation_on_the_host(self) -> None:
        if shutil.which("doas") is not None:
            pytest.skip("this host has doas")
        reason = Connected(namespace="web", escalation="doas").why_not()
        assert "here is no doas on this host" in reason


class TestWhatHostsSay:
    """It ends in messages, on the controller's terminal and in results that plays use."""

    HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e {{ 7 * 7 }} {% x %} \x9b31m" + "A" * 200_000

    @pytest.mark.parametrize("code", [125, 126, 127, 1])
    @pytest.mark.parametrize("prefix", ["nsctl exec: ", "sudo: ", "linux.namespaces: "])
    def test_a_way_in_that_lies(self, prefix: str, code: int, tmp_path: pathlib.Path) -> None:
        """A host whose nsctl is whatever an intruder there made of it."""
        command = pathlib.Path(host_paths.COMMAND)
        (tmp_path / "said").write_text(prefix + self.HOSTILE + "\n")
        command.write_text(f"#!/bin/sh\ncat {tmp_path}/said >&2; exit {code}\n")
        command.chmod(0o755)
        try:
            connected = Connected(namespace="web")
            reasons = []
            if code != 1 or prefix == "sudo: ":
                reasons.append(connected.why_not())
            if prefix == "linux.namespaces: ":
                with pytest.raises(AnsibleError) as caught:
                    connected.plugin.put_file("/etc/hostname", "/tmp/x")
                reasons.append(str(caught.value))
            for reason in reasons:
                assert reason.isprintable()
                assert len(reason) < 1500
                assert not {"{{", "{%"} & {reason[i : i + 2] for i in range(len(reason))}
        finally:
            command.unlink()

    def test_paths_that_inside_has_named(
        self, web: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file that a task has found there, and the directory of Ansible's own files."""
        connected = Connected(namespace=web)
        told = [Connected(path=f"/missing/{self.HOSTILE[:60]}").why_not()]
        monkeypatch.setattr(
            connected.plugin._display, "vvv", lambda line, host: told.append(f"{host}{line}")
        )
        odd = f"/missing/{self.HOSTILE[:60]}"
        for move in (
            lambda: connected.plugin.fetch_file(odd, str(tmp_path / "back")),
            lambda: connected.plugin.put_file("/etc/hostname", odd),
        ):
            with pytest.raises(AnsibleError, match="failed to transfer /") as caught:
                move()
            told.append(str(caught.value))
        assert [line for line in told if "PUT " in line or "FETCH " in line]
        for line in told:
            if "EXEC" not in line:  # Ansible's own plugin says what it runs
                assert line.isprintable(), line
                assert "{{" not in line
