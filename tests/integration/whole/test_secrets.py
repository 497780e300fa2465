# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets stay secret through a whole play: with -vvv and --diff, in check mode and when it fails."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import typing as t

import pytest
from command import Nsctl
from leaks import watched
from module_server import CHECKOUT
from tasks import Tasks

NAME = "test-secrets"
# Of a file system that takes any option, and shows none of them.
TAKES_ALL: dict[str, t.Any] = {"fstype": "ramfs", "src": "//server/share"}
DEFINITION = pathlib.Path(f"/etc/linux-namespaces/{NAME}.json")


def secret(number: int) -> str:
    return f"{{{{ secrets[{number}] }}}}"


# What Python, JSON, YAML and Ansible each write in another way, around what none of them does.
TRACES = [f"hunter{number}-zq" for number in range(20)]
SECRETS = [f"ü's \\ {trace}" if number == 3 else trace for number, trace in enumerate(TRACES)]


def setns(**options: t.Any) -> dict[str, t.Any]:
    return {"linux.namespaces.ns_setns_run": {"namespace": NAME, **options}}


def mount(**options: t.Any) -> dict[str, t.Any]:
    return {"linux.namespaces.ns_mount": {"namespace": NAME, **options}}


# That they do it is seen by what they write: the number of characters of the secret.
TASKS: Tasks = [
    {"linux.namespaces.ns_namespace": {"name": NAME, "kinds": ["mnt"]}},
    mount(path="/mnt", **TAKES_ALL, opts=["username=web", f"password={secret(0)}", "ro"]),
    mount(path="/mnt", **TAKES_ALL, opts=f"username=web,pass={secret(1)},ro"),
    mount(path="/mnt", **TAKES_ALL, opts=f'username=web,pass="{secret(1)},{secret(2)}",ro'),
    mount(
        mounts=[
            {"path": "/mnt", **TAKES_ALL, "opts": f"secret={secret(3)}"},
            {"path": "/srv", "src": f"//web:{secret(4)}@server/share", "fstype": "ramfs"},
        ]
    ),
    mount(path="/srv", state="remounted", opts=f"password2={secret(5)}"),
    setns(
        argv=["sh", "-c", "test $(printenv GREETING | wc -c) = 11"],
        secret_environment={"GREETING": secret(6)},
        environment={"DB_PASSWORD": secret(7), "PLAIN": "plain-text", "A": f"b://u:{secret(8)}@h"},
    ),
    setns(cmd="grep -q zq", stdin=secret(9)),
    {
        "linux.namespaces.ns_unshare_run": {
            "argv": ["sh", "-c", "test $(printenv GREETING | wc -c) = 12; cat /proc/mounts"],
            "secret_environment": {"GREETING": secret(10)},
            "mounts": [
                {"path": "/mnt", **TAKES_ALL, "opts": f"key={secret(11)},user=a%{secret(12)}"}
            ],
        }
    },
    {"linux.namespaces.ns_mount_info": {"namespace": NAME}},
]
# Each fails in its own way; more of them are in mount/test_secrets.py and run/test_secrets.py.
FAILING: Tasks = [
    mount(path="/srv", fstype="tmpfs", src="x", opts=f"password={secret(13)}"),
    mount(path="/srv", **TAKES_ALL, options=f"password={secret(13)}"),
    setns(cmd="false", secret_environment={"A": secret(14)}, environment={"TOKEN": secret(15)}),
]
REMOVAL: Tasks = [
    {"linux.namespaces.ns_namespace": {"name": NAME, "state": "absent", "force": True}}
]


class Play:
    """Runs tasks, whose secrets are in a file beside, and returns all that Ansible says."""

    def __init__(self, top: pathlib.Path) -> None:
        self._playbook = top / "play.yml"
        self._variables = top / "variables.json"
        self._variables.write_text(json.dumps({"secrets": SECRETS}))

    def __call__(self, tasks: Tasks, *words: str, fails: bool = False) -> str:
        wanted = [{**task, "ignore_errors": fails} for task in tasks]
        play = {"hosts": "localhost", "gather_facts": False, "tasks": wanted}
        play["vars_files"] = [str(self._variables)]
        self._playbook.write_text(json.dumps([play]))
        program = str(pathlib.Path(sys.executable).parent / "ansible-playbook")
        argv = [program, "-vvv", "--diff", *words, str(self._playbook)]
        done = subprocess.run(argv, check=False, capture_output=True, text=True, cwd=CHECKOUT)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert not fails or f"ignored={len(tasks)}" in said, said
        assert "defect of linux.namespaces" not in said
        assert "Traceback" not in said
        return said


@pytest.fixture
def play(tmp_path: pathlib.Path) -> t.Iterator[Play]:
    run = Play(tmp_path)
    try:
        yield run
    finally:
        run(REMOVAL)


def test_nothing_comes_to_light(play: Play, nsctl: Nsctl) -> None:
    with watched() as watch:
        said = play(TASKS)
        said += play(TASKS, "--check")
        said += play(FAILING, fails=True)
        for words in ((), ("--json",)):
            said += nsctl("show", NAME, *words).stdout
        kept = DEFINITION.read_text()
        assert oct(DEFINITION.stat().st_mode & 0o777) == "0o600"
        assert oct(DEFINITION.parent.stat().st_mode & 0o777) == "0o711"
    # It is Ansible that logs, and what may be known is there.
    invocations = [line for line in watch.logged if "Invoked with" in line]
    assert len(invocations) >= 2 * len(TASKS)
    assert "plain-text" in "".join(invocations)
    assert "plain-text" in said
    assert "password=********" in said
    assert "username=web" in said
    # What is to be mounted at boot is kept where root alone can read.
    assert TRACES[3] in kept
    assert [each for each in TRACES if each in said] == []
    assert watch.of(TRACES) == []
