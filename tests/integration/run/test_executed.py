# SPDX-License-Identifier: GPL-3.0-or-later
"""What is executed is what was looked at: no link of /proc makes us the program (CVE-2019-5736)."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

import pytest
from command import PYTHON, Nsctl
from executables_seen import NEARLY_ALL, watching
from launched import failure_of
from programs import run_program
from raced import changing_places
from results import RunModule
from run_modules import Run
from setns_run import NOBODY, failure
from unshared_process import UnsharedProcess, start_unshared

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import (
    Refused,
    StepFailed,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.launch import setup
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import enter
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace.target import Target
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import processes

__all__ = ["failure"]

PRIVATE: dict[str, t.Any] = {
    "creates": ("mnt",),
    "surroundings": setup.Surroundings(propagation="private"),
}
ROUNDS = int(os.environ.get("RACED_STARTS", "60"))
# To a magic link's Python this is a program, to what should run it is nothing.
TRACE = "open({!r}, 'w').close()"


@pytest.fixture
def interpreters_unchanged() -> t.Iterator[None]:
    """The interpreters that enter."""
    before = [digest(path) for path in (sys.executable, PYTHON)]
    yield
    assert [digest(path) for path in (sys.executable, PYTHON)] == before


def digest(path: str) -> bytes:
    return hashlib.sha256(pathlib.Path(path).resolve().read_bytes()).digest()


class Raced(t.NamedTuple):
    """A program that is exchanged with a link to /proc/self/exe, and the trace of that running."""

    argv: tuple[str, ...]
    one: pathlib.Path
    other: pathlib.Path
    trace: pathlib.Path


@pytest.fixture(params=["program", "interpreter", "interpreter of an interpreter", "directory"])
def raced(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Raced:
    place = tmp_path / "bin"
    place.mkdir()
    shutil.copy("/bin/true", place / "exe")
    one, other, trace = place / "exe", place / "other", tmp_path / "trace"
    other.symlink_to("/proc/self/exe")
    name = one
    if request.param == "directory":
        # .../bin/exe is the copy, or /proc/self/exe.
        one, other = place, tmp_path / "elsewhere"
        other.symlink_to("/proc/self")
    elif request.param != "program":
        for number in range(request.param.count("interpreter")):
            script = tmp_path / f"script{number}"
            script.write_text(f"#!{name}\n")
            script.chmod(0o755)
            name = script
    code = f"{TRACE.format(str(trace))}"
    if name is not one and request.param != "directory":
        # The script is what Python is given: let it be one in Python as well.
        name.write_text(name.read_text() + code + "\n")
        (tmp_path / "script0").write_text(f"#!{one}\n{code}\n")
        return Raced((str(name),), one, other, trace)
    return Raced((str(name), "-c", code), one, other, trace)


@pytest.mark.usefixtures("interpreters_unchanged")
def test_a_raced_program_of_the_modules(raced: Raced) -> None:
    counts = {"ran": 0, "refused": 0}
    with changing_places(raced.one, raced.other):
        for _round in range(ROUNDS):
            try:
                ended = run_program(*raced.argv, options=PRIVATE)
            except (Refused, StepFailed):
                counts["refused"] += 1
            else:
                counts["ran"] += 1
                assert (ended.stdout, ended.stderr) == ("", "")
            assert not raced.trace.exists(), counts
    assert all(counts.values()), counts


@pytest.mark.usefixtures("interpreters_unchanged")
def test_a_raced_program_of_nsctl(
    nsctl: Nsctl, run_module: RunModule, new_name: t.Callable[[], str], raced: Raced
) -> None:
    name = new_name()
    args = {"name": name, "kinds": ["mnt"], "persistent": False}
    assert run_module("ns_namespace", args)["changed"]
    codes = set()
    with changing_places(raced.one, raced.other):
        for _round in range(ROUNDS):
            codes.add(nsctl("exec", name, "--", *raced.argv, code=None).returncode)
            assert not raced.trace.exists(), codes
    assert codes <= {0, 125, 126, 127} and 0 in codes and len(codes) > 1


# Nobody inside opens the executable of who enters.

# Those that container engines leave to root, and others.
RIGHTS = {
    "few": (
        *("chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap"),
        *("net_bind_service", "net_raw", "sys_chroot", "mknod", "audit_write", "setfcap"),
    ),
    "nearly all": NEARLY_ALL,
    "none": (),
    "all, in a user namespace": None,
}


@pytest.mark.usefixtures("interpreters_unchanged")
@pytest.mark.parametrize(
    ("rights", "user"),
    [*((rights, None) for rights in RIGHTS), ("few", "nobody"), ("none", "nobody")],
)
def test_who_enters_cannot_be_opened_from_inside(
    rights: str, user: str | None, nsctl: Nsctl, unshared_process: UnsharedProcess
) -> None:
    kept = RIGHTS[rights]
    kinds = ["mnt", "pid"] if kept is not None else ["user", "mnt", "pid"]
    options = ["--map-root-user"] if kept is None else []
    inside = unshared_process(kinds, options=options)
    words = [] if user is None else [f"--user={user}"]
    words += [] if kept is None else [f"--capabilities={','.join(kept)}"]
    with watching(inside.pid, user=user, capabilities=kept) as seen:
        for _round in range(10):
            with Target(pid=inside.pid).open() as handles:
                joined = {"joins": handles}
                run_program("sleep", "0.05", user=user, capabilities=kept, options=joined)
            nsctl("exec", f"--pid={inside.pid}", *words, "--", "sleep", "0.05")
        found = seen()
    assert [line for line in found if "opened /usr/bin/sleep" in line]  # it has seen the programs
    assert not [line for line in found if "python" in line]


def test_a_plain_user_who_enters_cannot_be_opened_from_inside() -> None:
    """Root of a user's own user namespace has no right to what the user is outside of it."""
    begun = os.fork()
    if begun == 0:
        code = 1
        try:
            os.setresuid(*[NOBODY] * 3)
            processes.prctl(processes.PR_SET_DUMPABLE, 1)  # as after execve(2)
            with contextlib.ExitStack() as stack:
                inside = start_unshared(stack, ["user"], ["--map-root-user"])
                with Target(pid=inside.pid).open() as handles:
                    code = 0 if enter.run_inside(_said_of_us, joins=handles) == "" else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(begun, 0)[1]) == 0


def _said_of_us() -> str:
    words = ["readlink", f"/proc/{os.getpid()}/exe"]
    return subprocess.run(words, check=False, capture_output=True, text=True).stdout


# What the kernel opens by a path.


def test_a_loader_that_is_a_link_of_proc(tmp_path: pathlib.Path) -> None:
    (tmp_path / "ld").symlink_to("/proc/self/exe")
    binary = pathlib.Path("/bin/true").resolve().read_bytes()
    loader = binary[binary.index(b"/lib") :].partition(b"\0")[0]
    for name in (b"/proc/self/exe", os.fsencode(tmp_path / "ld"), b"/proc/self/root" + loader):
        program = tmp_path / "program"
        if len(name) > len(loader):
            link = pathlib.Path("/run/l")
            link.unlink(missing_ok=True)
            link.symlink_to(os.fsdecode(name))
            name = b"/run/l"
        content = bytearray(binary.replace(loader, name.ljust(len(loader), b"\0"), 1))
        # The kernel does not heed what it says of its class and its order of bytes.
        for said in (content[4:6], b"\1\1", b"\2\2", b"\1\2", b"\0\7"):
            content[4:6] = said
            program.write_bytes(content)
            program.chmod(0o755)
            assert "leads through a link of /proc" in failure_of(str(program)).reason
    pathlib.Path("/run/l").unlink()


@pytest.mark.parametrize("magic", ["ANOTHERFORMAT", "\\x7fELF"])
def test_what_binfmt_misc_runs_is_refused(
    magic: str, failure: Run, unshared_process: UnsharedProcess, tmp_path: pathlib.Path
) -> None:
    """The root of a user namespace says itself what runs its files (Linux 6.7): any path."""
    inside = unshared_process(["user", "mnt", "pid"], options=["--map-root-user"])
    inside.run("mount", "-t", "tmpfs", "inside", "/mnt")
    if inside.run("sh", "-c", "mount -t binfmt_misc none /mnt || echo no", check=False):
        pytest.skip("this kernel has one binfmt_misc for all")
    program = tmp_path / "program"
    program.write_text("ANOTHERFORMAT\n")
    program.chmod(0o755)
    trace = tmp_path / "trace"
    inside.run("sh", "-c", f"echo ':x:M::{magic}::/proc/self/exe:' >/mnt/register")
    path = str(program) if magic.isalpha() else "/usr/bin/env"
    result = failure(path, "-c", TRACE.format(str(trace)), pid=inside.pid)
    assert "in another format that binfmt_misc knows of" in result["msg"]
    assert not trace.exists()
