# SPDX-License-Identifier: GPL-3.0-or-later
"""Services of systemd: what an image says of its program never runs, or is read, on the host.

The units are run as systemd runs them, by unit_runner.py.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import subprocess
import typing as t

import pytest
from reboots import reboot
from results import RunModule
from stub_systemd import stub_systemd
from units import Systemd, environment_of, systemd, systemd_of_pids
from waiting import has_ended, wait_until
from web_service import PYTHON, make_web, open_text, status_of, web

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc

__all__ = ["make_web", "stub_systemd", "systemd", "systemd_of_pids", "web"]

# Says where it runs: the id of the mount namespace, and the user.
EVIL = """
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
unsigned la_version(unsigned version) { return version; }
__attribute__((constructor)) static void run(void) {
  char link[64] = "", line[128];
  if (readlink("/proc/self/ns/mnt", link, sizeof link - 1) < 0) return;
  int fd = open("MARKER", O_WRONLY | O_APPEND);
  int length = snprintf(line, sizeof line, "%s uid %d\\n", link, getuid());
  if (fd >= 0 && write(fd, line, length) < 0) return;
}
"""
SCRIPT = "echo $(readlink /proc/self/ns/mnt) uid $(id -u) >> MARKER\n"
MODULE = """
import os
with open("MARKER", "a") as marker:
    marker.write(f"{os.readlink('/proc/self/ns/mnt')} uid {os.getuid()}\\n")
"""


# --- an image runs nothing on the host


@pytest.fixture
def marker() -> pathlib.Path:
    """What hostile code writes to, wherever it runs."""
    path = pathlib.Path("/run/tests/marker")
    path.touch()
    path.chmod(0o666)
    return path


@pytest.fixture
def hostile(tmp_path: pathlib.Path, marker: pathlib.Path) -> t.Iterator[dict[str, str]]:
    """What an image says its environment is: all that has others run what lies in the image."""
    top = pathlib.Path("/run/tests/image")
    for name in ("bin", "python", "gconv"):
        (top / name).mkdir(parents=True)
    source = tmp_path / "evil.c"
    source.write_text(EVIL.replace("MARKER", str(marker)))
    evil = top / "evil.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", evil, source], check=True)
    shutil.copy(evil, top / "libc.so.6.1")
    shutil.copy(evil, top / "gconv/EVIL.so")
    (top / "gconv/gconv-modules").write_text("module EVIL// INTERNAL EVIL 1\n")
    (top / "script").write_text(SCRIPT.replace("MARKER", str(marker)))
    for name in ("sitecustomize", "usercustomize", "_core", "startup", "encodings"):
        (top / f"python/{name}.py").write_text(MODULE.replace("MARKER", str(marker)))
    for name in ("python3", "sh", "kill", "nsctl", "env"):
        (top / f"bin/{name}").write_text(f"#!/bin/bash\n. {top}/script\n")
        (top / f"bin/{name}").chmod(0o755)
    yield {
        "LD_PRELOAD": str(evil),
        "LD_AUDIT": str(evil),
        "LD_LIBRARY_PATH": str(top),
        "GCONV_PATH": str(top / "gconv"),
        "PYTHONPATH": str(top / "python"),
        "PYTHONHOME": str(top / "python"),
        "PYTHONSTARTUP": str(top / "python/startup.py"),
        "PYTHONINSPECT": "1",
        "PYTHONUSERBASE": str(top / "python"),
        "BASH_ENV": str(top / "script"),
        "ENV": str(top / "script"),
        "SHELLOPTS": "xtrace",
        "PS4": f"$(. {top}/script)",
        "PATH": f"{top}/bin:/usr/bin",
        "IFS": "/",
        "NOTIFY_SOCKET": "@nobody",
        "MAINPID": "1",
        "LISTEN_PID": "1",
        "LISTEN_FDS": "3",
        "LINUX_NAMESPACES_KILL_BEFORE": "1",
        "a\nExecStartPre": "/bin/touch /run/tests/touched\nExecStartPre=/bin/touch /run/tests/touched",
        "percent %n": "%n %H %%",
        "dollar $HOME": "$HOME ${MAINPID} $$",
        "quotes\"'": "\"'\\x20\\",
        "UNICODE": "grün \u2028",
    }
    shutil.rmtree(top)
    marker.unlink()


@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not there")
@pytest.mark.parametrize("reload", [None, {"signal": "HUP"}, {"argv": ["/bin/sleep", "0"]}])
def test_no_code_of_an_image_runs_on_the_host(
    systemd: Systemd, hostile: dict[str, str], marker: pathlib.Path, reload: dict[str, t.Any] | None
) -> None:
    nobody = "65534"
    pid = systemd.started(
        argv=["/usr/bin/sleep", "infinity"],
        environment=hostile,
        secret_environment={"TOKEN": "correct horse"},
        credentials={"key": "of iron"},
        user=nobody,
        reload=reload,
    )
    # The program has all of it.
    expected = {**hostile, "TOKEN": "correct horse", "INVOCATION_ID": "0" * 32}
    expected["CREDENTIALS_DIRECTORY"] = f"/run/credentials/{systemd.web.name}:idle"
    expected.update(HOME="/nonexistent", USER="nobody", LOGNAME="nobody")
    assert environment_of(pid) == expected
    assert wait_until(lambda: marker.read_text().count("\n") >= 2)  # preloaded, and for audit
    if reload is None or "signal" in reload:
        systemd.task(state="reloaded")
        assert wait_until(lambda: has_ended(pid))  # by SIGHUP, which sleep does not heed
        pid = systemd.started()
    else:
        before = marker.read_text()
        systemd.task(state="reloaded")
        assert len(marker.read_text()) > len(before)
        assert not has_ended(pid)
    systemd.task(state="restarted")
    systemd.task(state="stopped")
    systemd.task(state="absent")
    mine = f"mnt:[{pins.pinned(systemd.web.name)['mnt']}] uid {nobody}"
    assert set(marker.read_text().splitlines()) == {mine}
    assert not pathlib.Path("/run/tests/touched").exists()


# --- the program


def test_it_lives_inside_with_namespaces_of_its_own(systemd: Systemd) -> None:
    pid = systemd.started(argv=["/bin/sleep", "infinity"], kinds=["mnt", "uts"])
    ids, pinned = proc.ids_of_process(pid), pins.pinned(systemd.web.name)
    own = proc.ids_of_process("self")
    assert ids["net"] == pinned["net"]
    for kind in ("mnt", "uts"):
        assert ids[kind] not in (pinned.get(kind), own[kind])
    assert systemd.said() == ""


def test_mounts_of_its_own_are_a_copy_of_the_named_ones(
    systemd: Systemd, tmp_path: pathlib.Path
) -> None:
    """Not of the host's: its root would be in reach."""
    mount = {"namespace": systemd.web.name, "path": str(tmp_path), "src": "t", "fstype": "tmpfs"}
    systemd.web._run_module("ns_mount", mount)
    pid = systemd.started(argv=["/bin/sleep", "infinity"], kinds=["mnt"])
    assert f" {tmp_path} rw" in open_text(f"/proc/{pid}/mountinfo")


def test_reload_takes_place_inside(systemd: Systemd) -> None:
    script = "readlink /proc/self/ns/mnt /proc/self/ns/uts; id -u; echo $A $B $MAINPID.; cat $CREDENTIALS_DIRECTORY/key"
    pid = systemd.started(
        argv=["/bin/sleep", "infinity"],
        kinds=["uts"],
        user="nobody",
        environment={"A": "plain"},
        secret_environment={"B": "secret-one"},
        credentials={"key": "of iron"},
        reload={"argv": ["/bin/sh", "-c", script]},
    )
    systemd.task(state="reloaded")
    ids = proc.ids_of_process(pid, ["mnt", "uts"])
    assert systemd.said().split("\n") == [
        f"mnt:[{ids['mnt']}]",
        f"uts:[{ids['uts']}]",
        "65534",
        "plain secret-one .",
        "of iron",
    ]


def test_reload_never_runs_on_the_host(systemd: Systemd) -> None:
    argv = ["/bin/touch", "/run/tests/touched"]
    systemd.task(argv=["/bin/sleep", "1"], reload={"argv": argv}, state="stopped")
    words = [host_paths.COMMAND, "service", "--reload", systemd.web.name, "idle"]
    for main in (str(os.getpid()), "1", "", "x", "-1", "0", "4194305", "99999999999999999999"):
        done = subprocess.run(
            words, check=False, capture_output=True, text=True, env={"MAINPID": main}
        )
        assert done.returncode == 125, (main, done)
        assert "Traceback" not in done.stderr
    assert not pathlib.Path("/run/tests/touched").exists()


def test_in_a_pid_namespace_systemd_is_told(systemd_of_pids: Systemd) -> None:
    systemd = systemd_of_pids
    options: dict[str, t.Any] = {"credentials": {"key": "of iron"}, "user": "nobody"}
    pid = systemd.started("plain", **options)
    assert len(status_of(pid)["NSpid"].split()) == 2
    environment = environment_of(pid)
    own = {"PATH", "HOME", "USER", "LOGNAME"}
    assert set(environment) == {*own, "INVOCATION_ID", "CREDENTIALS_DIRECTORY"}
    key = f"/proc/{pid}/root{environment['CREDENTIALS_DIRECTORY']}/key"
    assert open_text(key) == "of iron"
    os.kill(pid, signal.SIGTERM)
    assert wait_until(lambda: has_ended(pid))
    assert wait_until(lambda: not os.path.exists(key))


def test_who_tells_that_it_is_ready_gets_the_socket(systemd: Systemd) -> None:
    script = (
        "import os, socket, time\n"
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "s.connect(os.environ['NOTIFY_SOCKET']); s.send(b'READY=1')\n"
        "time.sleep(1000)\n"
    )
    argv = [PYTHON, "-IS", "-c", script]
    pid = systemd.started(argv=argv, ready={"notify": True})
    own = {"PATH", "HOME", "USER", "LOGNAME"}
    assert set(environment_of(pid)) == {*own, "INVOCATION_ID", "NOTIFY_SOCKET"}


def test_what_an_administrator_adds_is_for_nsctl_alone(systemd: Systemd) -> None:
    systemd.task(argv=["/bin/sleep", "infinity"], state="stopped")
    words = [host_paths.COMMAND, "service", systemd.web.name, "idle"]
    told = {"INVOCATION_ID": "1", "JOURNAL_STREAM": "8:9", "WATCHDOG_USEC": "7"}
    more = {"LANG": "C", "TERM": "dumb", "CREDENTIALS_DIRECTORY": "/run/x", "PATH": "/usr/bin"}
    more.update(NOTIFY_SOCKET="/run/x", MAINPID="1", LISTEN_FDS="1", LISTEN_PID="1", FOO="bar")
    with subprocess.Popen(words, env={**told, **more}) as process:
        assert wait_until(lambda: open_text(f"/proc/{process.pid}/comm") == "sleep\n")
        own = {"PATH": host_paths.DEFAULT_PATH, **dict.fromkeys(("USER", "LOGNAME"), "root")}
        expected = {**told, **own, "HOME": "/root", "WATCHDOG_PID": str(process.pid)}
        assert environment_of(process.pid) == expected
        process.kill()
    with subprocess.Popen(words, env={**told, "WATCHDOG_PID": "1"}) as process:
        assert wait_until(lambda: open_text(f"/proc/{process.pid}/comm") == "sleep\n")
        assert "WATCHDOG_USEC" not in environment_of(process.pid)
        process.kill()


@pytest.mark.parametrize("is_link", [False, True])
def test_what_an_administrator_adds_goes_with_the_service(
    systemd: Systemd, tmp_path: pathlib.Path, is_link: bool
) -> None:
    systemd.task(argv=["/bin/sleep", "infinity"], state="stopped")
    added = pathlib.Path(f"{systemd.unit}.d")
    elsewhere = tmp_path / "added" if is_link else added
    elsewhere.mkdir()
    (elsewhere / "override.conf").write_text("[Service]\nNice=5\n")
    if is_link:
        added.symlink_to(elsewhere)
    systemd.task(state="absent")
    assert not os.path.lexists(added)
    assert not systemd.unit.exists()
    assert (elsewhere / "override.conf").exists() == is_link


def test_what_cannot_be_run_is_told_without_secrets(systemd: Systemd) -> None:
    failure = systemd.fails(
        argv=["/no/such"], secret_environment={"A": "the-secret"}, credentials={"k": "the-key"}
    )
    assert "/no/such does not exist" in failure["reason"]
    assert "the-" not in systemd.said()
    assert "the-" not in str(failure)
    systemd.task(state="absent")


@pytest.mark.skipif(not shutil.which("localedef"), reason="localedef is not there")
def test_the_locale_of_the_host_changes_nothing(systemd: Systemd) -> None:
    environment = {"GRÜN": "schön \u2028 \U0001f40e", "BYTES": "\udcff"}
    systemd.task(argv=["/bin/sleep", "infinity"], state="stopped", environment=environment)
    locales = pathlib.Path("/run/tests/locales")
    locales.mkdir()
    words = ["localedef", "--inputfile=de_DE", "--charmap=ISO-8859-1", locales / "de_DE"]
    subprocess.run(words, check=True)
    words = [host_paths.COMMAND, "service", systemd.web.name, "idle"]
    told = {"LOCPATH": str(locales), "LC_ALL": "de_DE"}
    with subprocess.Popen(words, env=told) as process:
        assert wait_until(lambda: open_text(f"/proc/{process.pid}/comm") == "sleep\n")
        data = pathlib.Path(f"/proc/{process.pid}/environ").read_bytes()
        process.kill()
    for key, text in environment.items():
        assert f"{key}={text}\0".encode("utf-8", "surrogateescape") in data
    shutil.rmtree(locales)


# --- a namespace that is made anew


@pytest.mark.parametrize("way", ["recreated", "its definition is lost"])
def test_it_does_not_live_in_one_that_is_not_built_yet(
    systemd: Systemd, run_module: RunModule, way: str
) -> None:
    """The steps go with the definition: until the play has taken them its root is the host's."""
    pid = systemd.started(argv=["/bin/sleep", "infinity"])
    name, kinds = systemd.web.name, sorted(pins.pinned(systemd.web.name))
    args = {"name": name, "kinds": kinds, "force": True}
    if way == "recreated":
        args.update(recreate=True, propagation="slave")
    else:
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: has_ended(pid))
        reboot()
        pathlib.Path(host_paths.DEFINITIONS, f"{name}.json").unlink(missing_ok=True)
    done = run_module("ns_namespace", args, env=systemd.env)
    assert "remove service idle" in done["actions"]
    assert not systemd.unit.exists()
    assert not systemd.file.exists()
    assert wait_until(lambda: has_ended(pid))
    assert run_module("ns_namespace", args, env=systemd.env)["actions"] == []
    systemd.started(argv=["/bin/sleep", "infinity"])
