# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of file systems that hold passwords: kept, compared, and never shown."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from command import Nsctl
from leaks import watched
from results import Converge, RunModule

NAME = "test-mount-secrets"
RECORD = pathlib.Path(f"/etc/linux-namespaces/{NAME}.json")
STATE = pathlib.Path(f"/run/linux-namespaces/{NAME}/state.json")
MASK = "********"
# A file system that takes any option, and shows none.
TAKES_ALL = {"src": "//server/share", "fstype": "ramfs"}
HUNTER = "hunter2-zq"


@pytest.fixture
def web(run_module: RunModule) -> t.Iterator[dict[str, t.Any]]:
    """A named namespace; the options that name it."""
    assert run_module("ns_namespace", {"name": NAME})["changed"]
    yield {"namespace": NAME}
    run_module("ns_namespace", {"name": NAME, "state": "absent", "force": True})


def opts_kept() -> list[str]:
    """The words that are recorded of the one mount."""
    steps = [*json.loads(RECORD.read_text())["steps"], *json.loads(STATE.read_text())["steps"]]
    (step,) = steps
    return list(step["opts"])


def at_mnt(opts: t.Any, **options: t.Any) -> dict[str, t.Any]:
    return {"path": "/mnt", **TAKES_ALL, "opts": opts, **options}


WAYS: dict[str, t.Callable[[str], dict[str, t.Any]]] = {
    "list": lambda value: at_mnt(["username=web", f"password={value}"]),
    "string": lambda value: at_mnt(f"username=web,password={value}"),
    "string in a list": lambda value: at_mnt([f"username=web,password={value}"]),
    "mounts": lambda value: {"mounts": [at_mnt(["username=web", f"password={value}"])]},
    "mounts, string": lambda value: {"mounts": [at_mnt(f"username=web,password={value}")]},
    "until a reboot": lambda value: at_mnt(f"username=web,password={value}", persistent=False),
    "quoted": lambda value: at_mnt(f'username=web,password="{value}"'),
}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_kept_compared_and_not_shown(
    way: str, converge: Converge, web: dict[str, str], nsctl: Nsctl
) -> None:
    with watched() as watch:
        done = converge("ns_mount", {**web, **WAYS[way](HUNTER)})
        assert opts_kept() == ["username=web", f"password={HUNTER}"]
        assert f"username=web,password={MASK}" in done["diff"]["after"]
        # Another one is a change, and the diff says that it is, of what.
        again = converge("ns_mount", {**web, **WAYS[way]("hunter3-zq")})
        assert opts_kept() == ["username=web", "password=hunter3-zq"]
        assert again["actions"] == [
            f"change options of /mnt: password={MASK}",
            "record the mount on /mnt",
        ]
        assert ", another password" in again["diff"]["after"]
        shown = nsctl("show", NAME).stdout + nsctl("show", NAME, "--json").stdout
        assert f"password={MASK}" in shown
        assert '"state": "ok"' in shown
        said = nsctl("down", NAME).stdout + nsctl("up", NAME).stdout
    said = json.dumps([done, again]) + said + shown
    for secret in (HUNTER, "hunter3-zq"):
        assert secret not in said
    assert watch.of([HUNTER, "hunter3-zq"]) == []
    invoked = [line for line in watch.logged if "Invoked" in line]
    assert len(invoked) == 6
    assert f"password={MASK}" in invoked[0]


@pytest.mark.parametrize("value", ["1", "a", "ramfs", "0", "mnt"])
def test_nothing_else_is_hidden_with_a_short_one(
    value: str, run_module: RunModule, web: dict[str, str]
) -> None:
    with watched() as watch:
        plain = run_module("ns_mount", {**web, **at_mnt("size=1"), "path": "/srv"})
        done = run_module("ns_mount", {**web, **at_mnt(f"password={value},username=a1")})
    (mount,), (other,) = done["mounts"], plain["mounts"]
    assert {**mount, "id": 0, "device": ""} == {
        **other,
        "id": 0,
        "device": "",
        "path": "/mnt",
        "parent": mount["parent"],
    }
    assert isinstance(mount["id"], int)
    assert done["actions"] == ["mount ramfs on /mnt", "record the mount on /mnt"]
    given = done["invocation"]["module_args"]
    assert given["opts"] == [f"password={MASK}", "username=a1"]
    assert (given["path"], given["fstype"], given["namespace"]) == ("/mnt", "ramfs", NAME)
    assert f"opts=['password={MASK}', 'username=a1']" in watch.logged[-1]


def test_other_words_and_other_places(run_module: RunModule, web: dict[str, str]) -> None:
    """Of ceph, ecryptfs, mount.cifs(8), those in user space; within the source; with odd characters."""
    opts = [
        "secret=AQ1hunter2-zq==",
        "key=passphrase:passphrase_passwd=hunter2-zq",
        "PASS=hunter2-zq,password2=a b hunter2-zq",
        "user=web%hunter2-zq",
        "sftp_pass=ü\\'\n\thunter2-zq",
        "secretfile=/etc/secret",
        "credentials=/etc/credentials",
        "sec=krb5",
    ]
    shown = ["secret", "key", "PASS", "password2"]
    with watched() as watch:
        args = {**web, **at_mnt(opts), "src": "//web:hunter2-zq@server/share"}
        done = run_module("ns_mount", args)
        info = run_module("ns_mount_info", {**web, "path": "/mnt"})
    assert done["changed"], done
    (mount,) = info["mounts"]
    assert mount["src"] == done["mounts"][0]["src"] == f"//web:{MASK}@server/share"
    words = done["invocation"]["module_args"]["opts"]
    assert words == [
        *[f"{key}={MASK}" for key in shown],
        f"user=web%{MASK}",
        f"sftp_pass={MASK}",
        *opts[-3:],
    ]
    assert HUNTER not in json.dumps([done, info])
    assert watch.of([HUNTER]) == []
    assert not run_module("ns_mount", args)["changed"]


FAILING: dict[str, dict[str, t.Any]] = {
    "unknown to the file system": {"fstype": "tmpfs", "src": "x", "opts": "password=hunter2-zq"},
    "refused by it": {"fstype": "tmpfs", "src": "x", "opts": "password=hunter2-zq,size=nonsense"},
    "too long": at_mnt(f"password=hunter2-zq{'x' * 70000}"),
    "no such option": at_mnt("ro", options="password=hunter2-zq"),
    "quote": at_mnt('ro,password="hunter2-zq,x'),
    "quote in a list": at_mnt(["ro", 'password="hunter2-zq', "x"]),
    "an object": at_mnt([{"password": HUNTER}], state="none"),
    "an object alone": at_mnt({"password": HUNTER}),
    "a colon": at_mnt(["password: hunter2-zq"], state="none"),
    "a source": at_mnt("ro", src="//web:hunter2-zq@server/share", fstype="ext4"),
    "a source of no file system": at_mnt("ro", src="https://w:hunter2-zq@h/x", fstype="none-such"),
    "a bind": {"path": "/mnt", "src": "/srv", "opts": "bind,password=hunter2-zq"},
    "a mode": at_mnt("X-mount.mkdir=9,password=hunter2-zq"),
    "a missing place": at_mnt("password=hunter2-zq", path="/no/such/place"),
    "a mount without path": {"mounts": [{"password": HUNTER}]},
    "a mount without form": {"mounts": "password=hunter2-zq"},
    "a list without form": {"mounts": ["path=/mnt opts=password=hunter2-zq"]},
    "an option of a mount": {"mounts": [at_mnt("ro", pass_word="password=hunter2-zq")]},
    "one of many": {"mounts": [at_mnt("password=hunter2-zq"), {"path": "/x", "fstype": "none"}]},
    "nothing to remount": {"path": "/mnt", "state": "remounted", "opts": "password=hunter2-zq"},
}


@pytest.mark.parametrize("check", [False, True], ids=["run", "check"])
@pytest.mark.parametrize("case", FAILING)
def test_what_fails_does_not_tell(
    case: str, check: bool, run_module: RunModule, web: dict[str, str]
) -> None:
    with watched() as watch:
        done = run_module("ns_mount", {**web, "path": "/mnt", **FAILING[case]}, check=check)
        if "mounts" in FAILING[case]:
            done = run_module("ns_mount", {**web, **FAILING[case]}, check=check)
    assert check or done["failed"], done
    assert HUNTER not in json.dumps(done)
    assert "defect of" not in done.get("msg", "")
    assert watch.of([HUNTER]) == []


def closed(path: pathlib.Path) -> str:
    return oct(path.stat().st_mode & 0o777)


@pytest.mark.parametrize("writes", [False, True], ids=["read", "written"])
def test_files_that_others_could_read_are_closed(
    writes: bool, run_module: RunModule, web: dict[str, str]
) -> None:
    args = {**web, **at_mnt(f"password={HUNTER}")}
    assert run_module("ns_mount", args)["changed"]
    for path in (RECORD, STATE):
        path.chmod(0o644)
    RECORD.parent.chmod(0o755)
    done = run_module("ns_mount", {**args, "opts": f"password={HUNTER}2"} if writes else args)
    assert done["changed"] is writes
    assert {closed(RECORD), closed(STATE)} == {"0o600"}
    assert closed(RECORD.parent) == "0o711"


@pytest.mark.usefixtures("web")
def test_a_plain_user_removes_nothing_and_is_told(run_module: RunModule) -> None:
    """The directory cannot be listed, but what it holds can be asked for by name."""
    args = {"name": NAME, "state": "absent"}
    assert "only root" in run_module("ns_namespace", args, user=65534)["reason"]
    args = {"name": "no-such-name", "state": "absent"}
    done = run_module("ns_namespace", args, user=65534, check=True)
    assert done.get("changed") is False, done
