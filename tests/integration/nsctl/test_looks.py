# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl list, show, diff, tree and top for who looks: what is wrong first, in the width and colours of a terminal."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import re
import subprocess
import typing as t

import pytest
from command import Nsctl
from processes_inside import inside
from results import RunModule
from stub_systemd import StubSystemd, stub_systemd
from terminals import Terminal

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core import nsctl as package
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins
from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl import manual
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

__all__ = ["stub_systemd"]

NewName = t.Callable[[], str]


class Site(t.NamedTuple):
    """A shop that shares the network of a front, with a service, mounts and a file."""

    shop: str
    front: str
    data: pathlib.Path
    file: pathlib.Path


@pytest.fixture
def site(run_module: RunModule, new_name: NewName, tmp_path: pathlib.Path) -> Site:
    shop, front = new_name(), new_name()  # in the order in which they go
    data, home = tmp_path / "data", tmp_path / "home"
    for each in (data, home):
        each.mkdir(mode=0o700)
    file = home / "shop.conf"
    wanted = [
        {"name": front, "kinds": ["net"]},
        {
            "name": shop,
            "kinds": ["mnt", "uts"],
            "share": {"net": front},
            "hostname": "shop",
            "mounts": [
                {"path": "/mnt", "src": "tmpfs", "fstype": "tmpfs", "opts": ["size=1m"]},
                {"path": "/media", "src": str(data), "opts": ["bind"]},
            ],
            "services": [{"name": "sleeper", "argv": ["/bin/sleep", "1000"]}],
        },
    ]
    assert run_module("ns_definition", {"namespaces": wanted})["changed"]
    return Site(shop, front, data, file)


def test_what_was_changed_by_hand(nsctl: Nsctl, site: Site) -> None:
    assert nsctl("diff").stdout == ""
    assert nsctl("diff", site.shop).stdout == ""
    inside(site.shop, lambda: mounts.detach("/media"))
    inside(site.shop, lambda: mounts.mount("mine", "/opt", fstype="tmpfs", data="size=2m"))
    subprocess.run(
        [nsctl.path, "exec", site.shop, "--", "hostname", "other"], check=True, capture_output=True
    )
    said = nsctl("diff", site.shop).stdout
    head, *lines = said.splitlines()
    written = os.stat(definitions.path_of(site.shop)).st_mtime
    since = datetime.datetime.fromisoformat(head.partition("as of ")[2].rstrip(")"))
    assert head.startswith(f"{site.shop}: partial (as of ")
    assert abs(since.timestamp() - written) < 1
    assert f"  + mount /media: bind {site.data} bind" in lines
    assert any(line.startswith("  - mount /opt: tmpfs mine ") for line in lines)
    assert any(
        "hostname" in line for line in lines[lines.index(f"  `nsctl up {site.shop}` would:") :]
    )
    assert not [line for line in lines if "/mnt" in line]
    # Of all only those are told of whom there is something to tell.
    assert nsctl("diff").stdout == said
    found = {each["name"]: each for each in nsctl.data("diff")}
    assert found[site.front]["changes"] == found[site.front]["mounts"] == []
    assert [each["path"] for each in found[site.shop]["mounts"]] == ["/media", "/opt"]
    nsctl("up", site.shop)
    left = nsctl("diff", site.shop).stdout.splitlines()
    assert [line for line in left[1:] if not line.startswith("  - mount /opt")] == []


def test_a_file_that_was_changed_by_hand(
    nsctl: Nsctl, run_module: RunModule, new_name: NewName, tmp_path: pathlib.Path
) -> None:
    name, home = new_name(), tmp_path / "home"
    home.mkdir(mode=0o700)
    conf = home / "files/shop.conf"
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    wanted = {
        "name": name,
        "kinds": ["mnt"],
        "rootfs": {"directory": str(root), "home": str(home)},
        "files": [{"dest": str(conf), "content": "color = blue\n"}],
    }
    assert run_module("ns_definition", {"namespaces": [wanted]})["changed"]
    assert not run_module("ns_definition", {"namespaces": [wanted]})["changed"]
    assert nsctl("diff", name).stdout == ""
    conf.write_text("color = red\n")
    assert f"  - file {conf}: it was changed since it was written" in nsctl("diff", name).stdout
    assert [each["state"] for each in nsctl.data("show", name)["files"]] == ["differs"]
    conf.unlink()
    assert f"  - file {conf}: it is not there" in nsctl("diff", name).stdout
    assert run_module("ns_definition", {"namespaces": [wanted]})["changed"]
    assert nsctl("diff", name).stdout == ""


def test_who_shares_a_network_with_the_shop(nsctl: Nsctl, site: Site) -> None:
    number = pins.pinned(site.front)["net"]
    said = nsctl("tree", site.shop, "--kinds", "net").stdout.splitlines()
    assert said[0] == "net"
    assert said[1] == f"  {number}  {site.front}"
    assert said[2].split() == [site.shop, "shares", "it"]
    assert "/bin/sleep 1000" in said[3]
    (found,) = nsctl.data("tree", site.shop, "--kinds", "net")
    assert (found["owner"], found["sharers"], found["is_host"]) == (site.front, [site.shop], False)
    assert found["processes"] == 1


def test_the_hosts_own_and_those_of_others_are_in_the_tree(nsctl: Nsctl, site: Site) -> None:
    argv = ["unshare", "--pid", "--fork", "--kill-child", "sleep", "1000"]
    with subprocess.Popen(argv) as process:
        try:
            found = nsctl.data("tree")
            text = nsctl("tree").stdout
        finally:
            process.kill()
    own = {each["kind"]: each for each in found if each["is_host"]}
    assert {*own} == {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"}
    assert own["ipc"]["users"] == sorted([site.shop, site.front])
    assert own["net"]["users"] == []
    (nested,) = [each for each in found if each["command"] == "sleep 1000" and not each["owner"]]
    assert (nested["kind"], nested["parent"]) == ("pid", own["pid"]["id"])
    # It stands below the one that it lies in.
    assert re.search(
        rf"^pid\n  {own['pid']['id']}  .*\n(?:    .*\n)*    {nested['id']}  ", text, re.M
    )


def test_what_each_uses(nsctl: Nsctl, site: Site) -> None:
    found = {each["name"]: each for each in nsctl.data("top")}
    (service,) = found[site.shop]["services"]
    assert (service["name"], service["processes"], service["restarts"]) == ("sleeper", 1, None)
    assert found[site.shop]["processes"] == found[site.front]["processes"] == 1
    assert 0 < service["memory"] < 1 << 28
    assert 0 <= service["cpu"] < 60
    head, *lines = nsctl("top", site.shop).stdout.splitlines()
    assert head.split() == ["NAME", "PROCESSES", "MEMORY", "CPU", "RESTARTS"]
    assert [line.split()[0] for line in lines] == [site.shop, "sleeper"]
    busy = ["exec", site.shop, "--", "sh", "-c", "while :; do :; done"]
    with nsctl.start(*busy) as process:
        try:
            with nsctl.start("top", "--interval", "1", site.shop, stdout=subprocess.PIPE) as looks:
                assert looks.stdout is not None
                percents = []
                while len(percents) < 2:
                    line = looks.stdout.readline()
                    assert line
                    if line.startswith(site.shop) and "%" in line:
                        percents.append(float(line.split()[3].rstrip("%")))
                looks.terminate()
        finally:
            process.kill()
    assert max(percents) > 10
    assert "takes some time" in nsctl("top", "--interval", "0", code=2).stderr
    assert "There is no namespace 'nosuch'" in nsctl("top", "nosuch", code=1).stderr


def test_what_is_wrong_comes_first(nsctl: Nsctl, site: Site) -> None:
    assert [each["name"] for each in nsctl.data("list")] == sorted([site.shop, site.front])
    inside(site.shop, lambda: mounts.detach("/media"))
    order = [each["name"] for each in nsctl.data("list")]
    assert order == [site.shop, site.front]
    # Who names them has them in that order.
    named = [each["name"] for each in nsctl.data("list", site.front, site.shop)]
    assert named == [site.front, site.shop]
    lines = nsctl("show", site.shop).stdout.splitlines()
    at = {
        word: next(i for i, line in enumerate(lines) if word in line)
        for word in ("would:", "kinds")
    }
    first = next(i for i, line in enumerate(lines) if line.split()[:2] == ["missing", "/media"])
    assert at["would:"] < first < at["kinds"]


def said_at_a_terminal(nsctl: Nsctl, *words: str, width: int, **environment: str) -> str:
    """What it writes to a terminal of that width."""
    given = [f"{key}={value}" for key, value in {"TERM": "xterm", **environment}.items()]
    script = 'env "$@"; echo; echo "that was all"'
    argv = ["sh", "-c", script, "sh", "-u", "COLUMNS", *given, nsctl.path, *words]
    with Terminal(*argv, size=(24, width)) as terminal:
        return terminal.until("that was all\r\n").replace("\r\n", "\n").rstrip("\n")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_widths(nsctl: Nsctl, site: Site, width: int) -> None:
    inside(site.shop, lambda: mounts.detach("/media"))
    for words in (["list"], ["show", site.shop], ["tree"], ["top"]):
        said = said_at_a_terminal(nsctl, *words, width=width, NO_COLOR="1")
        assert "\x1b" not in said
        longest = max(map(len, said.splitlines()))
        # No column is cut to nothing.
        assert longest <= max(width, 70), (words, said)
    assert "the mount on /media" in " ".join(
        said_at_a_terminal(nsctl, "list", width=width, NO_COLOR="1").split()
    )


def test_colours(nsctl: Nsctl, site: Site) -> None:
    inside(site.shop, lambda: mounts.detach("/media"))
    said = said_at_a_terminal(nsctl, "list", width=120)
    assert re.search(r"\x1b\[33mpartial\s*\x1b\[0m", said)
    assert re.search(r"\x1b\[32mup\s*\x1b\[0m", said)
    plain = re.sub(r"\x1b\[\d+m", "", said)
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert said_at_a_terminal(nsctl, "list", width=120, **environment) == plain
    # What is no terminal gets none.
    assert "\x1b" not in nsctl("list", env={**os.environ, "TERM": "xterm"}).stdout


def test_names_from_inside_bring_no_colours(nsctl: Nsctl, site: Site) -> None:
    inside(site.shop, lambda: mounts.mount("\x1b[31mred", "/opt", fstype="tmpfs"))
    for words in (["show", site.shop], ["diff"]):
        said = said_at_a_terminal(nsctl, *words, width=500)
        assert "\x1b[31mred" not in said
        assert r"\x1b[31mred" in said


@pytest.mark.parametrize("verb", ["list", "show", "tree", "top", "diff", "check", "why"])
def test_the_form_of_json_is_documented(nsctl: Nsctl, site: Site, verb: str) -> None:
    """Each key that is printed is named where the manual says what is printed."""
    inside(site.shop, lambda: mounts.detach("/media"))
    found = nsctl.data(verb, *{"show": [site.shop], "why": [str(site.data)]}.get(verb, []))
    forms = {each.name: each.form for each in manual.verbs()}
    form = forms[verb] + (forms["list"] if "what `nsctl list` has" in forms[verb] else "")
    for each in found if isinstance(found, list) else [found]:
        for key in each:
            assert re.search(rf"\b{key}\b", form), (verb, key)
    assert verb in package.VERBS
    json.dumps(found)


def test_a_service_that_was_changed_by_hand(
    nsctl: Nsctl, run_module: RunModule, new_name: NewName, stub_systemd: StubSystemd
) -> None:
    stub_systemd.run_units()
    name = new_name()
    env = {**os.environ, **stub_systemd.env}
    assert run_module("ns_namespace", {"name": name, "kinds": ["uts"]}, env=stub_systemd.env)[
        "changed"
    ]
    service = {"namespace": name, "name": "idle", "argv": ["/bin/sleep", "1000"], "enabled": True}
    assert run_module("ns_service", service, env=stub_systemd.env)["changed"]
    unit = host_paths.unit_name(name, "idle")
    try:
        assert nsctl("diff", name, env=env).stdout == ""
        systemctl = ["systemctl", "--no-ask-password"]
        subprocess.run([*systemctl, "stop", unit], check=True, env=env)
        lines = nsctl("diff", name, env=env).stdout.splitlines()
        assert lines[1:] == ["  - service idle: stopped", "  + start service idle"]
        file = pathlib.Path(host_paths.UNITS, unit)
        file.write_text(file.read_text() + "\n[Service]\nNice=5\n")
        lines = nsctl("diff", name, env=env).stdout.splitlines()
        assert "  + write the unit of service idle" in lines
        shown = json.loads(nsctl("show", name, "--json", env=env).stdout)
        (found,) = shown["services"]
        assert found["changes"] == [line[4:] for line in lines if line.startswith("  + ")]
        # One that is to be stopped is as it should be.
        off = {**service, "state": "stopped", "enabled": False}
        assert run_module("ns_service", off, env=stub_systemd.env)["changed"]
        assert nsctl("diff", name, env=env).stdout == ""
    finally:
        gone = {"namespace": name, "name": "idle", "state": "absent"}
        assert not run_module("ns_service", gone, env=stub_systemd.env).get("failed")
