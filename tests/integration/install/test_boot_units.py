# SPDX-License-Identifier: GPL-3.0-or-later
"""The units that bring namespaces up at boot, an instance each. Molecule has hosts that boot by them."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import typing as t

import pytest
from results import Converge, RunModule
from stub_systemd import StubSystemd, stub_systemd
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.install import (
    ours,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import gate, lock

__all__ = ["stub_systemd"]

NewName = t.Callable[[], str]
UNITS = pathlib.Path(host_paths.UNITS)
TEMPLATE, TARGET = pathlib.Path(host_paths.BOOT_TEMPLATE), pathlib.Path(host_paths.BOOT_TARGET)
WANTED = UNITS / f"{TARGET.name}.wants"
ENABLED = UNITS / "multi-user.target.wants" / TARGET.name
EARLIER = UNITS / "linux-namespaces.service"
DEFINITIONS = pathlib.Path(host_paths.DEFINITIONS)
WORDS = "--no-ask-password"


def instance_of(name: str) -> str:
    return f"linux-namespaces@{name}.service"


def drop_in_of(name: str) -> pathlib.Path:
    return UNITS / f"{instance_of(name)}.d" / "definition.conf"


def units() -> list[str]:
    """What lies there of ours."""
    return sorted(
        f"{pathlib.Path(above, each).relative_to(UNITS)}"
        for above, folders, names in os.walk(UNITS)
        for each in [*folders, *names]
        if "linux-namespaces" in each
    )


@pytest.fixture
def active(stub_systemd: StubSystemd) -> StubSystemd:
    """systemd takes for active whatever it was asked for."""
    stub_systemd.show(ActiveState="active")
    return stub_systemd


def test_they_come_with_the_first_and_go_with_the_last(
    converge: Converge, new_name: NewName, active: StubSystemd
) -> None:
    env, asked, first, second = active.env, active.asked, new_name(), new_name()
    before = units()
    done = converge("ns_namespace", {"name": first}, env=env)
    assert done["actions"][-3:] == [
        "install nsctl",
        f"install {TARGET.name}",
        f"enable {instance_of(first)}",
    ]
    assert ENABLED.resolve() == TARGET
    assert (WANTED / instance_of(first)).resolve() == TEMPLATE
    told = [line for line in asked.read_text().splitlines() if " show " not in line]
    assert told == [
        f"{WORDS} daemon-reload",
        f"{WORDS} start --job-mode=ignore-dependencies {TARGET.name}",
        f"{WORDS} daemon-reload",
        f"{WORDS} start {instance_of(first)}",
    ]

    done = converge("ns_namespace", {"name": second}, env=env)
    assert done["actions"][-1] == f"enable {instance_of(second)}"
    for broken in (lambda: TEMPLATE.write_text(f"{ours.MARK}\n"), ENABLED.unlink):
        broken()
        assert converge("ns_namespace", {"name": first}, env=env)["actions"] == [
            f"install {TARGET.name}"
        ]
    (WANTED / instance_of(second)).unlink()
    assert converge("ns_namespace", {"name": first}, env=env)["actions"] == [
        f"enable {instance_of(second)}"
    ]

    done = converge("ns_namespace", {"name": second, "state": "absent"}, env=env)
    assert done["actions"][-1] == f"disable {instance_of(second)}"
    assert os.listdir(WANTED) == [instance_of(first)]
    asked.write_text("")
    done = converge("ns_namespace", {"name": first, "state": "absent"}, env=env)
    assert done["actions"][-3:] == [
        f"disable {instance_of(first)}",
        f"remove {TARGET.name}",
        "remove nsctl",
    ]
    # Nothing that requires it is to stop with it: where it lives on, its services do.
    stopped = f"{WORDS} stop --job-mode=ignore-dependencies {instance_of(first)}\n"
    assert stopped in asked.read_text()
    assert f"{WORDS} reset-failed {instance_of(first)}\n" in asked.read_text()
    assert units() == before


def test_one_that_is_persistent_no_more_lives_on(
    converge: Converge, new_name: NewName, active: StubSystemd
) -> None:
    name, env = new_name(), active.env
    for each in (name, new_name()):  # the other one keeps nsctl there
        converge("ns_namespace", {"name": each}, env=env)
    done = converge("ns_namespace", {"name": name, "persistent": False}, env=env)
    assert f"disable {instance_of(name)}" in done["actions"]
    assert done["namespace"]["kinds"]
    # What its unit runs when it is stopped leaves alone what has no definition.
    assert nsctl_main("down", name, as_unit_of=name) == 0
    assert os.path.isdir(host_paths.directory(name))


def test_one_that_was_stopped_is_started(
    run_module: RunModule, new_name: NewName, stub_systemd: StubSystemd
) -> None:
    name, env = new_name(), stub_systemd.env
    run_module("ns_namespace", {"name": name}, env=env)
    stub_systemd.show(ActiveState="failed")
    assert run_module("ns_namespace", {"name": name}, env=env)["actions"] == [
        f"start {instance_of(name)}"
    ]
    stub_systemd.show(ActiveState="active")
    assert not run_module("ns_namespace", {"name": name}, env=env)["changed"]


@pytest.mark.parametrize("step", ["enable", "disable", "install linux-namespaces.target"])
def test_a_killed_run_is_made_good(
    converge: Converge, run_module: RunModule, new_name: NewName, active: StubSystemd, step: str
) -> None:
    name, env = new_name(), active.env
    state = "absent" if step == "disable" else "present"
    if state == "absent":
        converge("ns_namespace", {"name": name}, env=env)
    doomed = {**env, "LINUX_NAMESPACES_KILL_BEFORE": step}
    with pytest.raises(AssertionError, match="status -9"):
        run_module("ns_namespace", {"name": name, "state": state}, env=doomed)
    # Also a run that is about another one.
    done = converge("ns_namespace", {"name": new_name()}, env=env)["actions"]
    links = os.listdir(WANTED)
    assert (instance_of(name) in links) == (state == "present"), (done, links)


def test_what_systemctl_says_is_the_reason(
    run_module: RunModule, new_name: NewName, stub_systemd: StubSystemd
) -> None:
    name = new_name()
    stub_systemd.answer("daemon-reload", "echo 'no bus here' >&2; exit 1")
    failed = run_module("ns_namespace", {"name": name}, env=stub_systemd.env)
    assert failed["step"] == f"install {TARGET.name}"
    assert "systemctl daemon-reload: no bus here" in failed["msg"]
    stub_systemd.answer("daemon-reload", "")
    assert run_module("ns_namespace", {"name": name, "state": "absent"}, env=stub_systemd.env)[
        "changed"
    ]


def test_a_unit_of_somebody_else_stays(
    run_module: RunModule, new_name: NewName, stub_systemd: StubSystemd
) -> None:
    TARGET.write_text("[Unit]\n")
    try:
        refused = run_module("ns_namespace", {"name": new_name()}, env=stub_systemd.env)
        assert f"{TARGET} was not written by linux.namespaces" in refused["reason"]
        assert TARGET.read_text() == "[Unit]\n"
    finally:
        TARGET.unlink()


def test_the_unit_of_an_earlier_version_is_carried_over(
    converge: Converge, run_module: RunModule, new_name: NewName, active: StubSystemd
) -> None:
    """It brought up all of them, and services were ordered after it."""
    env, first, second = active.env, new_name(), new_name()
    for name in (first, second):
        run_module("ns_namespace", {"name": name}, env=env)
    (DEFINITIONS / f"{second}.json").write_text("{")  # nor does a damaged one get lost
    shutil.rmtree(WANTED)
    EARLIER.write_text(f"{ours.MARK}\n[Service]\nExecStart=/usr/local/sbin/nsctl up --all\n")
    link = ENABLED.with_name(EARLIER.name)
    link.symlink_to(EARLIER)
    service = UNITS / host_paths.unit_name(first, "idle")
    service.write_text(
        "[Unit]\nAfter=linux-namespaces.service network.target\n"
        "[Service]\nExecStart=/usr/local/sbin/nsctl service x idle\n"
    )
    done = converge("ns_namespace", {"name": first}, env=env)
    units = ", ".join(map(instance_of, (first, second)))
    assert done["actions"] == [f"install {TARGET.name}", f"enable {units}"]
    assert not EARLIER.exists() and not os.path.lexists(link)
    assert sorted(os.listdir(WANTED)) == sorted(map(instance_of, (first, second)))
    unit = instance_of(first)
    assert f"\nRequires={unit}\nAfter={unit} network.target\n" in service.read_text()
    assert f"{WORDS} start --no-block {instance_of(second)}\n" in active.asked.read_text()


def test_many_new_ones_are_enabled_at_once(
    converge: Converge, new_name: NewName, active: StubSystemd
) -> None:
    names = [new_name() for _each in range(3)]
    entries = [{"name": name, "kinds": ["uts"]} for name in names]
    done = converge("ns_definition", {"namespaces": entries}, env=active.env)
    enabled = ", ".join(map(instance_of, sorted(names)))
    assert done["actions"][1:3] == [f"install {TARGET.name}", f"enable {enabled}"]
    told = [line for line in active.asked.read_text().splitlines() if " start " in line]
    alone = f"{WORDS} start --no-block --job-mode=ignore-dependencies"
    assert told[1:] == [" ".join([alone, *map(instance_of, sorted(names))])]
    gone = converge("ns_definition", {"namespaces": entries, "state": "absent"}, env=active.env)
    assert gone["actions"][0] == f"disable {enabled}"


def test_those_that_are_down_are_started(
    converge: Converge, run_module: RunModule, new_name: NewName, active: StubSystemd
) -> None:
    """Whoever waits to be started is not started once more."""
    names = [new_name() for _each in range(2)]
    entries = {"namespaces": [{"name": name, "kinds": ["uts"]} for name in names]}
    converge("ns_definition", entries, env=active.env)
    active.show(ActiveState="inactive", Job=7)
    assert converge("ns_definition", entries, env=active.env)["actions"] == []
    active.answer("show", r"printf 'ActiveState=inactive\nJob=0\n\nActiveState=failed\n'")
    units = ", ".join(map(instance_of, names))
    for check in (True, False):
        done = run_module("ns_definition", entries, env=active.env, check=check)
        assert done["actions"] == [f"start {units}"]
    run_module("ns_definition", {**entries, "state": "absent"}, env=active.env)


def test_what_a_definition_needs_is_told_with_it(
    converge: Converge,
    run_module: RunModule,
    new_name: NewName,
    active: StubSystemd,
    tmp_path: pathlib.Path,
) -> None:
    name, env = new_name(), active.env
    run_module("ns_namespace", {"name": name}, env=env)
    assert not drop_in_of(name).exists()
    source = tmp_path / "a b%n\nExecStart=\\evil"
    source.mkdir()
    (tmp_path / "at").mkdir()
    active.asked.write_text("")
    bind = {"namespace": name, "path": f"{tmp_path}/at", "src": f"{source}", "opts": "bind"}
    converge("ns_mount", bind, env=env)
    text = drop_in_of(name).read_text()
    escaped = r"-a\x20b\x25n\x0aExecStart\x3d\x5cevil.mount"
    assert re.search(f"^After=.*{re.escape(escaped)}$", text, re.M), text
    assert active.asked.read_text() == f"{WORDS} daemon-reload\n"
    (drop_in_of(name).parent / "by-an-admin.conf").write_text("[Service]\nTimeoutStartSec=5\n")
    run_module("ns_namespace", {"name": name, "state": "absent"}, env=env)
    assert not drop_in_of(name).parent.exists()


def test_nothing_is_told_where_systemd_does_not_run(
    run_module: RunModule, new_name: NewName, tmp_path: pathlib.Path
) -> None:
    name = new_name()
    run_module("ns_namespace", {"name": name})
    bind = {"namespace": name, "path": f"{tmp_path}", "src": "/usr", "opts": "bind"}
    assert run_module("ns_mount", bind)["changed"]
    assert not drop_in_of(name).parent.exists()


def nsctl_main(*words: str, as_unit_of: str = "", env: dict[str, str] | None = None) -> int:
    """Run nsctl, as its unit does; the exit code."""
    return subprocess.run(
        [host_paths.COMMAND, *words],
        check=False,
        env={**os.environ, **(env or {}), **({"NSCTL_UNIT": as_unit_of} if as_unit_of else {})},
    ).returncode


def test_up_and_down_have_systemd_know(
    run_module: RunModule, new_name: NewName, active: StubSystemd
) -> None:
    name, env, asked = new_name(), active.env, active.asked
    run_module("ns_namespace", {"name": name}, env=env)
    asked.write_text("")
    assert nsctl_main("down", name, env=env) == 0
    assert f"{WORDS} stop {instance_of(name)}\n" in asked.read_text()
    asked.write_text("")
    assert nsctl_main("up", "--check", name, env=env) == 0
    assert asked.read_text() == ""
    assert nsctl_main("up", name, env=env) == 0
    assert asked.read_text() == f"{WORDS} start {instance_of(name)}\n"
    # By the unit itself they do not ask for it.
    asked.write_text("")
    assert nsctl_main("down", name, env=env, as_unit_of=name) == 0
    assert nsctl_main("up", name, env=env, as_unit_of=name) == 0
    assert asked.read_text() == ""


def test_whoever_completes_one_has_its_services_started(
    run_module: RunModule, new_name: NewName, active: StubSystemd, tmp_path: pathlib.Path
) -> None:
    """A source is gone at boot, and a play mends that."""
    name, env = new_name(), active.env
    source = tmp_path / "source"
    (tmp_path / "at").mkdir()
    bind = {"namespace": name, "path": f"{tmp_path}/at", "src": f"{source}", "opts": "bind"}
    source.mkdir()
    run_module("ns_namespace", {"name": name}, env=env)
    run_module("ns_mount", bind, env=env)
    nsctl_main("down", name, env=env)
    source.rmdir()
    assert nsctl_main("up", name, env=env, as_unit_of=name) == 1
    assert gate.is_closed(name)
    source.mkdir()
    active.asked.write_text("")
    run_module("ns_mount", bind, env=env)
    assert not gate.is_closed(name)
    assert active.asked.read_text() == f"{WORDS} start {instance_of(name)}\n"


def test_a_mount_of_the_host_that_is_not_there_is_named(
    run_module: RunModule,
    new_name: NewName,
    active: StubSystemd,
    tmp_path: pathlib.Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Else the empty directory below it would be bound, and the namespace whole."""
    name, env = new_name(), active.env
    for each in ("at", "disk/site"):
        (tmp_path / each).mkdir(parents=True)
    bind = {"namespace": name, "path": f"{tmp_path}/at", "src": f"{tmp_path}/disk/site"}
    run_module("ns_namespace", {"name": name}, env=env)
    run_module("ns_mount", {**bind, "opts": "bind"}, env=env)
    nsctl_main("down", name, env=env)
    escaped = subprocess.run(
        ["systemd-escape", "--path", "--suffix=mount", f"{tmp_path}/disk"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    unit = UNITS / escaped
    unit.write_text("[Mount]\n")
    try:
        assert nsctl_main("up", name, env=env) == 1
        assert f"{tmp_path}/disk is not mounted on this host" in capfd.readouterr().err.replace(
            "\n", " "
        )
        unit.unlink()
        unit.symlink_to(os.devnull)  # masked
        assert nsctl_main("up", name, env=env) == 0
    finally:
        unit.unlink()


def test_what_its_unit_ends_says_why(
    run_module: RunModule, new_name: NewName, active: StubSystemd
) -> None:
    """TimeoutStartSec= is over while it waits for something that never comes."""
    name, env = new_name(), active.env
    run_module("ns_namespace", {"name": name}, env=env)
    with lock.held(name, timeout=1):
        started = subprocess.Popen(
            [host_paths.COMMAND, "up", name],
            env={**os.environ, **env, host_paths.BY_UNIT: name},
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: bool(children_of(started.pid)))
        (child,) = children_of(started.pid)
        started.send_signal(signal.SIGTERM)
        _out, said = started.communicate(timeout=20)
        wait_until(lambda: not os.path.exists(f"/proc/{child}"))
    assert started.returncode == 1
    assert "TimeoutStartSec" in said


def children_of(pid: int) -> list[str]:
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not there")
def test_systemd_has_nothing_to_say_against_them(
    run_module: RunModule, new_name: NewName, active: StubSystemd, tmp_path: pathlib.Path
) -> None:
    name, env = new_name(), active.env
    run_module("ns_namespace", {"name": name}, env=env)
    odd = tmp_path / ("x" * 100 + "-" * 100 + "é \"'\\%")
    (odd / "below").mkdir(parents=True)
    wanted = [
        {"path": f"{odd}", "src": "none", "fstype": "tmpfs"},
        {"path": "/mnt", "src": f"{odd}/below", "opts": "bind,_netdev"},
    ]
    for each in wanted:
        (odd / "below").mkdir(exist_ok=True)
        done = run_module("ns_mount", {"namespace": name, **each}, env=env)
        assert done.get("changed"), done
    spec = {"namespace": name, "name": "idle", "argv": ["/bin/sleep", "1"], "enabled": True}
    run_module("ns_service", {**spec, "state": "stopped"}, env=env)
    service = UNITS / "idle.service"  # a colon would part it from an alias
    (UNITS / host_paths.unit_name(name, "idle")).rename(service)
    try:
        for unit in (f"{UNITS}/{instance_of(name)}", str(TARGET), str(service)):
            argv = ["systemd-analyze", "--man=no", "verify", unit]
            verified = subprocess.run(argv, check=False, capture_output=True, text=True)
            ours_of_it = [
                line
                for line in (verified.stdout + verified.stderr).splitlines()
                if "linux-namespaces" in line or "idle" in line
            ]
            assert ours_of_it == [], (sys.version, verified)
    finally:
        service.rename(UNITS / host_paths.unit_name(name, "idle"))
        run_module("ns_namespace", {"name": name, "state": "absent", "force": True}, env=env)
