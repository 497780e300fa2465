# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of a program: its variables and its input reach it, and nobody else."""

from __future__ import annotations

import base64
import json
import pathlib
import typing as t

import pytest
from leaks import watched
from results import RunModule
from unshared_process import UnsharedProcess

MASK = "********"
HUNTER = "hunter2-zq"
MODULES = ("ns_setns_run", "ns_unshare_run")
# How long the variable SECRET is, with a newline, once the file exists.
LENGTH = ["sh", "-c", 'printenv SECRET | wc -c; until [ -e "$0" ]; do sleep 0.02; done']


@pytest.fixture
def target(unshared_process: UnsharedProcess) -> t.Callable[[str], dict[str, t.Any]]:
    """The options that name a target, for a module that takes one."""
    return lambda module: {"pid": unshared_process().pid} if module == "ns_setns_run" else {}


@pytest.mark.parametrize("module", MODULES)
def test_a_secret_variable_reaches_the_program_alone(
    module: str,
    run_module: RunModule,
    target: t.Callable[[str], dict[str, t.Any]],
    tmp_path: pathlib.Path,
) -> None:
    seen = tmp_path / "seen"
    argv = [*LENGTH, str(seen)]
    args = {
        **target(module),
        "argv": argv,
        "timeout": 60,
        "environment": {"SECRET": "not this", "OTHER": "plain-text"},
        "secret_environment": {"SECRET": HUNTER},
    }
    with watched() as watch:
        watch.touch_when_seen(" ".join(argv), seen)
        done = run_module(module, args)
        predicted = run_module(module, args, check=True)
        printed = run_module(module, {**args, "argv": ["printenv", "SECRET", "OTHER"]})
    assert done["stdout"] == "11", done
    assert printed["stdout"] == f"{MASK}\nplain-text"  # by Ansible
    assert HUNTER not in json.dumps([done, predicted, printed])
    assert "plain-text" in json.dumps(done["invocation"])
    assert any(" ".join(argv) in line for line in watch.command_lines)
    assert watch.of([HUNTER]) == []
    assert len([line for line in watch.logged if "OTHER" in line]) == 3


@pytest.mark.parametrize("given", [{"SECRET": HUNTER}, f"SECRET={HUNTER}"])
@pytest.mark.parametrize("module", MODULES)
def test_what_is_no_text_does_not_tell(
    module: str, given: t.Any, run_module: RunModule, target: t.Callable[[str], dict[str, t.Any]]
) -> None:
    argv = ["sh", "-c", "printf '\\377'; printenv SECRET"]
    args = {**target(module), "argv": argv, "secret_environment": given}
    done = run_module(module, args)
    assert base64.b64decode(done["stdout_b64"]) == b"\xff" + MASK.encode() + b"\n"
    assert done["stdout"] == f"\\xff{MASK}"


NAMES = [
    *("PASSWORD", "PGPASSWORD", "MYSQL_PWD", "db-pass", "SSH_PASSPHRASE", "AWS_SECRET_ACCESS_KEY"),
    *("GITHUB_TOKEN", "Api_Key", "APIKEY", "REDISCLI_AUTH", "SOME_CREDENTIALS", "PrivateThing"),
]


@pytest.mark.parametrize("module", MODULES)
def test_a_plain_variable_whose_name_says_it_is_secret_is_not_logged(
    module: str, run_module: RunModule, target: t.Callable[[str], dict[str, t.Any]]
) -> None:
    plain = {"PLAIN": "plain-text", "NUMBER": 7, "SSL_KEY_FILE": "/etc/key", "EMPTY_KEY": ""}
    secret = dict.fromkeys(NAMES, HUNTER)
    url = {"DATABASE_URL": "postgres://web:hunter3-zq@host:5432/db"}
    args = {**target(module), "argv": ["true"], "environment": {**plain, **secret, **url}}
    with watched() as watch:
        done = run_module(module, args)
    assert done["invocation"]["module_args"]["environment"] == {
        **{name: str(value) for name, value in plain.items()},
        **dict.fromkeys(NAMES, MASK),
        "DATABASE_URL": f"postgres://web:{MASK}@host:5432/db",
    }
    assert done["rc"] == 0
    assert watch.of([HUNTER, "hunter3-zq"]) == []
    (line,) = watch.logged
    for word in ("plain-text", "/etc/key", f"'GITHUB_TOKEN': '{MASK}'"):
        assert word in line
    # Nothing else is hidden with them.
    short = {**args, "argv": ["echo", "1 7"], "environment": {"PASSWORD": "1", "KEY": 7}}
    assert run_module(module, short)["stdout"] == "1 7"


@pytest.mark.parametrize("module", MODULES)
def test_the_input_is_not_logged(
    module: str, run_module: RunModule, target: t.Callable[[str], dict[str, t.Any]]
) -> None:
    args = {**target(module), "argv": ["wc", "-c"], "stdin": HUNTER}
    with watched() as watch:
        done = run_module(module, args)
    assert done["stdout"] == "11"
    assert HUNTER not in json.dumps(done)
    assert watch.of([HUNTER]) == []
    # What the program makes of it is its own.
    assert run_module(module, {**args, "argv": ["cat"]})["stdout"] == HUNTER


SECRET = {"secret_environment": {"TOKEN": HUNTER}}
PLAIN = {"environment": {"TOKEN": HUNTER}}
FAILING: dict[str, dict[str, t.Any]] = {
    "it fails": {"argv": ["false"], **SECRET},
    "it fails with a plain one": {"argv": ["false"], **PLAIN},
    "no such program": {"argv": ["/no/such"], **SECRET},
    "no such plain program": {"argv": ["/no/such"], **PLAIN},
    "no such user": {"argv": ["true"], "user": "no-such-user", **SECRET},
    "no such directory": {"argv": ["true"], "chdir": "/no/such", **PLAIN},
    "no program": {"argv": [], **PLAIN},
    "cut": {"cmd": "true 'x", **SECRET},
    "too slow": {"argv": ["sleep", "9"], "timeout": 0.05, **SECRET},
    "a list": {"argv": ["true"], "secret_environment": {"A": [HUNTER, "b'\"\\"]}},
    "a plain list": {"argv": ["true"], "environment": {"TOKEN": [HUNTER, "b'\"\\"]}},
    "an object": {"argv": ["true"], "environment": {"TOKEN": {"of": HUNTER}}},
    "a name": {"argv": ["true"], "environment": {f"TOKEN={HUNTER}": ""}},
    "a secret name": {"argv": ["true"], "secret_environment": {f"PASSWORD={HUNTER}": ""}},
    "null": {"argv": ["true"], "environment": {"TOKEN": f"{HUNTER}\0"}},
    "a secret null": {"argv": ["true"], "secret_environment": {"A": f"{HUNTER}\0"}},
    "no form": {"argv": ["true"], "environment": HUNTER},
    "no secret form": {"argv": ["true"], "secret_environment": HUNTER},
    "a list of them": {"argv": ["true"], "environment": [f"TOKEN={HUNTER}"]},
    "a secret list of them": {"argv": ["true"], "secret_environment": [f"TOKEN={HUNTER}"]},
    "a string of them": {"argv": ["true"], "environment": f"TOKEN={HUNTER}", "bogus": 1},
    "no such option": {"argv": ["true"], "secret_env": {"TOKEN": HUNTER}},
    "another option": {"argv": ["true"], "timeout": "x", "stdin": HUNTER, **SECRET, **PLAIN},
    "too much": {"argv": ["true"], "secret_environment": {"A": HUNTER * 30000}},
}


@pytest.mark.parametrize("case", FAILING)
@pytest.mark.parametrize("module", MODULES)
def test_what_fails_does_not_tell(
    module: str,
    case: str,
    run_module: RunModule,
    target: t.Callable[[str], dict[str, t.Any]],
) -> None:
    args = {**target(module), **FAILING[case]}
    with watched() as watch:
        done = run_module(module, args)
    assert done["failed"], done
    assert HUNTER not in json.dumps(done)
    assert "defect of" not in done["msg"]
    assert watch.of([HUNTER]) == []


@pytest.mark.parametrize(
    "opts",
    [
        ["password=hunter2-zq"],
        "ro,password=hunter2-zq",
        'password="hunter2-zq,x"',
        "key=hunter2-zq",
    ],
)
def test_mounts_of_a_program(opts: t.Any, run_module: RunModule) -> None:
    mount = {"path": "/mnt", "src": "//server/share", "fstype": "ramfs", "opts": opts}
    args = {"argv": ["cat", "/proc/self/mounts"], "mounts": [mount]}
    refused = {**args, "mounts": [{**mount, "fstype": "tmpfs"}]}
    with watched() as watch:
        done = run_module("ns_unshare_run", args)
        failed = run_module("ns_unshare_run", refused)
        predicted = run_module("ns_unshare_run", args, check=True)
    assert "ramfs" in done["stdout"]
    assert failed["failed"]
    assert "Unknown parameter" in failed["msg"]
    assert MASK in json.dumps(done["invocation"])
    assert HUNTER not in json.dumps([done, failed, predicted])
    assert watch.of([HUNTER]) == []
