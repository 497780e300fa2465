# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl on the host: there with the first definition, gone with the last, in step in between."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import typing as t

import pytest
from module_server import CHECKOUT
from results import Converge, RunModule
from stub_systemd import StubSystemd, stub_systemd

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths, nsctl
from ansible_collections.linux.namespaces.plugins.module_utils._core.install import (
    host_command,
    sources,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

__all__ = ["stub_systemd"]

NewName = t.Callable[[], str]
COMMAND = pathlib.Path(host_command.COMMAND)
LIBRARY = pathlib.Path(host_command.LIBRARY)
UNITS = pathlib.Path(host_paths.UNITS)
TEMPLATE, TARGET = pathlib.Path(host_paths.BOOT_TEMPLATE), pathlib.Path(host_paths.BOOT_TARGET)
INSTALLED = ["install nsctl"]
REMOVED = ["remove nsctl"]


def run_nsctl(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *words], check=False, capture_output=True, text=True, env=env, cwd="/"
    )


def actions_of(converge: Converge, name: str, **options: t.Any) -> list[str]:
    """What a run did about nsctl, with check mode and a second run."""
    done = converge("ns_namespace", {"name": name, **options})
    return [action for action in done["actions"] if action.endswith("nsctl")]


def test_it_comes_with_the_first_and_goes_with_the_last(
    converge: Converge, new_name: NewName
) -> None:
    first, second, third = new_name(), new_name(), new_name()
    assert actions_of(converge, first, persistent=False) == []
    assert not COMMAND.exists()
    assert actions_of(converge, second) == INSTALLED
    assert actions_of(converge, third) == []
    listed = json.loads(run_nsctl("list", "--json").stdout)
    assert {each["name"]: each["persistent"] for each in listed} == {
        first: False,
        second: True,
        third: True,
    }
    assert actions_of(converge, second, state="absent") == []
    assert COMMAND.exists()
    assert actions_of(converge, third, persistent=False) == REMOVED
    assert not COMMAND.exists()
    assert not LIBRARY.exists()
    assert actions_of(converge, third) == INSTALLED
    assert actions_of(converge, third, state="absent") == REMOVED
    assert not LIBRARY.exists()


def test_what_is_installed_is_what_was_imported(converge: Converge, new_name: NewName) -> None:
    actions_of(converge, new_name())
    texts = sources.of(nsctl)
    library = LIBRARY / sources.digest_of(texts)
    assert [library.name] == os.listdir(LIBRARY)
    assert {path: (library / path).read_text() for path in texts} == texts
    assert stat.S_IMODE(COMMAND.stat().st_mode) == 0o755
    assert str(library) in COMMAND.read_text()
    for path in (LIBRARY, library, library / "_core" / "mount"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_the_users_environment_does_not_matter(
    converge: Converge, new_name: NewName, tmp_path: pathlib.Path
) -> None:
    name = new_name()
    actions_of(converge, name)
    for module in ("typing", "ctypes", "_core"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('the wrong one')")
    found = run_nsctl("list", env={"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nonexistent"})
    assert found.returncode == 0, found.stderr
    assert name in found.stdout


def test_another_version_is_replaced(
    converge: Converge, run_module: RunModule, new_name: NewName
) -> None:
    name = new_name()
    actions_of(converge, name)
    (current,) = LIBRARY.iterdir()
    older = LIBRARY / "0123456789abcdef"
    current.rename(older)
    COMMAND.write_text(COMMAND.read_text().replace(current.name, older.name))
    (LIBRARY / "fedcba9876543210.new").mkdir()
    assert actions_of(converge, name) == INSTALLED
    assert list(LIBRARY.iterdir()) == [current]
    assert run_nsctl("list").returncode == 0
    # One whose interpreter has gone, as after an upgrade of the distribution.
    COMMAND.write_text(COMMAND.read_text().replace("#!/", "#!/nonexistent/"))
    assert actions_of(converge, name) == INSTALLED
    assert run_nsctl("list").returncode == 0
    assert not run_module("ns_namespace", {"name": name})["changed"]


@pytest.mark.parametrize("lost", [LIBRARY, COMMAND], ids=["library", "command"])
def test_what_was_lost_comes_back(
    converge: Converge, new_name: NewName, lost: pathlib.Path
) -> None:
    name = new_name()
    actions_of(converge, name)
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    assert actions_of(converge, name) == INSTALLED
    assert run_nsctl("list").returncode == 0


@pytest.mark.parametrize("opened", [COMMAND, LIBRARY])
def test_what_others_could_write_is_made_anew(
    opened: pathlib.Path, converge: Converge, new_name: NewName
) -> None:
    """As where an earlier version made it with the umask 0. Root runs it."""
    name = new_name()
    assert actions_of(converge, name) == INSTALLED
    (library,) = LIBRARY.iterdir()
    opened.chmod(0o777)
    if opened == LIBRARY:
        changed = next(library.rglob("kinds.py"))
        changed.write_text("raise SystemExit('of somebody else')\n")
    assert actions_of(converge, name) == INSTALLED
    for path in (COMMAND, LIBRARY):
        assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert run_nsctl("list").returncode == 0


def test_a_command_of_somebody_else_stays(run_module: RunModule, new_name: NewName) -> None:
    name = new_name()
    COMMAND.write_text("#!/bin/sh\n")
    try:
        refused = run_module("ns_namespace", {"name": name})
        assert "was not written by linux.namespaces" in refused["reason"]
        assert not run_module("ns_namespace", {"name": name, "state": "absent"}).get("failed")
        assert COMMAND.read_text() == "#!/bin/sh\n"
    finally:
        COMMAND.unlink()


@pytest.mark.parametrize("step", ["install nsctl", "remove nsctl"])
def test_a_killed_run_is_made_good(
    converge: Converge, run_module: RunModule, new_name: NewName, step: str
) -> None:
    name = new_name()
    state = "present" if step == "install nsctl" else "absent"
    if state == "absent":
        actions_of(converge, name)
    with pytest.raises(AssertionError, match="status -9"):
        run_module(
            "ns_namespace",
            {"name": name, "state": state},
            env={"LINUX_NAMESPACES_KILL_BEFORE": step},
        )
    assert actions_of(converge, name, state=state) == [step]


def test_a_unit_that_needs_it_keeps_it(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    assert actions_of(converge, name) == INSTALLED
    drop_in = (UNITS / "other.service.d") / "namespace.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text(f"[Service]\nExecStart={COMMAND} exec web -- /bin/true\n")
    try:
        assert actions_of(converge, name, state="absent") == []
        assert COMMAND.exists()
    finally:
        shutil.rmtree(drop_in.parent)
    assert actions_of(converge, name, state="absent") == REMOVED


def run_as_ansible_does(
    module: str, words: str, tmp_path: pathlib.Path, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a module from what Ansible sends: that holds only what the module imports."""
    program = pathlib.Path(sys.executable).with_name("ansible")
    environment = {
        **os.environ,
        "ANSIBLE_HOME": str(tmp_path),
        "ANSIBLE_REMOTE_TMP": str(tmp_path / "remote"),
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".build/collections"),
        **env,
    }
    argv = [program, "localhost", "-m", f"linux.namespaces.{module}", "-a", words]
    return subprocess.run(
        argv, check=False, env=environment, cwd=tmp_path, capture_output=True, text=True
    )


def test_what_ansible_sends_to_a_host_is_enough(new_name: NewName, tmp_path: pathlib.Path) -> None:
    name = new_name()
    done = run_as_ansible_does("ns_namespace", f"name={name}", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert os.listdir(LIBRARY) == [sources.digest_of(sources.of(nsctl))]
    shown = run_nsctl("show", name)
    assert shown.returncode == 0, shown.stderr
    assert run_nsctl("up", "--all").returncode == 0
    for verb in ("list", "show", "enter", "exec", "up", "down"):
        assert run_nsctl(verb, "--help").stdout.startswith(f"NAME\n    nsctl {verb} - ")


def test_a_service_brings_the_same(
    run_module: RunModule,
    new_name: NewName,
    stub_systemd: StubSystemd,
    tmp_path: pathlib.Path,
) -> None:
    name = new_name()
    env = stub_systemd.env
    assert run_module("ns_namespace", {"name": name, "persistent": False}, env=env)["changed"]
    service = f"namespace={name} name=idle supervisor=systemd"
    try:
        words = f'{service} argv="/bin/sleep infinity"'
        done = run_as_ansible_does("ns_service", words, tmp_path, **env)
        # There is no systemd to start it.
        assert "step: start service idle" in done.stdout, done.stdout + done.stderr
        assert os.listdir(LIBRARY) == [sources.digest_of(sources.of(nsctl))]
        assert run_nsctl("list").returncode == 0
    finally:
        done = run_as_ansible_does("ns_service", f"{service} state=absent", tmp_path, **env)
    assert "remove nsctl" in done.stdout, done.stdout + done.stderr


def test_a_read_only_host_says_so(run_module: RunModule, new_name: NewName) -> None:
    name = new_name()
    mounts.mount("none", "/usr/local", flags=mounts.MS_REMOUNT | mounts.MS_BIND | mounts.MS_RDONLY)
    try:
        failed = run_module("ns_namespace", {"name": name})
        print(failed)
        assert failed["step"] == "install nsctl", failed
        assert failed["errno"] == "EROFS"
        assert run_module("ns_namespace", {"name": name, "state": "absent"})["changed"]
    finally:
        mounts.mount("none", "/usr/local", flags=mounts.MS_REMOUNT | mounts.MS_BIND)
