# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl exec and enter: the process becomes the program, with nothing of the host's left on it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import typing as t

import pytest
from command import PYTHON, Nsctl
from module_server import CHECKOUT
from programs import signals_of, status_of
from results import RunModule
from waiting import has_ended, wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins

NewName = t.Callable[[], str]
NOBODY = 65534


@contextlib.contextmanager
def running(process: subprocess.Popen[str]) -> t.Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stdin, process.stderr):
            if stream is not None:
                stream.close()


def comm(pid: int) -> str:
    return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


def descriptors(pid: int) -> list[str]:
    """What it has open; while it starts that is also the loader's."""
    return sorted(os.listdir(f"/proc/{pid}/fd"))


def id_of(pid: int | str, kind: str) -> int:
    return os.stat(f"/proc/{pid}/ns/{kind}").st_ino


def ignored() -> set[int]:
    """What these tests themselves were told to ignore, as in the background of a shell.

    Without what Python ignores by itself, and a program has as usual.
    """
    status = status_of(pathlib.Path("/proc/self/status").read_text())
    return signals_of(status, "SigIgn") - {signal.SIGPIPE, signal.SIGXFSZ}


def test_the_process_becomes_the_program(nsctl: Nsctl, namespace: t.Callable[..., str]) -> None:
    name = namespace("mnt", "net", "uts", "ipc", "cgroup", "time")
    with running(nsctl.start("exec", name, "--", "sleep", "60")) as process:
        assert wait_until(lambda: comm(process.pid) == "sleep")
        for kind, number in pins.pinned(name).items():
            assert id_of(process.pid, kind) == number
        assert id_of(process.pid, "pid") == id_of("self", "pid")
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
        assert children.read_text() == ""
        assert wait_until(lambda: descriptors(process.pid) == ["0", "1", "2"])
        assert os.readlink(f"/proc/{process.pid}/cwd") == "/"
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        assert "CapInh:\t0000000000000000" in status
        assert signals_of(status_of(status), "SigBlk", "SigIgn") == ignored()


def test_only_some_kinds(nsctl: Nsctl, namespace: t.Callable[..., str]) -> None:
    name = namespace("mnt", "uts")
    done = nsctl("exec", name, "--kinds", "uts", "readlink", "/proc/self/ns/mnt")
    assert done.stdout == os.readlink("/proc/self/ns/mnt") + "\n"
    refused = nsctl("exec", name, "--kinds=net", "true", code=125)
    assert "has no net namespace" in refused.stderr


@pytest.mark.parametrize("kinds", [("mnt",), ("mnt", "pid")], ids="+".join)
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["true"], 0, ""),
        (["sh", "-c", "exit 7"], 7, ""),
        (["--", "sh", "-c", "exit 7"], 7, ""),
        (["nosuchprogram"], 127, "there is no program nosuchprogram"),
        (["/etc/passwd"], 126, "may not be executed"),
        (["--chdir", "/nosuch", "true"], 125, "/nosuch"),
        (["--user", "nosuchuser", "true"], 125, "nosuchuser"),
        (["--nosuch", "true"], 125, "no option --nosuch"),
        ([], 125, "name a program"),
    ],
)
def test_exit_codes(
    nsctl: Nsctl,
    namespace: t.Callable[..., str],
    kinds: tuple[str, ...],
    words: list[str],
    code: int,
    said: str,
) -> None:
    done = nsctl("exec", namespace(*kinds), *words, code=code)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert bool(done.stderr) == bool(said)


def test_the_variables_of_its_user(nsctl: Nsctl, namespace: t.Callable[..., str]) -> None:
    """The caller's are those of another; what is given wins."""
    name = namespace("mnt")
    shown = 'echo "$HOME $USER $LOGNAME $MORE"'
    env = {"HOME": "/home/of/the/caller", "USER": "caller", "LOGNAME": "caller", "MORE": "kept"}
    words = ("/bin/sh", "-c", shown)
    for options, said in (
        ([], "/home/of/the/caller caller caller kept"),
        (["--user=nobody"], "/nonexistent nobody nobody kept"),
        (["--user=nobody", "--env=HOME=/srv"], "/srv nobody nobody kept"),
        (["--user=4321", "--clear-env"], "   "),
    ):
        assert nsctl("exec", name, *options, "--", *words, env=env).stdout == f"{said}\n"


def test_an_unknown_namespace(nsctl: Nsctl) -> None:
    assert "There is no namespace 'nosuch'" in nsctl("exec", "nosuch", "true", code=125).stderr


def test_only_root(nsctl: Nsctl) -> None:
    for path in (*CHECKOUT.parents, *pathlib.Path(PYTHON).parents):
        if not path.stat().st_mode & 0o001:
            pytest.skip(f"other users cannot reach {path}")
    assert nsctl("list", code=1, user=NOBODY).stderr == "nsctl list: this takes root\n"


def test_options_of_the_program(nsctl: Nsctl, namespace: t.Callable[..., str]) -> None:
    script = "id -u; id -g; id -G; pwd; env; grep -E 'Cap|NoNewPrivs' /proc/self/status"
    done = nsctl(
        "exec",
        namespace("mnt"),
        *("--user", "nobody", "--group=12", "--groups", "12,34", "--chdir", "/tmp"),
        *("--capabilities", "net_raw", "--no-new-privs", "--clear-env", "--env", "A=b=c"),
        *("--", "sh", "-c", script),
    )
    lines = done.stdout.splitlines()
    assert lines[:4] == [str(NOBODY), "12", "12 34", "/tmp"]
    environment = dict(line.split("=", 1) for line in lines[4:] if "=" in line)
    assert environment.pop("A") == "b=c"
    assert environment.pop("PATH").startswith("/usr/local/sbin:")
    of_nobody = {"HOME": "/nonexistent", "USER": "nobody", "LOGNAME": "nobody"}
    assert {name: environment.pop(name) for name in of_nobody} == of_nobody
    assert set(environment) <= {"PWD", "OLDPWD", "SHLVL", "_"}  # the shell's own
    capabilities = [line.split("\t")[1] for line in lines if line.startswith("Cap")]
    assert set(capabilities) == {"0000000000002000"}
    assert "NoNewPrivs:\t1" in lines


def test_what_the_caller_ignores_stays_ignored(
    nsctl: Nsctl, namespace: t.Callable[..., str]
) -> None:
    words = ["nohup", nsctl.path, "exec", namespace("mnt"), "grep", "SigIgn", "/proc/self/status"]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert signals_of(status_of(done.stdout), "SigIgn") == {signal.SIGHUP} | ignored()


def test_a_leaked_descriptor_does_not_reach_the_program(
    nsctl: Nsctl, namespace: t.Callable[..., str]
) -> None:
    leaked = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        name = namespace("mnt")
        argv = ("exec", name, "ls", "/proc/self/fd")
        assert nsctl(*argv, pass_fds=[leaked]).stdout.split() == ["0", "1", "2", "3"]  # ls's own
        words = ("exec", name, "--chdir", f"/proc/self/fd/{leaked}", "true")
        nsctl(*words, pass_fds=[leaked], code=125)
    finally:
        os.close(leaked)


SHOW_SOCKETS = """\
import os, socket
print(os.environ.get("LISTEN_PID") == str(os.getpid()), os.environ.get("LISTEN_FDS"))
print(sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:5])
print(socket.socket(fileno=3).getsockname()[1] if "LISTEN_FDS" in os.environ else 0)
"""


@pytest.mark.parametrize("kinds", [("mnt",), ("mnt", "pid")], ids="+".join)
def test_sockets_that_systemd_passes(
    nsctl: Nsctl, namespace: t.Callable[..., str], kinds: tuple[str, ...], tmp_path: pathlib.Path
) -> None:
    name = namespace(*kinds)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        # As systemd does: the socket is descriptor 3, and the process is told its own pid.
        script = tmp_path / "start"
        script.write_text('export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@" 3<&$LISTENING\n')
        environment = {**os.environ, "LISTENING": str(listening.fileno())}

        def shown(*options: str) -> list[str]:
            argv = ["bash", script, nsctl.path, "exec", name, *options, "--"]
            argv += ["/usr/bin/python3", "-IS", "-c", SHOW_SOCKETS]
            done = subprocess.run(
                argv,
                check=True,
                env=environment,
                pass_fds=[listening.fileno()],
                capture_output=True,
                text=True,
            )
            return done.stdout.splitlines()

        passed = shown("--keep-fds")
        assert passed[0] == "True 1"
        assert passed[1].startswith("[0, 1, 2, 3, ")
        assert passed[2] == str(port)
        assert shown()[0] == "False None"
        environment["LISTEN_PID"] = "1"
        script.write_text('export LISTEN_FDS=1; exec "$@" 3<&$LISTENING\n')
        assert shown("--keep-fds")[0] == "False None"  # they are meant for another process


def test_after_joining_nothing_is_read_from_the_root(
    nsctl: Nsctl, namespace: t.Callable[..., str], run_module: RunModule
) -> None:
    """A root could have its own modules imported by us, as root of the host."""
    name = namespace("mnt")
    libraries = sorted({os.path.dirname(os.__file__), "/usr/lib/python3", "/usr/lib/python3.11"})
    hidden = [path for path in libraries if os.path.isdir(path)]
    ours = os.path.dirname(os.path.dirname(os.path.dirname(pins.__file__)))
    args = [{"path": path, "fstype": "tmpfs"} for path in [*hidden, ours]]
    assert run_module("ns_mount", {"namespace": name, "mounts": args})["changed"]
    assert nsctl("exec", name, "--user", "nobody", "id", "-u").stdout == f"{NOBODY}\n"
    assert "there is no program" in nsctl("exec", name, "nosuch", code=127).stderr
    assert "nosuchuser" in nsctl("exec", name, "--user", "nosuchuser", "id", code=125).stderr


class TestInAPidNamespace:
    """There the program has to be a child."""

    def test_it_is_born_there(self, nsctl: Nsctl, namespace: t.Callable[..., str]) -> None:
        name = namespace("pid", "mnt")
        with running(nsctl.start("exec", name, "sleep", "60")) as process:
            (child,) = self.children(process.pid, "sleep")
            assert id_of(child, "pid") == pins.pinned(name)["pid"]
            assert id_of(child, "mnt") == pins.pinned(name)["mnt"]
            assert wait_until(lambda: descriptors(child) == ["0", "1", "2"])
            process.kill()
            process.wait()
            # It goes with the one who waits for it.
            assert wait_until(lambda: has_ended(child))

    def test_signals_reach_it(self, nsctl: Nsctl, namespace: t.Callable[..., str]) -> None:
        script = "trap 'echo got it; exit 3' USR1; echo ready; while :; do sleep 0.05; done"
        words = ("exec", namespace("pid"), "sh", "-c", script)
        with running(nsctl.start(*words, stdout=subprocess.PIPE)) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGUSR1)
            assert process.stdout.readline() == "got it\n"
            assert process.wait(10) == 3

    def test_it_ends_as_the_program_ends(
        self, nsctl: Nsctl, namespace: t.Callable[..., str]
    ) -> None:
        words = ("exec", namespace("pid"), "sh", "-c")
        assert nsctl(*words, "kill -TERM $$", code=None).returncode == -signal.SIGTERM
        assert nsctl(*words, "kill -KILL $$", code=None).returncode == -signal.SIGKILL
        assert nsctl(*words, "exit 200", code=None).returncode == 200

    def test_it_stops_with_the_program(self, nsctl: Nsctl, namespace: t.Callable[..., str]) -> None:
        words = ("exec", namespace("pid"), "sh", "-c", "kill -STOP $$; exit 5")
        with running(nsctl.start(*words)) as process:
            assert wait_until(lambda: self.state(process.pid) == "T")
            process.send_signal(signal.SIGCONT)
            assert process.wait(10) == 5

    @staticmethod
    def state(pid: int) -> str:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

    @staticmethod
    def children(pid: int, name: str) -> list[int]:
        found: list[int] = []

        def look() -> bool:
            text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
            found[:] = [int(word) for word in text.split()]
            return len(found) == 1 and comm(found[0]) == name

        assert wait_until(look)
        return found


def test_enter_is_a_shell_inside(nsctl: Nsctl, namespace: t.Callable[..., str]) -> None:
    name = namespace("uts", "mnt")
    script = "readlink /proc/self/ns/uts; echo $0; exit 4\n"
    environment = {**os.environ, "SHELL": "/bin/sh"}
    done = nsctl("enter", name, input=script, env=environment, code=4)
    assert done.stdout.splitlines() == [f"uts:[{pins.pinned(name)['uts']}]", "/bin/sh"]
    environment["SHELL"] = "/opt/of/the/host/fish"
    assert nsctl("enter", name, input="echo $0", env=environment).stdout == "/bin/bash\n"
    assert nsctl("enter", name, "--", "echo", "hello").stdout == "hello\n"
