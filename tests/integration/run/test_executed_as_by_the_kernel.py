# SPDX-License-Identifier: GPL-3.0-or-later
"""A program starts as execve(2) would start it: scripts, links, rights, names, devices."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import socket
import stat
import subprocess
import typing as t

import pytest
from launched import failure_of
from opens import Opens
from programs import in_child, run_program
from reach import let_everyone_reach

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import (
    KernelError,
    Refused,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.launch import setup
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.view import (
    open_host_proc,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import accounts

NOBODY = 65534
SHOW = "tr '\\0' '|' </proc/$$/cmdline; echo"


def program(path: pathlib.Path, text: str = "", mode: int = 0o755, *, of: str = "/bin/sh") -> str:
    """A script, or a copy of a program."""
    if text:
        path.write_text(text)
    else:
        shutil.copy(of, path)
    path.chmod(mode)
    return str(path)


# Scripts.


def test_the_words_of_a_script(tmp_path: pathlib.Path) -> None:
    script = program(tmp_path / "script", f"#! /bin/sh \t-e  \n{SHOW}\n")
    assert run_program(script, "a", "").stdout == f"/bin/sh|-e|{script}|a||\n"
    found = run_program("script", "a", environment={"PATH": f"/nosuch:{tmp_path}:/bin:/usr/bin"})
    assert found.stdout == f"/bin/sh|-e|{script}|a|\n"
    found = run_program("./script", chdir=str(tmp_path))
    assert found.stdout == "/bin/sh|-e|./script|\n"
    found = run_program("script", chdir=str(tmp_path), environment={"PATH": ":/bin:/usr/bin"})
    assert found.stdout == "/bin/sh|-e|./script|\n"


def test_a_script_that_runs_a_script_that_runs_a_script(tmp_path: pathlib.Path) -> None:
    for number in range(8):
        above = f"{tmp_path}/{number - 1} of{number}" if number else "/bin/sh -e"
        script = program(tmp_path / str(number), f"#!{above}\n{SHOW}\n")
        try:
            by_kernel = subprocess.run([script, "x"], check=False, capture_output=True, text=True)
        except OSError as error:
            failed = failure_of(script, "x")
            assert isinstance(failed.cause, KernelError)
            assert failed.cause.errno == error.errno
            assert "too often" in failed.reason
        else:
            assert number < 5
            assert run_program(script, "x").stdout == by_kernel.stdout


@pytest.mark.parametrize(
    "line", ["#!/bin/sh", "#!\n", "#! \n", "#!/bin/sh \n:", "#!/bin/sh\0x\n", "#!sh\n"]
)
def test_an_odd_line_fails_as_it_does_by_the_kernel(line: str, tmp_path: pathlib.Path) -> None:
    script = program(tmp_path / "script", line)
    number = 0
    try:
        subprocess.run([script], check=True)
    except OSError as error:
        number = error.errno or 0
    if number:
        cause = failure_of(script).cause
        assert isinstance(cause, KernelError)
        assert cause.errno == number
    else:
        assert run_program(script).status == 0


# Rights.


def test_a_program_that_may_not_be_read(tmp_path: pathlib.Path) -> None:
    let_everyone_reach(tmp_path)
    assert (
        run_program(program(tmp_path / "sh", mode=0o711), "-c", "exit 7", user="nobody").status == 7
    )
    script = program(tmp_path / "script", "#!/bin/sh\n", 0o711)
    failed = failure_of(script, user="nobody")
    assert (
        failed.reason
        == f"{script} may be executed, but what runs it may not read it, or is missing"
    )
    assert run_program(script).status == 0


def test_an_interpreter_that_may_not_be_executed(tmp_path: pathlib.Path) -> None:
    interpreter = program(tmp_path / "interpreter", mode=0o644)
    failed = failure_of(program(tmp_path / "script", f"#!{interpreter}\n"))
    assert failed.reason == f"{interpreter} may not be executed by the program's user"
    failed = failure_of(program(tmp_path / "script", f"#!{tmp_path}\n"))
    assert failed.reason == f"{tmp_path} is a directory"


@pytest.mark.parametrize("place", ["script", "interpreter"])
def test_a_script_on_a_mount_with_noexec(place: str, tmp_path: pathlib.Path) -> None:
    program(tmp_path / "interpreter")
    script = program(tmp_path / "script", "#!/mnt/interpreter\n")
    path = "/mnt/script" if place == "script" else script
    mount = setup.WantedMount("/mnt", src=str(tmp_path), words=("bind", "noexec"))
    around = setup.Surroundings(propagation="private", mounts=(mount,))
    failed = failure_of(path, options={"creates": ("mnt",), "surroundings": around})
    assert failed.reason == f"/mnt/{place} lies on a mount with noexec"


def test_a_setuid_program(tmp_path: pathlib.Path) -> None:
    let_everyone_reach(tmp_path)
    path = program(tmp_path / "id", mode=0o4755, of="/usr/bin/id")
    assert run_program(path, "-u", user="nobody").stdout == "0\n"
    assert run_program(path, "-u", user="nobody", no_new_privs=True).stdout == f"{NOBODY}\n"
    # Of a script the bit counts for nothing.
    script = program(tmp_path / "script", "#!/usr/bin/id -u\n", 0o4755)
    assert run_program(script, user="nobody").stderr.count("no such user") == 1


def test_a_directory_that_only_the_one_above_may_enter(tmp_path: pathlib.Path) -> None:
    """By its path from the root it is out of reach; by the way in which it is named it is not."""
    let_everyone_reach(tmp_path)
    (tmp_path / "closed/open").mkdir(parents=True)
    program(tmp_path / "closed/open/sh")
    (tmp_path / "closed").chmod(0o700)
    found = run_program("./sh", "-c", "exit 7", chdir=f"{tmp_path}/closed/open", user="nobody")
    assert found.status == 7


def test_a_program_that_is_being_written(tmp_path: pathlib.Path) -> None:
    for path in (program(tmp_path / "sh"), program(tmp_path / "script", "#!/bin/sh\n")):
        with open(path, "ab"):
            assert failure_of(path).reason == f"{path} is open for writing"


def test_loops_of_links(tmp_path: pathlib.Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    failed = failure_of(f"{tmp_path}/loop")
    assert isinstance(failed.cause, KernelError)
    assert failed.cause.errno_name == "ELOOP"
    assert "too often" in failed.reason


# Names.


def test_the_first_word_is_the_one_given_and_the_process_has_the_name_of_the_file(
    tmp_path: pathlib.Path,
) -> None:
    """Programs with many names tell by the first word which one they are to be."""
    path = program(tmp_path / "many")
    (tmp_path / "one").symlink_to("many")
    words = f"{SHOW}; cat /proc/$$/comm"
    for name in ("one", "many"):
        found = run_program(f"{tmp_path}/{name}", "-c", words).stdout.split("\n")
        assert found[0].startswith(f"{tmp_path}/{name}|-c|")
        assert found[1] == "many"
    environment = {"PATH": f"{tmp_path}:/bin:/usr/bin"}
    assert run_program("one", "-c", SHOW, environment=environment).stdout.startswith("one|-c|")
    assert run_program(path, "-c", "ls -l /proc/$$/exe").stdout.endswith(f" -> {path}\n")


def test_a_program_without_a_name_runs_all_the_same(tmp_path: pathlib.Path) -> None:
    """It is executed by its descriptor where nothing has the path that it was found at any more."""
    path = program(tmp_path / "sh")
    mount = setup.WantedMount
    inside = setup.Surroundings(
        propagation="private",
        mounts=(
            mount("/mnt", src="/", words=("bind",)),
            mount("/mnt/proc", src="proc", fstype="proc"),
            mount(str(tmp_path), src="over", fstype="tmpfs"),
        ),
    )
    options = {"creates": ("mnt", "pid"), "surroundings": inside}
    assert run_program(f"/mnt{path}", "-c", "exit 7", options=options).status == 7


def test_environment_and_words_that_are_no_text() -> None:
    odd = os.fsdecode(b"\xff\xfe")
    found = run_program(
        "sh", "-c", 'printf %s "$odd$1"', "sh", odd, environment={"odd": odd, "PATH": "/bin"}
    )
    assert os.fsencode(found.stdout) == b"\xff\xfe" * 2


# What is looked at is not opened.


@contextlib.contextmanager
def odd_file(kind: str, path: pathlib.Path) -> t.Iterator[None]:
    if kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))
            yield
    else:
        kinds = {"pipe": stat.S_IFIFO, "device": stat.S_IFCHR, "disk": stat.S_IFBLK}
        if kind == "directory":
            path.mkdir()
        else:
            os.mknod(path, kinds[kind] | 0o777, os.makedev(10, 130))  # a watchdog
        yield


@pytest.mark.parametrize("kind", ["pipe", "device", "disk", "socket", "directory"])
@pytest.mark.parametrize("place", ["program", "interpreter"])
def test_what_is_no_file_is_not_opened(kind: str, place: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "odd"
    with odd_file(kind, path), Opens(path) as opens:
        script = program(tmp_path / "script", f"#!{path}\n")
        failed = failure_of(str(path) if place == "program" else script)
        assert opens.count == 0
    assert isinstance(failed.cause, KernelError)
    assert failed.cause.errno_name == "EACCES"
    assert (
        failed.reason == f"{path} is {'a directory' if kind == 'directory' else 'no regular file'}"
    )


@pytest.mark.parametrize("kind", ["pipe", "device", "disk", "socket", "directory"])
@pytest.mark.parametrize("name", ["passwd", "group"])
def test_a_file_of_users_that_is_none_is_not_opened(
    kind: str, name: str, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "etc").mkdir()
    path = tmp_path / "etc" / name
    host_proc = open_host_proc()

    def look() -> None:
        os.chroot(tmp_path)
        accounts.files_of_this_root(host_proc)

    with odd_file(kind, path), Opens(path) as opens:
        with pytest.raises(Refused, match=f"/etc/{name} of the program's root is not a file"):
            in_child(look)
        assert opens.count == 0
    os.close(host_proc)


@pytest.mark.parametrize(
    "link",
    ["/proc/self/exe", "/proc/self/root/bin/sh", "/proc/{pid}/root/etc/passwd", "/proc/kmsg"],
)
def test_a_file_of_users_behind_a_link_of_proc_is_not_read(
    link: str, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "passwd").symlink_to(link.format(pid=os.getpid()))
    over = setup.WantedMount("/etc", src=str(tmp_path), words=("bind",))
    around = setup.Surroundings(propagation="private", mounts=(over,))
    with pytest.raises(Refused, match="not a file that lists users"):
        run_program("true", user="nobody", options={"creates": ("mnt",), "surroundings": around})


@pytest.mark.parametrize("place", ["program", "interpreter"])
def test_what_the_kernel_answers_is_not_read(place: str, tmp_path: pathlib.Path) -> None:
    """To read it is to wait for ever, and to take from others what the kernel has to say."""
    script = program(tmp_path / "script", "#!/proc/kmsg\n")
    with Opens("/proc/kmsg") as opens:
        failed = failure_of("/proc/kmsg" if place == "program" else script)
        assert opens.count == 0
    assert isinstance(failed.cause, KernelError)
    assert failed.cause.errno_name == "EACCES"
