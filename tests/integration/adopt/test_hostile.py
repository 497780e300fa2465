# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl adopt --pid: processes that are not there, have nothing, end meanwhile, or have odd names."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess

import pytest
from adoptions import Adopt, Applied
from command import Nsctl
from host_state import host_state
from named_namespaces import NewName, own_id
from processes_inside import mounts_inside
from unshared_process import UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins

# What steers a terminal, a line of its own, what turns text, what parts fields and words, a byte that
# is no UTF-8.
NASTY = os.fsdecode(b"x\x1b]0;t\x07\nnsctl adopt: forged\r\t\\040,\"'\xe2\x80\xae\xff")


def is_clean(text: str) -> bool:
    return all(line.isprintable() for line in text.splitlines())


def test_processes_that_are_not_there(nsctl: Nsctl, new_name: NewName) -> None:
    before = host_state()
    gone = subprocess.Popen(["true"])
    gone.wait()
    for pid, code, why in (
        (str(gone.pid), 1, f"There is no process {gone.pid} on this host"),
        ("99999999", 1, "There is no process 99999999"),
        ("9" * 18, 1, "There is no process 9"),
        ("9" * 5000, 2, "is no pid"),
        ("0", 1, "ositive number"),
        ("-1", 2, "'-1' is no pid"),
        ("\u0663", 2, "is no pid"),
        ("self", 2, "'self' is no pid"),
        ("", 2, "'' is no pid"),
        ("1\x1b[31m", 2, "is no pid"),
    ):
        for words in ([], ["--keep"]):
            done = nsctl("adopt", new_name(), "--pid", pid, *words, code=code)
            assert why in done.stderr, (pid, done.stderr)
            assert is_clean(done.stderr)
            assert done.stdout == ""
    assert host_state() == before


def test_a_process_with_nothing_of_its_own(nsctl: Nsctl, new_name: NewName) -> None:
    before = host_state()
    for words in ([], ["--keep"]):
        done = nsctl("adopt", new_name(), "--pid", str(os.getpid()), *words, code=1)
        assert "has the namespaces of the host alone" in done.stderr
    assert host_state() == before


def test_a_zombie(nsctl: Nsctl, new_name: NewName) -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    done = nsctl("adopt", new_name(), "--pid", str(process.pid), "--keep", code=1)
    assert f"There is no process {process.pid} on this host" in done.stderr
    process.wait()


def test_only_a_pid_namespace_cannot_be_kept(
    unshared_process: UnsharedProcess, nsctl: Nsctl, new_name: NewName
) -> None:
    process = unshared_process(("pid",))
    before = host_state()
    done = nsctl("adopt", new_name(), "--pid", str(process.pid), "--keep", code=1)
    assert f"Nothing of process {process.pid} can be kept: the pid namespace: " in done.stderr
    assert host_state() == before


@pytest.mark.parametrize("delay", range(0, 60, 6))
def test_a_process_that_ends_meanwhile(
    delay: int, unshared_process: UnsharedProcess, nsctl: Nsctl, new_name: NewName
) -> None:
    """All of it is kept, or nothing is: what was open in time stays."""
    process = unshared_process(("mnt", "uts", "ipc"))
    name = new_name()
    with nsctl.start(
        "adopt", name, "--pid", str(process.pid), "--keep",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as running:  # fmt: skip
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(timeout=delay / 300)
        os.kill(process.pid, signal.SIGKILL)
        out, err = running.communicate()
    assert "Traceback" not in err
    if running.returncode:
        assert f"There is no process {process.pid}" in err
        assert out == ""
        assert pins.pinned(name) == {}
    else:
        (entry,) = json.loads(out)["namespaces"]
        assert sorted(pins.pinned(name)) == entry["kinds"] == ["ipc", "mnt", "uts"]


def test_odd_names(
    unshared_process: UnsharedProcess,
    adopt: Adopt,
    applied: Applied,
    nsctl: Nsctl,
    new_name: NewName,
    tmp_path: pathlib.Path,
) -> None:
    process = unshared_process(("mnt", "uts"))
    places = [str(tmp_path / name) for name in (NASTY, NASTY * 2)]
    for place in places:
        os.mkdir(place)
    process.run("mount", "-t", "tmpfs", "-o", "size=1m", NASTY, places[0])
    process.run("mount", "--bind", places[0] + "/../" + NASTY * 2, places[1])
    process.run("hostname", "--", "a-b")
    found = adopt(new_name(), "--pid", str(process.pid))
    assert [each["path"] for each in found.entry["mounts"]] == places
    assert found.entry["mounts"][0]["src"] == NASTY
    assert found.entry["mounts"][1]["src"] == places[1]
    assert found.left == []
    name = applied(found.entry)
    assert {mount.path for mount in mounts_inside(name)} >= {*places}
    kept = adopt(new_name(), "--pid", str(process.pid), "--keep").entry["name"]
    exported = nsctl("export", kept).stdout
    assert is_clean(exported)
    assert json.loads(exported)["namespaces"][0]["mounts"] == found.entry["mounts"]


def test_odd_names_that_are_left(
    unshared_process: UnsharedProcess, nsctl: Nsctl, new_name: NewName, tmp_path: pathlib.Path
) -> None:
    process = unshared_process()
    place = str(tmp_path / NASTY)
    os.mkdir(place)
    gone = tmp_path / "gone"
    gone.mkdir()
    process.run("mount", "--bind", str(gone), place)
    gone.rmdir()
    done = nsctl("adopt", new_name(), "--pid", str(process.pid))
    (line,) = done.stderr.splitlines()
    assert is_clean(line)
    assert r"x\x1b]0;t\x07\x0ansctl adopt: forged\x0d\x09\040" in line
    assert line.endswith("what it shows was removed")
    assert is_clean(done.stdout)


def test_a_host_name_of_odd_bytes(
    unshared_process: UnsharedProcess, adopt: Adopt, applied: Applied, new_name: NewName
) -> None:
    process = unshared_process(("uts",))
    name = os.fsdecode(b"a\x1b[31m b\xff")
    process.run("sh", "-c", 'printf %s "$1" > /proc/sys/kernel/hostname', "sh", name)
    found = adopt(new_name(), "--pid", str(process.pid))
    assert found.entry["hostname"] == name
    applied(found.entry)
    process.run("python3", "-c", "import socket; socket.sethostname('')")
    found = adopt(new_name(), "--pid", str(process.pid))
    assert "hostname" not in found.entry
    assert found.left == ["the host name: hostname must have 1 to 64 bytes (sethostname(2)): ''"]


def test_that_a_failure_leaves_nothing(
    unshared_process: UnsharedProcess, nsctl: Nsctl, new_name: NewName
) -> None:
    """The pins cannot be made where the definition cannot be written."""
    process = unshared_process(("mnt", "uts"))
    name = new_name()
    path = pathlib.Path(f"/etc/linux-namespaces/{name}.json")
    path.parent.mkdir(exist_ok=True)
    path.mkdir()
    done = nsctl("adopt", name, "--pid", str(process.pid), "--keep", code=1)
    assert done.stdout == ""
    assert pins.pinned(name) == {}
    path.rmdir()
    assert own_id("mnt")
