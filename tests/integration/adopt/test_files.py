# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl adopt --from and --fstab: namespaces of `ip netns`, other namespace files, and lines of fstab(5)."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import typing as t

import pytest
from adoptions import Adopt, Applied, is_as_it_should_be
from command import Nsctl
from host_state import host_state
from named_namespaces import NewName, netns_list, own_id
from processes_inside import mounts_inside
from unshared_process import UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins

Add = t.Callable[[str], str]


@pytest.fixture
def blue(ip_netns: Add) -> str:
    """The file of a net namespace of ip-netns(8) with an interface."""
    path = ip_netns("blue")
    subprocess.run(["ip", "-n", "blue", "tuntap", "add", "tap7", "mode", "tap"], check=True)
    return path


def links(nsctl: Nsctl, name: str) -> str:
    return nsctl("exec", name, "--", "ip", "-o", "link").stdout


def test_a_namespace_of_ip_netns(
    blue: str, adopt: Adopt, applied: Applied, nsctl: Nsctl, new_name: NewName
) -> None:
    before = host_state()
    found = adopt(new_name(), "--from", blue)
    assert host_state() == before
    assert found.entry["kinds"] == ["net"]
    assert found.entry["loopback"] is False
    assert found.left == ["interface tap7: interfaces are not a part of definitions"]
    subprocess.run(["ip", "-n", "blue", "link", "set", "lo", "up"], check=True)
    found = adopt(new_name(), "--from", blue)
    assert "loopback" not in found.entry
    assert "tap7" not in links(nsctl, applied(found.entry))


def test_it_is_kept(blue: str, adopt: Adopt, nsctl: Nsctl, new_name: NewName) -> None:
    name, number = new_name(), os.stat(blue).st_ino
    found = adopt(name, "--from", blue, "--keep")
    assert pins.pinned(name) == {"net": number}
    assert nsctl.data("list", name)[0]["state"] == "up"
    assert "tap7" in links(nsctl, name)
    assert sorted(netns_list()) == sorted(["blue", name])
    assert is_as_it_should_be(nsctl, found.entry)
    assert json.loads(nsctl("export", name).stdout) == {"namespaces": [found.entry]}
    # It is there without the one that it was adopted from.
    subprocess.run(["ip", "netns", "del", "blue"], check=True)
    assert "tap7" in links(nsctl, name)
    nsctl("down", name)
    nsctl("up", name)
    assert "tap7" not in links(nsctl, name)


def test_it_is_kept_under_its_own_name(
    ip_netns: Add, adopt: Adopt, nsctl: Nsctl, new_name: NewName
) -> None:
    name = new_name()
    number = os.stat(ip_netns(name)).st_ino
    found = adopt(name, "--from", f"/run/netns/{name}", "--keep")
    assert pins.pinned(name) == {"net": number}
    assert os.readlink(f"/run/netns/{name}") == pins.path(name, "net")
    assert netns_list() == [name]
    subprocess.run(["ip", "-n", name, "link"], check=True, stdout=subprocess.DEVNULL)
    assert is_as_it_should_be(nsctl, found.entry)
    nsctl("down", name)
    assert netns_list() == []


def test_that_another_has_the_name_at_ip_netns(
    blue: str, ip_netns: Add, nsctl: Nsctl, new_name: NewName
) -> None:
    name = new_name()
    ip_netns(name)
    before = host_state()
    done = nsctl("adopt", name, "--from", blue, "--keep", code=1)
    assert f"`ip netns` has a network namespace '{name}' already" in done.stderr
    assert done.stdout == ""
    assert host_state() == before


@pytest.mark.parametrize("kind", ["uts", "ipc", "cgroup", "mnt", "user", "time"])
def test_files_of_other_kinds(
    kind: str,
    unshared_process: UnsharedProcess,
    adopt: Adopt,
    applied: Applied,
    nsctl: Nsctl,
    new_name: NewName,
) -> None:
    options = ["--map-root-user"] if kind == "user" else []
    options += ["--boottime=70"] if kind == "time" else []
    process = unshared_process({kind}, options=options)
    path = f"/proc/{process.pid}/ns/{kind}"
    if kind == "uts":
        process.run("hostname", "inner")
    if kind == "mnt":
        process.run("mount", "-t", "tmpfs", "-o", "size=1m", "own", "/mnt")
    found = adopt(new_name(), "--from", path)
    assert found.left == []
    entry = {key: value for key, value in found.entry.items() if key != "name"}
    ids = [{"inside": 0, "outside": 0, "count": 1}]
    assert entry == {
        "kinds": [kind],
        **{
            "uts": {"hostname": "inner"},
            "mnt": {
                "mounts": [
                    {"path": "/mnt", "src": "own", "fstype": "tmpfs", "opts": ["size=1024k"]}
                ]
            },
            "user": {"id_map": {"uid": ids, "gid": ids}},
            "time": {"time_offsets": {"boottime": 70}},
        }.get(kind, {}),
    }
    applied(found.entry)
    kept = adopt(new_name(), "--from", path, "--keep").entry
    assert pins.pinned(kept["name"]) == {kind: os.stat(path).st_ino}
    assert is_as_it_should_be(nsctl, kept)
    (exported,) = json.loads(nsctl("export", kept["name"]).stdout)["namespaces"]
    assert {"kinds": ["mnt"], **exported} == kept


def test_files_that_are_none(nsctl: Nsctl, tmp_path: pathlib.Path, new_name: NewName) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/proc/self/ns/net")
    before = host_state()
    for path, why in (
        ("/etc/passwd", "is not a namespace file"),
        ("/run", "is not a namespace file"),
        (f"{tmp_path}/fifo", "is not a namespace file"),
        ("/dev/null", "is not a namespace file"),
        ("/nowhere", "cannot be opened: No such file"),
        ("relative", "must be an absolute path"),
        ("", "must be an absolute path"),
        ("/a\x1b[31m", r"/a\x1b[31m"),
        ("/proc/self/ns/net", "has the namespaces of the host alone"),
        (f"{tmp_path}/link", "has the namespaces of the host alone"),
    ):
        for words in ([], ["--keep"]):
            done = nsctl("adopt", new_name(), "--from", path, *words, code=1)
            assert why in done.stderr, (path, done.stderr)
            assert done.stdout == ""
    assert own_id("net")
    assert host_state() == before


def test_names_that_cannot_be(blue: str, nsctl: Nsctl, new_name: NewName) -> None:
    before = host_state()
    for name in ("../x", "", "a/b", "-", "x" * 65, "a\nb", "é"):
        done = nsctl("adopt", "--from", blue, "--keep", "--", name, code=1)
        assert "cannot be a name" in done.stderr
    for words in (
        [],
        [new_name()],
        [new_name(), "--from", blue, "--pid", "1"],
        [new_name(), new_name(), "--from", blue],
        [new_name(), "--from"],
        [new_name(), "--form", blue],
    ):
        nsctl("adopt", *words, code=2)
    assert host_state() == before


def test_a_name_that_is_taken(blue: str, adopt: Adopt, nsctl: Nsctl, new_name: NewName) -> None:
    name, other = new_name(), new_name()
    adopt(name, "--from", blue, "--keep")
    before = host_state()
    done = nsctl("adopt", name, "--from", blue, "--keep", code=1)
    assert f"There is a namespace '{name}' already" in done.stderr
    # And one that has a name: who ended the one would end the other.
    done = nsctl("adopt", other, "--from", blue, "--keep", code=1)
    assert f"The net namespace is that of namespace {name} already" in done.stderr
    assert host_state() == before


def test_an_fstab(
    adopt: Adopt, applied: Applied, nsctl: Nsctl, new_name: NewName, tmp_path: pathlib.Path
) -> None:
    source = tmp_path / "a b"
    (source / "below").mkdir(parents=True)
    odd = os.fsencode(tmp_path) + b"/odd\xff"
    os.mkdir(odd)
    lines = [
        b"# a comment \xff",
        b"UUID=12 / ext4 defaults 0 1",
        b"UUID=13 none swap sw 0 0",
        b"tmpfs /mnt tmpfs defaults,size=1m,mode=755 0 0",
        os.fsencode(str(source).replace(" ", r"\040")) + b" /media none bind,ro",
        odd + b" /srv none bind",
        b"LABEL=nobody\\040has /opt ext4 nofail",
        b"garbage",
        b"tmpfs /mnt/ tmpfs",
        b"t\x1b]0;t\x07 \x1b[31m tmpfs",
    ]
    path = tmp_path / "fstab\x1b[31m"
    path.write_bytes(b"\n".join(lines))
    found = adopt(new_name(), "--fstab", str(path))
    assert [each["path"] for each in found.entry["mounts"]] == ["/mnt", "/media", "/srv", "/opt"]
    shown = f"{tmp_path}/fstab\\x1b[31m"
    numbers = [line.partition(f" of {shown}: ")[0] for line in found.left]
    assert numbers == ["line 2", "line 3", "line 8", "line 9", "line 10"]
    name = applied(found.entry)
    assert {mount.path for mount in mounts_inside(name)} >= {"/mnt", "/media", "/srv"}
    assert nsctl("exec", name, "--", "ls", "/media").stdout == "below\n"
    done = nsctl("adopt", name, "--fstab", str(path), "--keep", code=1)
    assert "no namespaces that could be kept" in done.stderr


def test_an_fstab_that_cannot_be_read(nsctl: Nsctl, new_name: NewName) -> None:
    for path in ("/nowhere", "/run", "/a\x1b[31m"):
        done = nsctl("adopt", new_name(), "--fstab", path, code=1)
        assert done.stdout == ""
        assert done.stderr.startswith("nsctl adopt: ")
        assert done.stderr[:-1].isprintable()
