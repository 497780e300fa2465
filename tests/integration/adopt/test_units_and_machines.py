# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl adopt --unit and --machine, with stubs of busctl(1) and machinectl(1).

What systemd itself says is in tests/unit/adopt/properties.
"""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from adoptions import Adopted, is_as_it_should_be
from command import Nsctl
from module_server import CHECKOUT
from named_namespaces import NewName
from processes_inside import mounts_inside
from stub_systemd import StubSystemd, stub_systemd
from unshared_process import UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins

__all__ = ["stub_systemd"]

PROPERTIES = CHECKOUT / "tests/unit/adopt/properties"
# Which file it answers with: that of the last word, an interface or the name of a unit.
_BUSCTL = """#!/bin/sh
for word; do :; done
[ -e "{answers}/$word" ] || {{ printf 'Call failed: \\033[31m%s\\nunknown' "$word" >&2; exit 1; }}
cat "{answers}/$word"
"""
_MACHINECTL = """#!/bin/sh
for word; do :; done
[ "$word" = box ] || {{ printf 'No machine \\033[31m known' >&2; exit 1; }}
echo {leader}
"""
_PLACE = "org.freedesktop.systemd1"


def command(directory: pathlib.Path, name: str, text: str) -> None:
    path = directory / "systemd/bin" / name
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def env(stub_systemd: StubSystemd, nsctl: Nsctl, new_name: NewName) -> t.Iterator[dict[str, str]]:
    """The environment for nsctl. What was made goes with systemd, which has units of it."""
    assert new_name()
    found = {**os.environ, **stub_systemd.env}
    yield found
    nsctl("apply", "-", input='{"namespaces": [], "exclusive": true}', env=found)


@pytest.fixture
def bus(env: dict[str, str], tmp_path: pathlib.Path) -> t.Callable[..., dict[str, str]]:
    """Have busctl say this of web.service; the environment for nsctl."""
    answers = tmp_path / "bus"
    answers.mkdir()
    command(tmp_path, "busctl", _BUSCTL.format(answers=answers))

    def say(state: str = "loaded", **said: t.Any) -> dict[str, str]:
        service = json.loads((PROPERTIES / "service.json").read_text())
        manager = json.loads((PROPERTIES / "manager.json").read_text())
        for name, found in (
            ("Unit", {"LoadState": state}),
            ("Service", {**service, **said}),
            ("Manager", manager),
        ):
            typed = {key: {"type": "?", "data": value} for key, value in found.items()}
            (answers / f"{_PLACE}.{name}").write_text(json.dumps({"data": [typed]}))
        (answers / "web.service").write_text(json.dumps({"data": ["/a/path"]}))
        return env

    return say


def adopt(nsctl: Nsctl, env: dict[str, str], *words: str) -> Adopted:
    done = nsctl("adopt", *words, env=env)
    (entry,) = json.loads(done.stdout)["namespaces"]
    return Adopted(entry, done.stderr.splitlines())


def test_a_unit(
    bus: t.Callable[..., dict[str, str]], nsctl: Nsctl, new_name: NewName, tmp_path: pathlib.Path
) -> None:
    """It is made as it is printed, but for its program: no systemd runs that here."""
    root, name = tmp_path / "root", new_name()
    for each in ("usr", "etc", "data"):
        (root / each).mkdir(parents=True)
    env = bus(
        RootDirectory=str(root),
        MountAPIVFS=True,
        BindPaths=[[str(tmp_path), "/data", False, 0], ["/nowhere", "/nowhere", True, 0]],
        BindReadOnlyPaths=[["/etc/passwd", "/etc/passwd", False, 0]],
        TemporaryFileSystem=[["/var", "size=1m"]],
        ReadOnlyPaths=["/usr", "-/nope"],
        PrivateTmp=True,
        PrivateNetwork=True,
        Environment=["A=1"],
        User="nobody",
        LimitNOFILE=77,
        LimitNOFILESoft=77,
    )
    found = adopt(nsctl, env, name, "--unit", "web")
    assert found.left == []
    (service,) = found.entry.pop("services")
    assert (service["user"], service["limits"]) == ("nobody", {"nofile": "77"})
    text = json.dumps({"namespaces": [found.entry]})
    assert "record the definition" in nsctl("apply", "-", input=text, env=env).stdout
    assert is_as_it_should_be(nsctl, found.entry, env=env)
    there = {mount.path: mount for mount in mounts_inside(name)}
    assert {"/", "/data", "/etc/passwd", "/proc", "/tmp", "/usr", "/var", "/var/tmp"} <= {*there}
    assert "ro" in there["/usr"].flags
    assert there["/usr"].root.endswith("/root/usr")


@pytest.mark.parametrize(
    ("state", "unit", "why"),
    [
        ("loaded", "web.socket", "Web.socket is no service"),
        ("not-found", "web", "Unit web.service is not-found on this host"),
        ("masked", "web.service", "Unit web.service is masked on this host"),
        ("loaded", "nosuch", r"Call failed: \x1b[31mnosuch.service; unknown"),
        ("loaded", "-x", r"Call failed: \x1b[31m-x.service; unknown"),
        ("loaded", "a\x1bb", r"Call failed: \x1b[31ma\x1bb.service; unknown"),
    ],
)
def test_a_unit_that_is_none(
    state: str,
    unit: str,
    why: str,
    bus: t.Callable[..., dict[str, str]],
    nsctl: Nsctl,
    new_name: NewName,
) -> None:
    done = nsctl("adopt", new_name(), f"--unit={unit}", env=bus(state), code=1)
    assert why in done.stderr
    assert done.stdout == ""
    assert done.stderr[:-1].isprintable()


def test_answers_that_are_none(
    bus: t.Callable[..., dict[str, str]], nsctl: Nsctl, new_name: NewName, tmp_path: pathlib.Path
) -> None:
    env = bus()
    for text in ("", "{", "{}", "[]", '{"data": []}', "\xff"):
        (tmp_path / "bus/web.service").write_text(text)
        done = nsctl("adopt", new_name(), "--unit", "web", env=env, code=1)
        assert "Busctl answers what is no answer" in done.stderr


def test_a_unit_has_nothing_to_keep(
    bus: t.Callable[..., dict[str, str]], nsctl: Nsctl, new_name: NewName
) -> None:
    done = nsctl("adopt", new_name(), "--unit", "web", "--keep", env=bus(), code=1)
    assert "adopted by --unit are no namespaces that could be kept" in done.stderr


def test_without_systemd(nsctl: Nsctl, new_name: NewName, tmp_path: pathlib.Path) -> None:
    done = nsctl("adopt", new_name(), "--unit", "web", code=1)
    assert "Systemd does not run this host. Name a process with --pid." in done.stderr
    env = {**os.environ, "PATH": str(tmp_path)}
    done = nsctl("adopt", new_name(), "--machine", "box", env=env, code=1)
    assert "This host has no machinectl" in done.stderr


def test_a_machine(
    env: dict[str, str],
    unshared_process: UnsharedProcess,
    nsctl: Nsctl,
    new_name: NewName,
    tmp_path: pathlib.Path,
) -> None:
    process = unshared_process(("mnt", "uts", "pid"))
    process.run("hostname", "box")
    command(tmp_path, "machinectl", _MACHINECTL.format(leader=process.pid))
    found = adopt(nsctl, env, new_name(), "--machine", "box")
    assert found.entry["hostname"] == "box"
    assert "pid" in found.entry["kinds"]
    kept = adopt(nsctl, env, new_name(), "--machine", "box", "--keep").entry
    assert sorted(pins.pinned(kept["name"])) == ["mnt", "uts"]
    done = nsctl("adopt", new_name(), "--machine=--help", env=env, code=1)
    assert "does not know machine '--help': No machine \\x1b[31m known" in done.stderr
    for leader in ("0", "", "x", "-1"):
        command(tmp_path, "machinectl", _MACHINECTL.format(leader=leader))
        done = nsctl("adopt", new_name(), "--machine", "box", env=env, code=1)
        assert "it has no first process" in done.stderr
