# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of services of systemd: the unit, which all can read, and a file of root's alone."""

from __future__ import annotations

import os
import pathlib
import stat
import subprocess
import typing as t

import pytest
from stub_systemd import stub_systemd
from units import Systemd, systemd
from waiting import has_ended
from web_service import Web, make_web, web

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import service_file
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused

__all__ = ["make_web", "stub_systemd", "systemd", "web"]


def test_nothing_of_the_program_is_in_the_unit(systemd: Systemd) -> None:
    secrets = {
        "argv": ["/usr/bin/env", "--split-string=sleep inf%inity", "$argv"],
        "environment": {"COLOUR": "the-environment"},
        "secret_environment": {"PASSWORD": "the-password"},
        "credentials": {"tls.key": "the-key\nof two lines\n"},
        "chdir": "/usr/share",
        "user": "nobody",
        "group": "daemon",
        "groups": ["adm"],
        "reload": {"argv": ["/bin/the-reload"]},
    }
    done = systemd.task(state="stopped", **secrets)
    text = systemd.unit.read_text()
    for word in ("env", "split", "argv", "COLOUR", "the-", "PASSWORD", "tls", "share", "nobody"):
        assert word not in text.replace("/etc/linux-namespaces", "")
    assert not any(line.partition("=")[0] in ("User", "Environment") for line in text.splitlines())
    assert stat.S_IMODE(systemd.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(systemd.file.parent.stat().st_mode) == 0o700
    shown = done["diff"]["after"]
    assert "'COLOUR': 'the-environment'}" in shown
    assert "secret_environment: {'PASSWORD': '(secret)'}\n" in shown
    assert "credentials: {'tls.key': '(secret)'}\n" in shown
    for secret in ("the-password", "the-key", "of two lines"):
        assert secret not in str(done)


def test_modes_do_not_depend_on_the_umask(systemd: Systemd) -> None:
    os.umask(0)
    try:
        systemd.task(argv=["/bin/sleep", "1"], state="stopped")
        assert stat.S_IMODE(systemd.unit.stat().st_mode) == 0o644
        assert stat.S_IMODE(systemd.file.stat().st_mode) == 0o600
        assert stat.S_IMODE(systemd.file.parent.stat().st_mode) == 0o700
        # What somebody has opened to others is closed again.
        systemd.file.chmod(0o644)
        systemd.file.parent.chmod(0o755)
        assert systemd.task(state="stopped")["actions"] == []
        assert stat.S_IMODE(systemd.file.stat().st_mode) == 0o600
        assert stat.S_IMODE(systemd.file.parent.stat().st_mode) == 0o700
    finally:
        os.umask(0o022)


# --- what changes


def test_what_changes_restarts_it(systemd: Systemd) -> None:
    argv = ["/bin/sleep", "infinity"]
    first = systemd.started(argv=argv, secret_environment={"A": "one-secret"})
    kept = {"secret_environment": {"A": "one-secret"}}
    noted = systemd.task(argv=argv, reload={"signal": "USR1"}, **kept)
    assert noted["actions"][0] == "stop service idle"  # the unit has another line
    changes: list[tuple[dict[str, t.Any], str]] = [
        ({"secret_environment": {"A": "two-secret"}}, "{'A': '(secret, changes)'}"),
        (
            {"secret_environment": {"A": "two-secret", "B": "two-secret"}},
            "{'A': '(secret)', 'B': '(secret)'}",
        ),
        ({"environment": {"C": "1"}}, "'C': '1'"),
        ({"credentials": {"key": "first-key"}}, "credentials: {'key': '(secret)'}"),
        ({"credentials": {"key": "other-key"}}, "credentials: {'key': '(secret, changes)'}"),
    ]
    last = noted["service"]["pid"]
    assert last != first
    for options, shown in changes:
        predicted = systemd.web.check(
            argv=argv,
            supervisor="systemd",
            env=systemd.env,
            reload={"signal": "USR1"},
            **options,
        )
        done = systemd.task(argv=argv, reload={"signal": "USR1"}, **options)
        assert shown in done["diff"]["after"], done["diff"]
        assert shown not in done["diff"]["before"]
        assert done["diff"] == predicted["diff"]
        assert done["actions"] == predicted["actions"]
        assert {"stop service idle", "note service idle", "start service idle"} <= set(
            done["actions"]
        )
        assert not any(f"-{word}" in str(done["diff"]) for word in ("secret", "key"))
        assert has_ended(last)
        last = done["service"]["pid"]
    # What reloads it is read from its file.
    done = systemd.task(argv=argv, reload={"argv": ["/bin/true"]}, credentials={"key": "other-key"})
    assert done["actions"] == ["note service idle"]
    assert done["service"]["pid"] == last
    # Without argv it is what it was.
    assert systemd.task(state="restarted")["actions"] == ["stop service idle", "start service idle"]
    assert (
        pathlib.Path(f"/proc/{systemd.started()}/cmdline").read_text() == "/bin/sleep\0infinity\0"
    )


def as_0_1_0_wrote_it(web: Web) -> str:
    return (
        "# Written by linux.namespaces.ns_service; what is changed here is lost.\n"
        "[Unit]\nDescription=idle\n[Service]\nType=exec\n"
        f"ExecStart=/usr/local/sbin/nsctl exec {web.name} --keep-fds -- /bin/sleep infinity\n"
        'Environment=PASSWORD=the-password\nEnvironment="TWO=of words"\n'
        "Restart=on-failure\nKillSignal=SIGTERM\n"
    )


def test_a_unit_of_0_1_0(systemd: Systemd) -> None:
    systemd.task(argv=["/bin/sleep", "1"], name="other", state="stopped")  # it needs nsctl
    systemd.unit.write_text(as_0_1_0_wrote_it(systemd.web))
    words = ["systemctl", "--no-ask-password", "start", systemd.unit.name]
    subprocess.run(words, check=True, env=systemd.env)
    for state in ("started", "restarted", "reloaded"):
        failure = systemd.fails(state=state)
        assert f"{systemd.file} is missing, so argv is needed" in failure["reason"]
        assert "Version 0.1.0" in failure["hint"]
    assert systemd.task(state="stopped")["actions"] == ["stop service idle"]
    options: dict[str, t.Any] = {"argv": ["/bin/sleep", "infinity"]}
    done = systemd.task(**options, secret_environment={"PASSWORD": "the-password"})
    assert done["actions"] == [
        "note service idle",
        "write the unit of service idle",
        "start service idle",
    ]
    assert "the-password" not in str(done)
    assert "Environment=PASSWORD=(not shown)" in done["diff"]["before"]
    assert "the-password" not in systemd.unit.read_text()
    # One that nobody replaces goes all the same.
    systemd.task(state="absent")
    systemd.unit.write_text(as_0_1_0_wrote_it(systemd.web))
    systemd.task(state="absent")
    assert not systemd.unit.exists()


DAMAGES = {
    "cut short": '{"version": 1, "spec": {',
    "empty": "",
    "no object": "[]",
    "no spec": '{"version": 1}',
    "a later version": '{"version": 99, "spec": {}}',
    "no text": "\udcff",
    "another service": None,
    "a FIFO": None,
    "a directory": None,
    "a link to nothing": None,
    "a null": None,
    "a limit": None,
}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_file_is_named(systemd: Systemd, how: str) -> None:
    systemd.task(argv=["/bin/sleep", "infinity"], state="stopped")
    path, text = systemd.file, DAMAGES[how]
    whole = path.read_text()
    path.unlink()
    if text is not None:
        path.write_text(text, errors="surrogateescape")
    elif how == "a FIFO":
        os.mkfifo(path)
    elif how == "a directory":
        path.mkdir()
    elif how == "a link to nothing":
        path.symlink_to("/nowhere")
    elif how == "another service":
        path.write_text(whole.replace('"idle"', '"other"'))
    elif how == "a null":
        path.write_text(whole.replace("infinity", "\\u0000"))
    else:
        path.write_text(whole.replace('"limits": {}', '"limits": {"x\\nExecStart": [1, 1]}'))
    for state in ("started", "stopped", "reloaded"):
        failure = systemd.fails(argv=["/bin/sleep", "infinity"], state=state)
        assert f"{path} is damaged: " in failure["reason"]
        assert "Remove it, and have service idle started" in failure["hint"]
    words = [host_paths.COMMAND, "service", systemd.web.name, "idle"]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=20)
    assert done.returncode == 125
    assert done.stderr.startswith("nsctl service: ")
    assert f"{path} is damaged" in done.stderr
    assert "Traceback" not in done.stderr
    systemd.task(state="absent")
    assert not os.path.lexists(path)


def test_a_file_cut_at_each_byte(systemd: Systemd) -> None:
    options = {"secret_environment": {"A": "b"}, "reload": {"argv": ["x"]}, "kinds": ["uts"]}
    systemd.task(argv=["/bin/sleep", "infinity"], state="stopped", **options)
    data = systemd.file.read_bytes()
    for length in range(len(data) - 2):  # the last one is a newline
        systemd.file.write_bytes(data[:length])
        with pytest.raises(Refused, match=r"web|test.* is damaged: "):
            service_file.read(systemd.web.name, "idle")
    systemd.file.unlink()
    done = subprocess.run(
        [host_paths.COMMAND, "service", systemd.web.name, "idle"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, "is missing, which says" in done.stderr) == (125, True)


# --- with the namespace


def test_a_removed_namespace_takes_its_services_along(systemd: Systemd) -> None:
    web, other = systemd.web, service_file.path_of(f"{systemd.web.name}x", "idle")
    pid = systemd.started(argv=["/bin/sleep", "infinity"])
    pathlib.Path(other).write_text("{}")  # of a namespace whose name begins with that of ours
    absent = {"name": web.name, "state": "absent"}
    refused = web._run_module("ns_namespace", absent, env=systemd.env)
    assert refused["processes"][0]["pid"] == pid
    assert systemd.unit.exists()
    task = {**absent, "force": True}
    predicted = web._run_module("ns_namespace", task, env=systemd.env, check=True)
    done = web._run_module("ns_namespace", task, env=systemd.env)
    assert not done.get("failed"), done
    assert done["actions"][0] == predicted["actions"][0] == "remove service idle"
    assert has_ended(pid)
    assert not systemd.unit.exists()
    assert os.listdir(service_file.DIRECTORY) == [os.path.basename(other)]
    os.unlink(other)
    again = web._run_module("ns_namespace", task, env=systemd.env)
    assert not again["changed"]
    os.rmdir(service_file.DIRECTORY)
    os.rmdir(host_paths.DEFINITIONS)
