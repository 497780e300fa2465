# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection plugin `local`: commands and files inside, and what cannot be entered.

What both plugins share is tested here without ssh; tests/connection has it with ssh, and whole plays.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import typing as t

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.playbook.play_context import PlayContext
from executables_seen import NEARLY_ALL, watching
from host_state import host_state
from processes_inside import inside, living
from results import RunModule
from roots import with_root, with_root_of_host
from unshared_process import UnsharedProcess
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.connection import local
from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths, nsctl
from ansible_collections.linux.namespaces.plugins.module_utils._core.install import host_command
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins
from ansible_collections.linux.namespaces.plugins.plugin_utils import _entering

NewName = t.Callable[[], str]
CHUNK = 8 << 20
OPTIONS = ("namespace", "pid", "path", "kinds")


class Connected:
    """A connection to a target, given by the options of the plugin."""

    def __init__(self, **variables: t.Any) -> None:
        self.plugin = local.Connection(PlayContext())
        # What Ansible makes of the variables is tested with plays.
        options = {**dict.fromkeys(OPTIONS), "escalation": "none", "has_init": False}
        self.plugin._options = {**options, **variables}

    def __call__(self, command: str, stdin: bytes | None = None) -> tuple[int, str, str]:
        code, out, err = self.plugin.exec_command(command, in_data=stdin)
        return code, out.decode(), err.decode()

    def said(self, command: str) -> str:
        code, out, err = self(command)
        assert (code, err) == (0, "")
        return out

    def why_not(self) -> str:
        """Why the target cannot be entered."""
        with pytest.raises(AnsibleConnectionFailure) as caught:
            self("true")
        return str(caught.value)


@pytest.fixture(params=["nsctl", "nsenter"])
def way(request: pytest.FixtureRequest) -> t.Iterator[str]:
    """What the host has. A unit needs nsctl, else it goes with the next namespace that does not."""
    unit = pathlib.Path("/etc/systemd/system/needs-nsctl.service")
    if request.param == "nsctl":
        host_command.present(nsctl, check=False)
        unit.write_text(f"[Service]\nExecStart={host_command.COMMAND}\n")
    yield request.param
    assert os.path.exists(host_command.COMMAND) == (request.param == "nsctl")
    unit.unlink(missing_ok=True)
    host_command.absent(check=False)


@pytest.fixture
def web(run_module: RunModule, new_name: NewName, way: str) -> t.Iterator[str]:  # noqa: ARG001
    """A named namespace with its own root, processes and host name."""
    name = new_name()
    with_root_of_host(run_module, name, kinds=("mnt", "pid", "uts"))
    yield name
    shutil.rmtree(f"/run/tests/{name}")


def test_commands_run_inside(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_HOST", "1")
    connected = Connected(namespace=web)
    for kind, number in pins.pinned(web).items():
        assert connected.said(f"readlink /proc/self/ns/{kind}") == f"{kind}:[{number}]\n"
    assert connected.said("pwd; echo ~ ~root; id -u").split() == ["/", "/root", "/root", "0"]
    of_shell = {"PWD=/", "OLDPWD=/"}
    assert set(connected.said("env").split()) - of_shell == {
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
    assert Connected(namespace=web).said(f"printf %s {_quoted(odd)}") == odd


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def test_files_arrive_inside_and_come_back(web: str, tmp_path: pathlib.Path) -> None:
    source, back = tmp_path / "source 'x'", tmp_path / "back"
    connected = Connected(namespace=web)
    there = "/var/tmp/漢字 'x' $HOME"
    for size in (2 * CHUNK, CHUNK + 1, CHUNK - 1, 1, 0):
        source.write_bytes(os.urandom(size))
        connected.plugin.put_file(str(source), there)
        assert not os.path.exists(there)
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        assert connected.said("sha256sum < " + _quoted(there)).split()[0] == digest
        connected.plugin.fetch_file(there, str(back))
        assert back.read_bytes() == source.read_bytes()


def test_links_of_the_root_lead_to_nothing_of_the_host(web: str, tmp_path: pathlib.Path) -> None:
    """Ansible CVE-2015-6240: what is copied, either way, passes through who is inside already."""
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "file").write_text("of the host")
    connected = Connected(namespace=web)
    connected.said(f"ln -s {canary} /tmp/link; ln -s {canary}/file /tmp/file")
    source = tmp_path / "source"
    source.write_text("new")
    for path in ("/tmp/link/file", "/tmp/link/other", "/tmp/file"):
        with pytest.raises(AnsibleError):
            connected.plugin.put_file(str(source), path)
        with pytest.raises(AnsibleError):
            connected.plugin.fetch_file(path, str(tmp_path / "back"))
        assert "of the host" not in (tmp_path / "back").read_text()
    assert {each.name: each.read_text() for each in canary.iterdir()} == {"file": "of the host"}


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
        assert f"here is no namespace '{web}'" in connected.why_not()

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


class TestHostileRoots:
    """Links where files go, and a shell that lies."""

    def test_files_stay_inside(self, web: str, tmp_path: pathlib.Path) -> None:
        canary = tmp_path / "canary"
        canary.mkdir()
        upper = pathlib.Path(f"/run/tests/{web}/upper")
        connected = Connected(namespace=web)
        connected(
            f"ln -s {canary} /canary; ln -s /canary /var/tmp/dir; ln -s {canary}/f /var/tmp/f"
        )
        assert (upper / "canary").is_symlink()
        connected(f"rmdir {canary}; mkdir -p {canary}")
        before = host_state()
        connected.plugin.put_file("/etc/hostname", "/var/tmp/dir/x")
        connected.plugin.put_file("/etc/hostname", "/var/tmp/f")
        assert list(canary.iterdir()) == []
        assert host_state() == before
        assert sorted(connected.said(f"ls {canary}").split()) == ["f", "x"]
        connected.plugin.fetch_file("/var/tmp/f", str(tmp_path / "back"))
        assert (tmp_path / "back").read_bytes() == pathlib.Path("/etc/hostname").read_bytes()

    def test_a_shell_that_lies_gets_nothing_of_the_host(
        self, web: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lying = (
            "#!/bin/bash -p\n"
            "ls -l /proc/self/fd /proc/$PPID/fd 2>&1; readlink /proc/$PPID/exe; echo parent $PPID\n"
            "cat /proc/self/environ | tr '\\0' '\\n'; readlink /proc/self/cwd; exit 0\n"
        )
        monkeypatch.setenv("OF_THE_HOST", "1")
        connected = Connected(namespace=web)
        inside(web, lambda: pathlib.Path("/bin/sh.new").write_text(lying))
        connected("chmod 755 /bin/sh.new; mv /bin/sh.new /bin/sh")
        said = connected.said("true")
        assert "parent 0" in said  # who entered is not to be seen
        assert "OF_THE_HOST" not in said

    @pytest.mark.parametrize("kinds", [None, ("mnt", "pid")])
    @pytest.mark.parametrize(
        "shell",
        ["/proc/self/exe", "#!/proc/self/exe --uts=/fifo\n", "#!/bin/who-enters --uts=/fifo\n"],
    )
    def test_a_shell_that_is_who_enters(
        self, web: str, way: str, shell: str, kinds: tuple[str, ...] | None
    ) -> None:
        """CVE-2019-5736: nsenter is run inside then, and its file is not to be written to there.

        As a script it waits for a fifo, so that the other process has all the time to try.
        """
        nsenter = str(pathlib.Path("/usr/bin/nsenter").stat().st_ino)
        connected = Connected(namespace=web)
        connected(
            "mkfifo /fifo; ln -s /proc/self/exe /bin/who-enters;"
            f"printf %s {_quoted(shell)} >/s; chmod +x /s; mv /s /bin/sh"
            if shell.startswith("#")
            else f"ln -sf {shell} /bin/sh"
        )
        command = _entering.Way(namespace=web, kinds=kinds).around("true")
        # Whom nsenter lets open it has all rights of who is run by it.
        rights = NEARLY_ALL if way == "nsctl" else None
        with living(web) as pid, watching(pid, capabilities=rights) as seen:
            for _round in range(1 if shell.startswith("#") else 30):
                entering = subprocess.Popen(
                    command, shell=True, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
                )
                if way == "nsenter" and shell.startswith("#"):
                    assert wait_until(lambda: any(line.endswith(nsenter) for line in seen()))
                    inside(web, lambda: os.close(os.open("/fifo", os.O_WRONLY)), ["mnt"])
                _out, err = entering.communicate(timeout=30)
                assert entering.returncode
                assert ("a link of /proc" in err) == (way == "nsctl")
            if way == "nsenter":
                assert wait_until(lambda: f"EROFS {nsenter}" in seen())
            assert f"writable {nsenter}" not in seen()
            assert way == "nsenter" or not [line for line in seen() if "python" in line]

    def test_proc_and_tmp_that_are_links(
        self, run_module: RunModule, new_name: NewName, way: str, tmp_path: pathlib.Path
    ) -> None:
        """Nothing of ours is read from there."""
        root, canary = tmp_path / "root", tmp_path / "canary"
        canary.mkdir()
        for directory in ("usr", "lib", "lib64", "bin"):
            (root / directory).mkdir(parents=True)
        for name in ("proc", "tmp", "dev", "root"):
            (root / name).symlink_to(canary)
        name = new_name()
        assert way
        with_root(run_module, name, root)
        for directory in ("usr", "lib", "lib64", "bin"):
            bind = {"path": f"/{directory}", "src": f"/{directory}", "opts": "bind,ro"}
            assert run_module("ns_mount", {"namespace": name, **bind})["changed"]
        connected = Connected(namespace=name)
        assert connected.said("echo $HOME; pwd") == "/root\n/\n"
        with pytest.raises(AnsibleError):
            connected.plugin.put_file("/etc/hostname", "/tmp/x")
        assert list(canary.iterdir()) == []
