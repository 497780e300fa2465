# SPDX-License-Identifier: GPL-3.0-or-later
"""Becoming a program: what it inherits and what not, its ids, its rights, and how it fails."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import pathlib
import resource
import signal
import subprocess
import sys
import termios
import typing as t

import pytest
from programs import Ended, in_child, run_program, signals_of, status_of
from reach import let_everyone_reach
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
    capabilities,
    execute,
    pipes,
    proc,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import processes

NOBODY = 65534
PRIVATE = setup.Surroundings(propagation="private")
STATUS = ("cat", "/proc/self/status")
ALL = (1 << 64) - 1


def status_with(**program: t.Any) -> dict[str, str]:
    """The status of a program that is started with these fields."""
    ended = run_program(*STATUS, **program)
    assert ended.status == 0, ended.stderr
    return status_of(ended.stdout)


def capability_sets(status: dict[str, str]) -> dict[str, int]:
    return {name: int(status[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}


def failure_of(*argv: str, **program: t.Any) -> StepFailed:
    before = zombies()
    with pytest.raises(StepFailed) as failed:
        run_program(*argv, **program)
    assert zombies() <= before  # it was waited for
    return failed.value


def zombies() -> set[int]:
    """Children of this process that have ended and were not waited for."""
    listed = pathlib.Path("/proc/thread-self/children").read_text().split()
    facts = [proc.process_facts(int(pid)) for pid in listed]
    return {each.pid for each in facts if each is not None and each.state == "Z"}


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
    with pytest.raises((StepFailed, Refused)) as failed:
        run_program("touch", str(ran), chdir=f"/proc/self/fd/{number}")
    if isinstance(failed.value, StepFailed):
        assert failed.value.step == f"change to the directory /proc/self/fd/{number}"
        assert failed.value.cause.errno == errno.ENOENT
    assert not ran.exists()


def test_no_working_directory_outside_of_the_root(tmp_path: pathlib.Path) -> None:
    inside = setup.Surroundings(propagation="private", root="/")
    options = {"creates": ("mnt",), "surroundings": inside}
    ran = tmp_path / "ran"
    for link in ("root", "cwd", f"root{tmp_path}"):
        with pytest.raises(Refused, match="outside of the program's root"):
            run_program("touch", str(ran), chdir=f"/proc/{os.getpid()}/{link}", options=options)
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
    with pytest.raises(Refused, match="a link of /proc"):
        run_program(name, environment={"PATH": str(tmp_path)})
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
        enter.call(import_late, creates=["mnt"])
    with pytest.raises(LookupError):
        enter.call(lambda: b"x".decode("cp1140"), creates=["mnt"])


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


# CVE-2022-29162: capabilities were inherited that nobody had asked for.


def test_inheritable_capabilities_of_the_caller_do_not_reach_the_program() -> None:
    def with_inheritable() -> dict[str, str]:
        effective, permitted, _inheritable = processes.get_capabilities()
        processes.set_capabilities(effective=effective, permitted=permitted, inheritable=permitted)
        processes.prctl(processes.PR_CAP_AMBIENT, processes.PR_CAP_AMBIENT_RAISE, 13)
        own = capability_sets(status_of(pathlib.Path("/proc/self/status").read_text()))
        assert own["Inh"] and own["Amb"]
        return status_with()

    found = capability_sets(in_child(with_inheritable))
    assert found["Inh"] == found["Amb"] == 0
    assert found["Eff"] == found["Prm"] == found["Bnd"] != 0


def bits(*names: str) -> int:
    return capabilities.mask_of(names)


@pytest.mark.parametrize(
    ("user", "kept", "wanted"),
    [
        # (inheritable, permitted, effective, bounding, ambient); ALL is what the caller has
        (None, None, (0, ALL, ALL, ALL, 0)),
        (None, (), (0, 0, 0, 0, 0)),
        (None, ("net_raw",), (0, bits("net_raw"), bits("net_raw"), bits("net_raw"), 0)),
        ("0", ("CAP_CHOWN", "kill"), (0, *(bits("chown", "kill"),) * 3, 0)),
        ("nobody", None, (0, 0, 0, ALL, 0)),
        ("nobody", (), (0, 0, 0, 0, 0)),
        ("nobody", ("net_bind_service",), (bits("net_bind_service"),) * 5),
        ("nobody", ("setuid", "setgid", "setpcap"), (bits("setuid", "setgid", "setpcap"),) * 5),
    ],
)
def test_all_five_sets(
    user: str | None, kept: tuple[str, ...] | None, wanted: tuple[int, ...]
) -> None:
    own = capability_sets(status_of(pathlib.Path("/proc/self/status").read_text()))["Bnd"]
    found = capability_sets(status_with(user=user, capabilities=kept))
    assert tuple(found.values()) == tuple(own if value == ALL else value for value in wanted)


def test_a_capability_that_the_caller_lacks_is_refused_by_name() -> None:
    def without() -> None:
        processes.prctl(processes.PR_CAPBSET_DROP, capabilities.NAMES.index("sys_boot"))
        run_program("true", capabilities=("chown", "sys_boot"))

    with pytest.raises(Refused, match="to be kept: sys_boot"):
        in_child(without)


def test_an_unknown_capability_is_refused_before_anything_is_started() -> None:
    with pytest.raises(Refused, match="'net_brew' is not a capability"):
        run_program("true", capabilities=("net_brew",))


@pytest.mark.parametrize("wanted", [True, False])
def test_no_new_privs(wanted: bool) -> None:
    assert status_with(no_new_privs=wanted)["NoNewPrivs"] == str(int(wanted))


def test_no_new_privs_and_ambient_capabilities_go_together() -> None:
    found = status_with(user="nobody", capabilities=("net_raw",), no_new_privs=True)
    assert found["NoNewPrivs"] == "1"
    assert int(found["CapEff"], 16) == bits("net_raw")


# CVE-2026-30892: the user "1" became root.


@pytest.mark.parametrize("host_users", [True, False])
@pytest.mark.parametrize(
    ("user", "uid", "gid", "groups"),
    [
        ("1", 1, 1, "1"),
        ("1:1", 1, 1, "1"),
        ("daemon", 1, 1, "1"),
        ("1:nogroup", 1, 65534, "65534"),
        ("4000000000", 4000000000, 4000000000, "4000000000"),
        ("0", 0, 0, "0"),
        ("root", 0, 0, "0"),
    ],
)
def test_the_ids_are_those_asked_for(
    user: str, uid: int, gid: int, groups: str, host_users: bool
) -> None:
    found = status_with(user=user, host_users=host_users)
    assert found["Uid"].split() == [str(uid)] * 4
    assert found["Gid"].split() == [str(gid)] * 4
    assert found["Groups"] == groups


@pytest.mark.parametrize("user", ["", "-1", "4294967295", "01", "no-such-user", "root:"])
def test_a_user_that_is_none_is_refused(user: str) -> None:
    with pytest.raises(Refused):
        run_program("true", user=user)


def test_group_and_groups() -> None:
    found = status_with(user="daemon", group="mail", groups=("1000", "adm"))
    assert found["Gid"].split() == ["8"] * 4
    assert found["Groups"] == "4 1000"
    assert status_with(user="daemon", groups=())["Groups"] == ""


def test_groups_of_the_caller_are_dropped_with_its_user() -> None:
    def with_groups() -> dict[str, str]:
        os.setgroups([4, 27, 1000])
        return status_with(user="4321")

    assert in_child(with_groups)["Groups"] == "4321"


def test_a_hostile_passwd_is_no_trap(tmp_path: pathlib.Path) -> None:
    for name in ("bin", "lib", "lib64", "usr"):
        if os.path.islink(f"/{name}"):
            (tmp_path / name).symlink_to(os.readlink(f"/{name}"))
        else:
            (tmp_path / name).mkdir()
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    mount = setup.WantedMount
    inside = setup.Surroundings(
        propagation="private",
        root=str(tmp_path),
        mounts=(mount("/usr", src="/usr", words=("bind", "ro")),),
    )
    with pytest.raises(Refused, match="not a file that lists users"):
        run_program("true", user="nobody", options={"creates": ("mnt",), "surroundings": inside})


def test_its_outputs_belong_to_its_user() -> None:
    ended = run_program("sh", "-c", "echo out >/dev/stdout; echo err >/dev/stderr", user="nobody")
    assert (ended.stdout, ended.stderr) == ("out\n", "err\n")


def test_limits_and_umask() -> None:
    limits = {"nofile": (100, 200), "RLIMIT_CORE": (0, 0), "as": (1 << 30, 1 << 30)}
    ended = run_program("sh", "-c", "umask; cat /proc/self/limits", limits=limits, umask=0o027)
    lines = ended.stdout.splitlines()
    assert lines[0] == "0027"
    found = {line[:26].strip(): line[26:].split()[:2] for line in lines[2:]}
    assert found["Max open files"] == ["100", "200"]
    assert found["Max core file size"] == ["0", "0"]
    assert found["Max address space"] == [str(1 << 30)] * 2


@pytest.mark.parametrize(
    ("limit", "reason"),
    [((5, 4), "the soft limit of nofile is above the hard one"), (None, "CAP_SYS_RESOURCE")],
)
def test_a_limit_that_cannot_be_set(limit: tuple[int, int] | None, reason: str) -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def start() -> None:
        os.setresuid(NOBODY, NOBODY, NOBODY)
        run_program("true", limits={"nofile": limit or (hard + 1, hard + 1)})

    with pytest.raises(StepFailed) as failed:
        in_child(start)
    assert failed.value.step == "set the limit nofile"
    assert reason in failed.value.reason


def test_an_unknown_limit_is_refused() -> None:
    with pytest.raises(Refused, match="'files' is not a resource limit"):
        run_program("true", limits={"files": (1, 1)})


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


# Failures before the program runs are raised here, with the step and the cause.


def test_a_program_that_is_nowhere() -> None:
    failed = failure_of("no-such-program", environment={"PATH": "/bin:/opt"})
    assert failed.step == "run no-such-program"
    assert isinstance(failed.cause, KernelError)
    assert (failed.cause.call, failed.cause.errno_name) == ("execve", "ENOENT")
    assert "no program no-such-program" in failed.reason
    assert "/bin:/opt" in failed.reason


def script_at(path: pathlib.Path, text: str, mode: int = 0o755) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_path_where_no_program_is(tmp_path: pathlib.Path) -> None:
    failed = failure_of(str(tmp_path / "none"))
    assert failed.reason == f"{tmp_path}/none does not exist in the program's root"
    (tmp_path / "link").symlink_to("/no/such/file")
    assert "is a link to nothing" in failure_of(str(tmp_path / "link")).reason


def test_an_interpreter_that_is_missing(tmp_path: pathlib.Path) -> None:
    failed = failure_of(script_at(tmp_path / "script", "#!/no/such/interpreter -x\n"))
    assert "/no/such/interpreter" in failed.reason
    binary = pathlib.Path("/bin/true").resolve().read_bytes()
    loader = binary[binary.index(b"/lib") :].partition(b"\0")[0]
    (tmp_path / "binary").write_bytes(binary.replace(loader, b"/nix" + loader[4:], 1))
    (tmp_path / "binary").chmod(0o755)
    failed = failure_of(str(tmp_path / "binary"))
    assert f"missing in the program's root: /nix{loader[4:].decode()}" in failed.reason


def test_a_file_that_may_not_be_executed(tmp_path: pathlib.Path) -> None:
    failed = failure_of(script_at(tmp_path / "script", "#!/bin/sh\n", 0o644))
    assert "may not be executed" in failed.reason
    assert failed.hint == f"Make it so: chmod +x {tmp_path}/script."
    assert failure_of(str(tmp_path)).reason == f"{tmp_path} is a directory"
    (tmp_path / "closed").mkdir(mode=0o700)
    hidden = script_at(tmp_path / "closed/script", "#!/bin/sh\n")
    let_everyone_reach(tmp_path)
    failed = failure_of(hidden, user="nobody")
    assert "may not enter a directory above" in failed.reason


def test_a_file_on_a_mount_with_noexec(tmp_path: pathlib.Path) -> None:
    script_at(tmp_path / "script", "#!/bin/sh\n")
    mount = setup.WantedMount("/mnt", src=str(tmp_path), words=("bind", "noexec"))
    around = setup.Surroundings(propagation="private", mounts=(mount,))
    failed = failure_of("/mnt/script", options={"creates": ("mnt",), "surroundings": around})
    assert failed.reason == "/mnt/script lies on a mount with noexec"


def test_a_file_that_is_no_program(tmp_path: pathlib.Path) -> None:
    failed = failure_of(script_at(tmp_path / "script", "echo no interpreter named\n"))
    assert isinstance(failed.cause, KernelError)
    assert failed.cause.errno_name == "ENOEXEC"
    assert "#!" in failed.reason


def test_arguments_that_are_too_long() -> None:
    failed = failure_of("true", "x" * (1 << 20))
    assert isinstance(failed.cause, KernelError)
    assert failed.cause.errno_name == "E2BIG"
    assert "too long" in failed.reason


def test_a_directory_that_is_missing(tmp_path: pathlib.Path) -> None:
    failed = failure_of("true", chdir=f"{tmp_path}/none")
    assert failed.step == f"change to the directory {tmp_path}/none"
    assert failed.reason == f"{tmp_path}/none does not exist in the program's root"
    (tmp_path / "file").touch()
    assert "is no directory" in failure_of("true", chdir=f"{tmp_path}/file").reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"argv": ()}, "argv names no program"),
        ({"argv": ("",)}, "argv names no program"),
        ({"argv": ("a\0b",)}, "null character"),
        ({"argv": ("a",), "chdir": "/\0"}, "null character"),
        ({"argv": ("a",), "environment": {"A=B": "1"}}, "'A=B' cannot be the name"),
        ({"argv": ("a",), "environment": {"": "1"}}, "cannot be the name"),
        ({"argv": ("a",), "environment": {"A": "\0"}}, "null character"),
    ],
)
def test_a_program_that_makes_no_sense_is_refused(fields: dict[str, t.Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        launch.Program(**fields).checked()


def test_a_step_in_the_child_that_fails_is_raised_here_with_what_the_kernel_said() -> None:
    wrong = setup.WantedMount("/mnt", src="x", fstype="tmpfs", words=("bogus=1",))
    around = setup.Surroundings(propagation="private", mounts=(wrong,))
    failed = failure_of("true", options={"creates": ("mnt",), "surroundings": around})
    assert failed.step == "mount tmpfs on /mnt"
    assert "bogus" in failed.reason


def test_a_reason_not_to_start_is_asked_in_the_root_and_directory_of_the_program() -> None:
    asked = {}

    def reason() -> str:
        asked["here"] = os.getcwd()  # in the child: not seen here
        return f"no: {os.getcwd()}"

    with pytest.raises(execute.NotStarted, match="no: /usr"):
        run_program("true", chdir="/usr", options={"reason_not_to": reason})
    assert asked == {}
    assert run_program("true", options={"reason_not_to": lambda: ""}).status == 0


@pytest.mark.parametrize(
    ("around", "kind"),
    [
        ({"propagation": "private"}, "mnt"),
        ({"root": "/srv"}, "mnt"),
        ({"mounts": (setup.PROC,)}, "mnt"),
        ({"mount_proc": True}, "mnt"),
        ({"hostname": "x"}, "uts"),
        ({"loopback": True}, "net"),
    ],
)
def test_what_would_change_the_host_is_refused(around: dict[str, t.Any], kind: str) -> None:
    wanted = setup.Surroundings(**around)
    with pytest.raises(Refused, match=f"needs the kind {kind}"):
        run_program("true", options={"surroundings": wanted})


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
