# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_unshare_run and ns_setns_run beside ansible.builtin.command: the same tasks, the same results."""

from __future__ import annotations

import base64
import datetime
import functools
import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
from results import Result, RunModule

COMMAND = """
import runpy, sys
from ansible.module_utils import basic
basic._ANSIBLE_ARGS = sys.stdin.buffer.read()
basic._ANSIBLE_PROFILE = "legacy"
runpy.run_module("ansible.modules.command", run_name="__main__")
"""
SAME = ("changed", "cmd", "failed", "msg", "rc", "skipped", "stderr", "stdout")
MODULES = ("ns_unshare_run", "ns_setns_run")


def run_command(args: Result, *, check: bool) -> Result:
    """What ansible.builtin.command answers."""
    arguments = {"ANSIBLE_MODULE_ARGS": {**args, "_ansible_check_mode": check}}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND],
        input=json.dumps(arguments),
        check=False,
        capture_output=True,
        text=True,
    )
    answer: Result = json.loads(done.stdout)
    return answer


@functools.cache
def theirs_of(task: str, check: bool) -> Result:
    return run_command(TASKS[task], check=check)


def said(result: Result) -> Result:
    return {key: result.get(key) for key in SAME}


TASKS: dict[str, Result] = {
    "argv": {"argv": ["printf", "%s|", "a b", "$HOME", "*", ""], "expand_argument_vars": False},
    "cmd": {"cmd": "printf '%s|' 'a b' c\\ d \"e f\" g"},
    "output on both": {"argv": ["sh", "-c", "echo out; echo err >&2"]},
    "exit code": {"argv": ["sh", "-c", "echo out; exit 3"]},
    "largest exit code": {"argv": ["sh", "-c", "exit 255"]},
    "signal": {"argv": ["sh", "-c", "kill -TERM $$"]},
    "empty lines at the end": {"argv": ["printf", "a\\n\\n\\r\\n"]},
    "empty lines kept": {"argv": ["printf", "a\\n\\n"], "strip_empty_ends": False},
    "stdin": {"argv": ["od", "-c"], "stdin": "line"},
    "stdin without a newline": {"argv": ["od", "-c"], "stdin": "l", "stdin_add_newline": False},
    "stdin of none": {"argv": ["cat"]},
    "stdin that is empty": {"argv": ["od", "-c"], "stdin": ""},
    "umlauts": {"argv": ["cat"], "stdin": "\u00e4\u4e2d\U0001f600"},
    "directory": {"argv": ["pwd"], "chdir": "/usr/share"},
    "creates, there": {"argv": ["echo", "ran"], "creates": "/etc/passwd"},
    "creates, missing": {"argv": ["echo", "ran"], "creates": "/etc/none"},
    "creates, a pattern": {"argv": ["echo", "ran"], "creates": "/etc/pass*"},
    "creates, a pattern of none": {"argv": ["echo", "ran"], "creates": "/etc/none*"},
    "creates, relative": {"argv": ["echo", "ran"], "creates": "passwd", "chdir": "/etc"},
    "removes, there": {"argv": ["echo", "ran"], "removes": "/etc/passwd"},
    "removes, missing": {"argv": ["echo", "ran"], "removes": "/etc/none"},
    "removes, a pattern": {"argv": ["echo", "ran"], "removes": "/etc/pass*"},
    "creates and removes": {
        "argv": ["echo", "ran"],
        "creates": "/etc/none",
        "removes": "/etc/nothing",
    },
    "what is left behind may go on writing": {
        "argv": ["sh", "-c", "(sleep 0.3; echo late) & echo early"]
    },
}


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("check", [False, True], ids=["run", "check"])
@pytest.mark.parametrize("task", list(TASKS))
def test_the_result_is_that_of_command(
    run_module: RunModule, task: str, check: bool, module: str
) -> None:
    theirs = theirs_of(task, check)
    ours = {key: value for key, value in TASKS[task].items() if key != "expand_argument_vars"}
    assert said(run_module(module, ours, check=check)) == said(theirs)


@pytest.mark.parametrize("module", MODULES)
def test_times(run_module: RunModule, module: str) -> None:
    result = run_module(module, {"argv": ["sleep", "0.2"]})
    start, end = (datetime.datetime.fromisoformat(result[key]) for key in ("start", "end"))
    assert 0.2 <= (end - start).total_seconds() < 20
    assert str(end - start) == result["delta"]


def test_a_program_that_cannot_be_started_has_its_errno_as_rc(run_module: RunModule) -> None:
    args = {"argv": ["no-such-program"]}
    theirs, ours = run_command(args, check=False), run_module("ns_unshare_run", args)
    for key in ("rc", "failed", "cmd", "stdout", "stderr"):
        assert ours[key] == (
            [theirs[key]] if key == "cmd" and ours[key] != theirs[key] else theirs[key]
        )
    assert "no program no-such-program" in ours["msg"]


@pytest.mark.parametrize("module", MODULES)
def test_output_of_any_size(run_module: RunModule, module: str) -> None:
    size = 8 << 20
    script = (
        f"head -c {size} /dev/zero | tr '\\0' o & head -c {size} /dev/zero | tr '\\0' e >&2; wait"
    )
    result = run_module(module, {"argv": ["sh", "-c", script]})
    assert result["rc"] == 0
    assert result["stdout"] == "o" * size
    assert result["stderr"] == "e" * size


def test_input_and_output_of_any_size_at_once(run_module: RunModule) -> None:
    text = "0123456789abcde\n" * (1 << 18)
    result = run_module("ns_unshare_run", {"argv": ["tee", "/dev/stderr"], "stdin": text})
    assert result["stdout"] + "\n" == text
    assert result["stderr"] + "\n" == text


def test_input_that_nobody_reads_is_no_failure(run_module: RunModule) -> None:
    result = run_module("ns_unshare_run", {"argv": ["true"], "stdin": "x" * (1 << 20)})
    assert (result["rc"], result["stderr"]) == (0, "")


def test_output_of_any_bytes(run_module: RunModule, tmp_path: pathlib.Path) -> None:
    every = bytes(range(256)) + b"\n"
    (tmp_path / "bytes").write_bytes(every)
    script = f"cat {tmp_path}/bytes; cat {tmp_path}/bytes >&2"
    result = run_module("ns_unshare_run", {"argv": ["sh", "-c", script]})
    assert base64.b64decode(result["stdout_b64"]) == every
    assert base64.b64decode(result["stderr_b64"]) == every
    assert result["stdout"].endswith("\\xfe\\xff")
    json.dumps(result, ensure_ascii=False).encode()  # Ansible refuses what is not UTF-8
    plain = run_module("ns_unshare_run", {"argv": ["printf", "\u00fc\\000\\001"]})
    assert plain["stdout"] == "\u00fc\0\1"
    assert "stdout_b64" not in plain


@pytest.mark.parametrize("number", [1, 2, 6, 9, 11, 13, 15, 40, 64])
def test_signals_are_told_by_number_and_name(run_module: RunModule, number: int) -> None:
    result = run_module("ns_unshare_run", {"argv": ["sh", "-c", f"ulimit -c 0; kill -{number} $$"]})
    assert result["rc"] == -number
    names = {1: "SIGHUP", 2: "SIGINT", 6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE"}
    names.update({15: "SIGTERM", 40: "SIGRTMIN+6", 64: "SIGRTMAX"})
    assert result["signal"] == names[number]
    assert result["msg"] == "non-zero return code"


def test_an_exit_code_that_looks_like_a_signal_is_none(run_module: RunModule) -> None:
    result = run_module("ns_unshare_run", {"argv": ["sh", "-c", "exit 137"]})
    assert result["rc"] == 137
    assert "signal" not in result


def test_a_path_in_the_environment_is_where_the_program_is_sought(
    run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "own").symlink_to("/bin/echo")
    args = {"argv": ["own", "found"], "environment": {"PATH": str(tmp_path)}}
    assert run_module("ns_unshare_run", args)["stdout"] == "found"


def test_creates_is_looked_up_where_the_program_would_run(
    run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    """Among the mounts and in the root of the program, in check mode too."""
    (tmp_path / "marker").touch()
    args = {
        "argv": ["true"],
        "mounts": [{"path": "/mnt", "src": str(tmp_path), "opts": "bind"}],
        "creates": "/mnt/marker",
    }
    for check in (True, False):
        result = run_module("ns_unshare_run", args, check=check)
        assert result["changed"] is False
        assert "since '/mnt/marker' exists" in result["msg"]
    hidden = {**args, "creates": f"{tmp_path}/marker", "root": "/", "mounts": []}
    hidden["mounts"] = [{"path": str(tmp_path), "fstype": "tmpfs"}]
    for check in (True, False):
        result = run_module("ns_unshare_run", hidden, check=check)
        assert result["changed"] is True


def test_check_mode_makes_nothing(run_module: RunModule, tmp_path: pathlib.Path) -> None:
    root = tmp_path / "root"
    for name in ("usr", "proc"):
        (root / name).mkdir(parents=True)
    before = sorted(path.name for path in root.rglob("*"))
    args = {
        "argv": ["touch", "/ran"],
        "kinds": ["mnt", "pid"],
        "root": str(root),
        "creates": "/new/file",
        "mounts": [
            {"path": "/new", "fstype": "tmpfs", "opts": "X-mount.mkdir"},
            {"path": "/file", "src": "/etc/passwd", "opts": "bind,X-mount.mkdir"},
        ],
    }
    result = run_module("ns_unshare_run", args, check=True)
    assert result["changed"] is True
    assert result["actions"] == ["run touch"]
    assert sorted(path.name for path in root.rglob("*")) == before


@pytest.mark.parametrize("missing", ["root", "target"])
def test_check_mode_where_an_earlier_task_would_make_it(
    run_module: RunModule, missing: str
) -> None:
    name, args = {
        "root": ("ns_unshare_run", {"root": "/no/such/root"}),
        "target": ("ns_setns_run", {"namespace": "not-there-yet"}),
    }[missing]
    args = {"argv": ["true"], "creates": "/x", **args}
    result = run_module(name, args, check=True)
    assert not result.get("failed"), result
    assert result["changed"] is True
    assert run_module(name, args)["failed"] is True


def test_the_directory_is_the_task_s_without_a_root_and_slash_in_one(run_module: RunModule) -> None:
    assert run_module("ns_unshare_run", {"argv": ["pwd"]})["stdout"] == os.getcwd()
    assert run_module("ns_unshare_run", {"argv": ["pwd"], "root": "/"})["stdout"] == "/"


def test_no_result_says_more_than_it_should(run_module: RunModule) -> None:
    """The documented keys and no others."""
    module: t.Any = __import__(
        "ansible_collections.linux.namespaces.plugins.modules.ns_unshare_run", fromlist=["RETURN"]
    )
    import yaml

    documented = set(yaml.safe_load(module.RETURN))
    for args in ({"argv": ["true"]}, {"argv": ["sh", "-c", "kill -9 $$"]}):
        result = run_module("ns_unshare_run", args)
        result.pop("invocation")
        assert set(result) <= documented | {"changed", "failed"}
