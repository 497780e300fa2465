# SPDX-License-Identifier: GPL-3.0-or-later
"""Text from inside, as nsctl and modules show it: nothing in it steers a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import tarfile
import typing as t

import pytest
from command import Nsctl
from processes_inside import inside
from results import Result, RunModule
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import gate
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

Make = t.Callable[..., str]
# The title of a window, a bell, a control of eight bits, what writes over a line, turned and
# invisible text, a byte that is no UTF-8.
NASTY = "x\x1b]0;t\x07\x9b31m\rgone\u202etxt.\u200b\udcff"
LOCALES = [{"LC_ALL": "C.UTF-8"}, {"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0"}]
# What in a result is text for people, wherever it stands.
LINES = {"msg", "reason", "hint", "step", "actions", "warnings", "command"}
TEXTS = {*LINES, "exception", "diff"}


def is_clean(text: str) -> bool:
    return all(character.isprintable() or character in "\n\t" for character in text)


@pytest.fixture(params=LOCALES, ids=lambda each: "+".join(each.values()))
def said(request: pytest.FixtureRequest, nsctl: Nsctl) -> t.Callable[..., str]:
    """Run nsctl; what it has said, which must be clean, and hold no traceback."""

    def run(*words: str, code: int | None = 0) -> str:
        done = subprocess.run(
            [nsctl.path, *words],
            env={**os.environ, **request.param},
            capture_output=True,
            check=False,
        )
        text = (done.stdout + done.stderr).decode()
        assert code is None or done.returncode == code, text
        assert is_clean(text), text
        assert "Traceback" not in text
        return text

    return run


@contextlib.contextmanager
def living_as(nsctl: Nsctl, name: str, title: str) -> t.Iterator[None]:
    """A process inside with this command line."""
    with nsctl.start("exec", name, "--", "/bin/bash", "-c", 'exec -a "$0" sleep 60', title) as one:
        try:
            assert wait_until(lambda: "sleep" in pathlib.Path(f"/proc/{one.pid}/comm").read_text())
            yield
        finally:
            one.kill()


def check_texts(value: t.Any, *, is_text: bool = False, is_line: bool = False) -> None:
    """All that is for people in a result is clean, and one line where it has to be."""
    if isinstance(value, dict):
        for key, each in value.items():
            check_texts(each, is_text=is_text or key in TEXTS, is_line=is_line or key in LINES)
    elif isinstance(value, list):
        for each in value:
            check_texts(each, is_text=is_text, is_line=is_line)
    elif isinstance(value, str) and is_text:
        assert is_clean(value), value
        assert not (is_line and "\n" in value), value


def test_processes(
    nsctl: Nsctl, said: t.Callable[..., str], namespace: Make, run_module: RunModule
) -> None:
    name = namespace("mnt", "uts", persistent=True)
    with living_as(nsctl, name, NASTY):
        assert r"x\x1b]0;t\x07\x9b31m\x0dgone\u202etxt.\u200b" in said("show", name)
        assert r"\x1b]0;t\x07" in said("down", name, code=1)
        said("list")
        shown = json.loads(said("show", name, "--json"))
        assert "\x1b]0;t\x07\x9b31m\rgone" in shown["processes"][0]["command"]
        down = json.loads(said("list", name, "--json"))
        assert down[0]["processes"]
        result = run_module("ns_namespace", {"name": name, "state": "absent"})
        assert r"\x1b]0;t\x07" in result["msg"]
        check_texts(result)
        check_texts(run_module("ns_info", {"namespace": name}))


def test_a_line_is_not_forged(nsctl: Nsctl, said: t.Callable[..., str], namespace: Make) -> None:
    name = namespace("mnt", persistent=True)
    with living_as(nsctl, name, f"sh\n{name}: pins removed"):
        assert f"\n{name}: pins removed" not in said("down", name, code=1)
        assert f"\n{name}: pins removed" not in said("show", name)


def test_words_that_were_given(said: t.Callable[..., str], namespace: Make) -> None:
    name = namespace("mnt")
    words = NASTY.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    said(words, code=2)
    said("list", f"--{words}", code=2)
    said("help", words, code=2)
    said("show", words, code=1)
    said("up", words, code=1)
    said("down", words, code=1)
    said("exec", name, "--", words, code=127)
    said("exec", name, "--", f"/{words}", code=127)
    said("exec", words, "--", "true", code=125)
    for option in ("chdir", "user", "kinds", "capabilities", "limits", "new", "env", words):
        said("exec", name, f"--{option}", words, "--", "true", code=125)
    said("exec", "--path", f"/{words}", "--", "true", code=125)
    said("exec", "--pid", words, "--", "true", code=125)


def test_definitions_and_reasons(
    nsctl: Nsctl, said: t.Callable[..., str], run_module: RunModule, new_name: t.Callable[[], str]
) -> None:
    name = new_name()
    assert run_module("ns_namespace", {"name": name, "kinds": ["mnt", "uts"]})["changed"]
    path = pathlib.Path(definitions.path_of(name))
    data = json.loads(path.read_text())
    step = {"do": "mount", "path": f"/{NASTY}", "src": NASTY, "fstype": NASTY, "opts": [NASTY]}
    data["steps"] = [step]
    whole = path.read_text()
    for text in (
        json.dumps(data),
        whole.replace('"uts"', json.dumps(NASTY)),
        whole.replace("{", '{"\\u001b[2J": 1, ', 1),
        whole[:20] + "\x1b]0;t\x07",
    ):
        path.write_text(text)
        said("show", name, code=None)
        said("list", name)
        said("up", name, code=1)
        json.loads(nsctl("list", name, "--json").stdout)
    # While it is not what it should be, the reason is kept.
    path.write_text(json.dumps(data))
    assert r"x\x1b]0;t\x07\x9b31m\x0dgone\u202etxt" in said("show", name, code=None)
    reason = pathlib.Path(gate.kept_in(name)) / "failed"
    reason.write_bytes(NASTY.encode("utf-8", "surrogateescape") + b"\nsecond")
    assert r"x\x1b]0;t\x07\x9b31m\x0dgone\u202etxt.\u200b" in said("list", name)
    path.write_text(whole)


def test_mounts(
    said: t.Callable[..., str], nsctl: Nsctl, namespace: Make, run_module: RunModule
) -> None:
    name = namespace("mnt")
    source = "t\x1b[31mmp\u202efs"
    place = f"/mnt/{source}"

    def mount_it() -> None:
        mounts.mount("none", "/mnt", fstype="tmpfs")
        os.mkdir(place)
        mounts.mount(source, place, fstype="tmpfs")

    inside(name, mount_it)
    assert r"t\x1b[31mmp\u202efs" in said("show", name)
    data = nsctl.data("show", name)
    assert place in [row["path"] for row in data["mounts"]]
    # What is data is exact.
    result = run_module("ns_mount_info", {"namespace": name, "path": place})
    assert result["mounts"][0]["src"] == source
    args = {"namespace": name, "path": place, "state": "unmounted"}
    for check in (True, False):
        result = run_module("ns_mount", args, check=check)
        assert any(r"t\x1b[31mmp\u202efs" in action for action in result["actions"])
        check_texts(result)
    result = run_module("ns_mount", {"namespace": name, "path": f"{place}/no", "fstype": source})
    assert result["failed"]
    check_texts(result)


def test_no_line_of_a_result_is_forged(
    nsctl: Nsctl, namespace: Make, run_module: RunModule
) -> None:
    """Ansible prints messages and differences as they are, among lines of its own."""
    name = namespace("mnt")
    place = "/mnt/a\nok: [forged]"

    def mount_it() -> None:
        mounts.mount("none", "/mnt", fstype="tmpfs")
        os.mkdir(place)
        mounts.mount("s\nfstype: forged", place, fstype="tmpfs")

    inside(name, mount_it)
    mount = {"namespace": name, "path": place, "_ansible_diff": True}
    for changes in ({"state": "unmounted"}, {"src": "t\nforged: x", "fstype": "tmpfs"}):
        result = run_module("ns_mount", {**mount, **changes}, check=True)
        assert result["actions"]
        check_texts(result)
        lines = "".join(result["diff"].values()).splitlines()
        assert lines and all(line.startswith(r"/mnt/a\x0aok: [forged]") for line in lines)
    with living_as(nsctl, name, "x\nok: [forged]"):
        result = run_module("ns_namespace", {"name": name, "state": "absent"})
    assert r"x\x0aok: [forged]" in result["msg"]
    check_texts(result)


def test_programs_of_services(run_module: RunModule, namespace: Make) -> None:
    name = namespace("mnt")
    script = r"printf '\033]0;t\007\302\233 \342\200\256 line\rover\nsecond\n'; exit 1"
    args = {"namespace": name, "name": "idle", "argv": ["/bin/sh", "-c", script]}
    result = run_module("ns_service", {**args, "supervisor": "none", "state": "started"})
    assert result["failed"]
    assert r"\x1b]0;t\x07\x9b \u202e line" in result["msg"]
    check_texts(result)
    assert is_clean(result["log"])
    run_module("ns_service", {**args, "supervisor": "none", "state": "absent"})


def test_archives(run_module: RunModule, tmp_path: pathlib.Path) -> None:
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as tar:
        for path in (f"../{NASTY}", f"{NASTY}/ok"):
            tar.addfile(tarfile.TarInfo(path))
        odd = tarfile.TarInfo(f"odd{NASTY}")
        odd.type = tarfile.LNKTYPE
        odd.linkname = f"/{NASTY}"
        tar.addfile(odd)
    result = run_module("ns_rootfs", {"path": str(tmp_path / "root"), "archive": str(archive)})
    assert result["failed"]
    assert "\\x1b" in result["msg"]
    check_texts(result)
    result = run_module("ns_rootfs", {"path": str(tmp_path / "r"), "archive": f"/no{NASTY[:9]}"})
    assert result["failed"]
    check_texts(result)


def test_programs_that_are_run(run_module: RunModule, namespace: Make) -> None:
    """Their output is data, as that of ansible.builtin.command is; what we say of them is not."""
    args = {"namespace": namespace("mnt"), "argv": ["/bin/sh", "-c", r"printf '\033[2J'"]}
    result: Result = run_module("ns_setns_run", args)
    assert result["stdout"] == "\x1b[2J"
    for changes in ({"argv": [NASTY[:9]]}, {"chdir": f"/{NASTY[:9]}"}, {"user": NASTY[:9]}):
        result = run_module("ns_setns_run", {**args, **changes})
        assert result["failed"]
        assert "\\x1b" in result["msg"]
        check_texts(result)
