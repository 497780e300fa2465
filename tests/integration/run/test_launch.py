# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting a program: which process it is, what it inherits and what not."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import termios
import typing as t

import pytest
from launched import PRIVATE, status_with, zombies
from programs import Ended, in_child, run_program, signals_of, status_of
from unshared_process import UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import (
    KernelError,
    Refused,
    StepFailed,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.launch import setup
from ansible_collections.linux.namespaces.plugins.module_utils._core.launch import start as launch
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import (
    enter,
    id_map,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import (
    target as targets,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import (
    pipes,
    proc,
)


def test_the_program_is_the_process_that_was_started_and_a_child_of_the_caller() -> None:
    ended = run_program("sh", "-c", "echo $$ $PPID")
    assert ended.stdout.split() == [str(ended.started.pid), str(os.getpid())]


@pytest.mark.parametrize("creates", [(), ("mnt",), ("pid",), ("time", "uts"), tuple(kinds.NAMES)])
def test_the_ids_told_are_those_of_the_program(creates: tuple[str, ...]) -> None:
    maps = id_map.IdMaps((id_map.Range(0, 0, 1),), (id_map.Range(0, 0, 1),))
    options: dict[str, t.Any] = {"creates": creates}
    if "mnt" in creates:
        options["surroundings"] = PRIVATE
    if "user" in creates:
        options["prepare"] = maps.write
    # /proc is the host's, where the shell is found by the pid that its status tells.
    script = "for kind in /proc/self/ns/*; do readlink $kind; done"
    ended = run_program("sh", "-c", script, options=options)
    told = ended.started.namespaces
    shown = {
        kind: proc.parse_link(link)
        for link in ended.stdout.split()
        for kind in [link.partition(":")[0]]
        if kind in kinds.KINDS
    }
    assert told == shown
    own = proc.ids_of_process("self")
    assert {kind for kind in kinds.NAMES if told[kind] != own[kind]} == set(creates)


# CVE-2024-21626: a leaked descriptor of a directory of the host was the way out.


@pytest.fixture
def leaks() -> t.Iterator[list[int]]:
    """Descriptors of directories that would be inherited, as many as a careless caller has."""
    fds = [os.open("/etc", os.O_RDONLY | os.O_DIRECTORY) for _number in range(18)]
    for fd in fds:
        os.set_inheritable(fd, True)
    yield fds
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize("creates", [(), ("mnt", "pid")])
def test_no_descriptor_reaches_the_program_but_its_streams(
    leaks: list[int], creates: tuple[str, ...]
) -> None:
    assert leaks
    options = {"creates": creates, "surroundings": PRIVATE if creates else launch.NOTHING_AROUND}
    ended = run_program("sh", "-c", "echo /proc/$$/fd/*; ls -l /proc/self/fd", options=options)
    lines = [line.split()[-3:] for line in ended.stdout.splitlines() if " -> " in line]
    own = [(number, target) for number, _arrow, target in lines if "/fd" not in target]
    assert [number for number, _target in own] == ["0", "1", "2"]
    assert own[0][1] == "/dev/null"
    assert all(target.startswith("pipe:") for _number, target in own[1:])


@pytest.mark.parametrize("number", range(3, 21))
def test_no_working_directory_by_descriptor(
    leaks: list[int], number: int, tmp_path: pathlib.Path
) -> None:
    assert leaks
    ran = tmp_path / "ran"
    # Either it is closed by then, or it is a link that is not followed.
    with pytest.raises(StepFailed) as failed:
        run_program("touch", str(ran), chdir=f"/proc/self/fd/{number}")
    assert failed.value.step == f"change to the directory /proc/self/fd/{number}"
    cause = failed.value.cause
    assert isinstance(cause, Refused) or cause.errno == errno.ENOENT
    assert not ran.exists()


def test_no_working_directory_outside_of_the_root(tmp_path: pathlib.Path) -> None:
    inside = setup.Surroundings(propagation="private", root="/")
    options = {"creates": ("mnt",), "surroundings": inside}
    ran = tmp_path / "ran"
    for link in ("root", "cwd", f"root{tmp_path}"):
        with pytest.raises(StepFailed) as failed:
            run_program("touch", str(ran), chdir=f"/proc/{os.getpid()}/{link}", options=options)
        assert "outside of the program's root" in failed.value.reason
    assert not ran.exists()


def test_a_working_directory_inside_is_where_the_program_starts(tmp_path: pathlib.Path) -> None:
    (tmp_path / "there").symlink_to("/usr/share")
    assert run_program("pwd", "-P", chdir=f"{tmp_path}/there").stdout == "/usr/share\n"


# CVE-2019-5736: a root had the interpreter of the host run as its program, and overwrote it.


@pytest.mark.parametrize("how", ["itself", "link", "script", "script of a script", "in PATH"])
def test_the_interpreter_of_the_host_is_not_run_by_way_of_proc(
    tmp_path: pathlib.Path, how: str
) -> None:
    link, script, second = (tmp_path / name for name in ("link", "script", "second"))
    link.symlink_to("/proc/self/exe")
    script.write_text("#! /proc/self/exe -c\n")
    second.write_text(f"#!{script}\n")
    for path in (script, second):
        path.chmod(0o755)
    name = {
        "itself": "/proc/self/exe",
        "link": str(link),
        "script": str(script),
        "script of a script": str(second),
        "in PATH": "link",
    }[how]
    before = hashlib.sha256(pathlib.Path(sys.executable).read_bytes()).digest()
    with pytest.raises(StepFailed) as failed:
        run_program(name, environment={"PATH": str(tmp_path)})
    assert failed.value.step == f"run {name}"
    assert "a link of /proc" in failed.value.reason
    assert hashlib.sha256(pathlib.Path(sys.executable).read_bytes()).digest() == before


def test_the_interpreter_of_the_host_is_run_by_its_own_path() -> None:
    assert run_program(sys.executable, "-c", "print(6 * 7)").stdout == "42\n"


def test_nobody_inside_can_look_into_a_process_that_has_joined(
    unshared_process: UnsharedProcess,
) -> None:
    # A user namespace: root in none is root of the host, and may look into everything.
    inside = unshared_process(("user", "mnt", "pid"), options=["--map-root-user"])
    with targets.Target(pid=inside.pid).open() as handles:
        waiting, go = os.pipe()
        joined = enter.spawn(lambda: len(os.read(waiting, 1)), joins=handles)
        try:
            shown = inside.run("sh", "-c", "echo /proc/[0-9]*").split()
            assert len(shown) > 2  # that process is seen inside
            script = (
                "cd $0 && for file in exe root cwd fd/0; do readlink $file && echo FOUND; done;"
                "for file in mem environ maps; do exec 9<$file && echo FOUND; done;"
                "exec 9<>exe && echo FOUND"
            )
            numbers = [int(path.rpartition("/")[2]) for path in shown]
            pid_inside = status_of(pathlib.Path(f"/proc/{joined}/status").read_text())["NSpid"]
            assert int(pid_inside.split()[-1]) in numbers
            path = f"/proc/{pid_inside.split()[-1]}"
            assert "FOUND" not in inside.run("sh", "-c", script, path, check=False)
            # What is asked does find something where it may.
            assert "FOUND" in inside.run("sh", "-c", script, "/proc/1", check=False)
            if trace := _strace():
                attached = subprocess.run(
                    ["nsenter", "-t", str(inside.pid), "-a", trace, "-p", path[6:]],
                    check=False,
                    capture_output=True,
                    text=True,
                    timeout=20,
                )
                assert "Operation not permitted" in attached.stderr
        finally:
            os.write(go, b"x")
            os.waitpid(joined, 0)
            os.close(waiting)
            os.close(go)


def _strace() -> str:
    found = "/usr/bin/strace"
    return found if os.path.exists(found) else ""


def test_nothing_is_imported_from_a_root_that_was_entered() -> None:
    assert "ftplib" not in sys.modules

    def import_late() -> str:
        import ftplib

        return str(ftplib)

    with pytest.raises(ImportError):
        enter.run_inside(import_late, creates=["mnt"])
    with pytest.raises(LookupError):
        enter.run_inside(lambda: b"x".decode("cp1140"), creates=["mnt"])


# CVE-2017-5226: a program pushed input into the terminal of who had started it.


def test_the_program_has_no_terminal_of_the_caller_s() -> None:
    push = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSTI, b'x')"
    script = (
        f"/usr/bin/python3 -c {push!r} 2>&1 | tail -1; (: </dev/tty) 2>&1; ps -o sid=,tty= -p $$"
    )

    def on_a_terminal() -> tuple[Ended, int]:
        os.setsid()
        main, terminal = os.openpty()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        assert os.tcgetpgrp(terminal) == os.getpgrp()
        reading, writing = os.pipe()
        started = launch.start(
            launch.Program(("sh", "-c", script), environment=dict(os.environ), user="nobody"),
            streams=pipes.Streams(terminal, writing, writing),
        )
        os.close(writing)
        with open(reading) as pipe:
            said = pipe.read()
        os.waitpid(started.pid, 0)
        arrived = bytearray(4)
        fcntl.ioctl(terminal, termios.FIONREAD, arrived)
        assert main >= 0  # closed, it would end us
        return Ended(0, said, "", started), int.from_bytes(arrived, sys.byteorder)

    ended, arrived = in_child(on_a_terminal)
    pushed, opened, session = ended.stdout.splitlines()
    assert pushed.endswith(("Operation not permitted", "Input/output error"))
    assert "/dev/tty" in opened
    assert session.split() == [str(ended.started.pid), "?"]
    assert arrived == 0


def test_signals_are_as_at_the_beginning() -> None:
    def with_signals() -> dict[str, str]:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
        return status_with()

    found = in_child(with_signals)
    assert signals_of(found, "SigIgn", "SigBlk", "SigCgt") == set()


def test_the_environment_is_what_was_given() -> None:
    ended = run_program("/usr/bin/env", environment={"A": "1", "B": "ü\udcff", "C": "x\ny"})
    assert ended.stdout == "A=1\nB=ü\udcff\nC=x\ny\n"


def test_without_a_path_the_usual_one_is_searched() -> None:
    assert run_program("true", environment={"B": "2"}).status == 0


def test_descriptors_and_children_of_the_caller_are_not_used_up() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    zombies_before = zombies()
    for _round in range(3):
        run_program("true", options={"creates": ("mnt", "pid"), "surroundings": PRIVATE})
        with pytest.raises(StepFailed):
            run_program("no-such-program")
        with pytest.raises(StepFailed):
            run_program("true", options={"creates": ("pid",), "prepare": _fail})
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert zombies() <= zombies_before


def _fail(_pid: int) -> None:
    raise KernelError("write", errno.EPERM)
