# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting a program: failures before it runs are raised here, with the step and the cause."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from launched import failure_of
from programs import run_program
from reach import let_everyone_reach

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import (
    KernelError,
    Refused,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.launch import setup
from ansible_collections.linux.namespaces.plugins.module_utils._core.launch import start as launch
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import execute


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
