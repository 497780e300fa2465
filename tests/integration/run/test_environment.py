# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of a program: a small known one, what is asked for, and nothing of the host's."""

from __future__ import annotations

import os
import pathlib
import pwd
import typing as t

from results import RunModule
from unshare_run import USR, small_root
from unshared_process import UnsharedProcess

__all__ = ["small_root"]

NOBODY = 65534
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ROOT = {"PATH": PATH, "HOME": "/root", "USER": "root", "LOGNAME": "root"}
# Of the module, as sshd, sudo, Ansible's task and the host's own configuration have set it.
OF_THE_MODULE = {
    "OF_THE_HOST": "leaks",
    "HOME": "/home/of/the/login",
    "USER": "login",
    "LANG": "C.UTF-8",
    "SSH_CONNECTION": "192.0.2.1 22 192.0.2.2 22",
    "LD_PRELOAD": "",
    "PYTHONPATH": "",
    "TERM": "xterm",
}


def environment(run_module: RunModule, module: str, **options: t.Any) -> dict[str, str]:
    """The environment that a program has."""
    args = {"argv": ["/usr/bin/env", "-0"], **options}
    done = run_module(module, args, env=OF_THE_MODULE)
    assert done["rc"] == 0, done
    return dict(line.split("=", 1) for line in done["stdout"].split("\0") if line)


def test_what_a_program_has(run_module: RunModule, unshared_process: UnsharedProcess) -> None:
    assert environment(run_module, "ns_unshare_run") == ROOT
    assert environment(run_module, "ns_unshare_run", root="/") == ROOT
    assert environment(run_module, "ns_unshare_run", kinds=["mnt", "user", "pid"]) == ROOT
    assert environment(run_module, "ns_setns_run") == ROOT
    inside = unshared_process(["mnt", "pid"])
    assert environment(run_module, "ns_setns_run", pid=inside.pid) == ROOT
    assert environment(run_module, "ns_setns_run", pid=inside.pid, kinds=["pid"]) == ROOT
    mapped = unshared_process(["user", "mnt"], options=["--map-root-user"])
    assert environment(run_module, "ns_setns_run", pid=mapped.pid) == ROOT


def test_what_is_asked_for_wins(run_module: RunModule, unshared_process: UnsharedProcess) -> None:
    given = {"ADDED": "yes", "NUMBER": 7, "EMPTY": "", "FLAG": True, "HOME": "/srv", "BOTH": "no"}
    options = {"environment": given, "secret_environment": {"BOTH": "secretly", "PATH": "/bin"}}
    found = environment(run_module, "ns_unshare_run", environment=given)
    given = {name: str(value) for name, value in given.items()}
    assert found == {**ROOT, **given}
    inside = unshared_process(["mnt"])
    argv = ["sh", "-c", 'test "$BOTH-$PATH-$HOME-$ADDED" = secretly-/bin-/srv-yes']
    for module, target in (("ns_unshare_run", {}), ("ns_setns_run", {"pid": inside.pid})):
        done = run_module(module, {**target, **options, "argv": argv}, env=OF_THE_MODULE)
        assert done["rc"] == 0, done


def of_user(name: str) -> dict[str, str]:
    entry = pwd.getpwnam(name)
    return {"PATH": PATH, "HOME": entry.pw_dir, "USER": name, "LOGNAME": name}


def test_that_of_a_user_is_the_root_s(
    run_module: RunModule, unshared_process: UnsharedProcess, tmp_path: pathlib.Path
) -> None:
    inside = unshared_process(["mnt"])
    (tmp_path / "passwd").write_text(
        "inside:x:1234:1235::/srv/inside:/bin/sh\nhomeless:x:1236:1235:::/bin/sh\n"
        "odd:x:1237:1235::not/absolute:/bin/sh\nroot:x:0:0::/elsewhere:/bin/sh\n"
    )
    inside.run("mount", "--bind", str(tmp_path / "passwd"), "/etc/passwd")
    expected = {"PATH": PATH, "HOME": "/srv/inside", "USER": "inside", "LOGNAME": "inside"}
    for user in ("inside", "1234", "1234:0"):
        found = environment(run_module, "ns_setns_run", pid=inside.pid, user=user)
        assert found == expected
    for user in ("homeless", "odd"):
        found = environment(run_module, "ns_setns_run", pid=inside.pid, user=user)
        assert found == {"PATH": PATH, "USER": user, "LOGNAME": user}
    # One without a name has nothing that could be known.
    assert environment(run_module, "ns_setns_run", pid=inside.pid, user="4321") == {"PATH": PATH}
    found = environment(run_module, "ns_setns_run", pid=inside.pid, user="0")
    assert found == {**ROOT, "HOME": "/elsewhere"}
    # With the host's mounts it is the host's user.
    found = environment(run_module, "ns_setns_run", pid=inside.pid, kinds=[], user="daemon")
    assert found == of_user("daemon")


def test_in_a_root_whose_users_nobody_asks_for(
    run_module: RunModule, small_root: pathlib.Path
) -> None:
    options = {"root": str(small_root), "mounts": [USR]}
    assert environment(run_module, "ns_unshare_run", **options) == ROOT
    assert environment(run_module, "ns_unshare_run", user="inside", **options)["HOME"] == "/"
    # Nobody asks a file that would not answer.
    (small_root / "etc/passwd").unlink()
    os.mkfifo(small_root / "etc/passwd")
    assert environment(run_module, "ns_unshare_run", **options) == ROOT


def test_that_of_a_plain_user(run_module: RunModule) -> None:
    """Root inside, of the host's file system: /root is not the user's."""
    own = of_user("nobody")
    for id_map in ("root", "current"):
        args = {"argv": ["/usr/bin/env", "-0"], "kinds": ["user", "mnt"], "id_map": id_map}
        done = run_module("ns_unshare_run", args, user=NOBODY)
        assert done["rc"] == 0, done
        assert dict(line.split("=", 1) for line in done["stdout"].split("\0") if line) == own
