# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of mount(8) in the opts of ns_mount: what each does, and that the next run leaves it alone."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from mounted import lines_on
from results import Converge, RunModule, is_failure
from unshared_process import Unshared, UnsharedProcess


@pytest.fixture
def target(unshared_process: UnsharedProcess) -> Unshared:
    return unshared_process()


def shown(target: Unshared, path: pathlib.Path) -> tuple[list[str], list[str]]:
    """The flags of the mount on ``path``, and the options of its file system."""
    (line,) = lines_on(target, path)
    mount, _dash, filesystem = line.partition(" - ")
    return mount.split(" ")[5].split(","), filesystem.split(" ")[2].split(",")


@pytest.mark.parametrize(
    ("opts", "mount", "filesystem"),
    [
        ("ro", "ro", "ro"),
        ("ro=vfs", "ro", "rw"),
        ("ro=fs", "rw", "ro"),
        ("rw=vfs", "rw", "rw"),
        ("ro,rw=fs", "rw", "rw"),
    ],
)
def test_which_of_the_two_is_read_only(
    opts: str,
    mount: str,
    filesystem: str,
    converge: Converge,
    target: Unshared,
    tmp_path: pathlib.Path,
) -> None:
    args = {"pid": target.pid, "path": str(tmp_path), "fstype": "tmpfs", "src": "words"}
    assert converge("ns_mount", {**args, "opts": opts})["changed"]
    flags, options = shown(target, tmp_path)
    assert (flags[0], options[0]) == (mount, filesystem)
    # From each of them to each other one.
    converge("ns_mount", {**args, "opts": "rw=fs"})
    converge("ns_mount", {**args, "opts": opts})
    flags, options = shown(target, tmp_path)
    assert (flags[0], options[0]) == (mount, filesystem)


@pytest.mark.parametrize(
    "opts",
    [
        "silent,loud,iversion,noiversion",
        "comment=for people,uhelper=udisks2,helper=any,user=joe",
        "seclabel,rootcontext=system_u:object_r:tmp_t:s0",
        "_netdev,auto,nofail,x-systemd.automount,x-systemd.requires-mounts-for=/srv,X-any",
        "X-mount.noloop,X-mount.auto-fstypes=ext4",
        "norelatime",
        "nostrictatime",
        "rw,defaults,suid,dev,exec,async",
    ],
)
def test_words_that_change_nothing(
    opts: str, converge: Converge, target: Unshared, tmp_path: pathlib.Path
) -> None:
    args = {"pid": target.pid, "path": str(tmp_path), "fstype": "tmpfs", "src": "words"}
    converge("ns_mount", {**args, "opts": opts})
    flags, options = shown(target, tmp_path)
    assert flags == ["rw", "relatime"]
    assert options[0] == "rw"
    assert {*options} <= {"rw", "inode64"}


SPELLINGS: list[t.Any] = [
    'size=10m,context="system_u:object_r:tmp_t:s0:c127,c456",mode=700',
    ['size=10m,context="system_u:object_r:tmp_t:s0:c127,c456"', "mode=700"],
    ["size=10m", 'context="system_u:object_r:tmp_t:s0:c127,c456",mode=700'],
    # As a string with commas becomes a list, before anybody looks at quotes.
    ["size=10m", 'context="system_u:object_r:tmp_t:s0:c127', 'c456"', "mode=700"],
    ["size=10m", '"context=system_u:object_r:tmp_t:s0:c127,c456"', "mode=700"],
]


@pytest.mark.parametrize("opts", SPELLINGS)
def test_commas_in_quotes(
    opts: t.Any, converge: Converge, target: Unshared, tmp_path: pathlib.Path
) -> None:
    args = {"path": str(tmp_path), "fstype": "tmpfs", "src": "words", "opts": opts}
    converge("ns_mount", {"pid": target.pid, "mounts": [args]})
    assert not converge("ns_mount", {"pid": target.pid, **args})["changed"]
    _flags, options = shown(target, tmp_path)
    assert {"size=10240k", "mode=700"} <= {*options}


def test_the_older_spelling(converge: Converge, target: Unshared, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "made/here"
    args = {"pid": target.pid, "path": str(path), "fstype": "tmpfs", "src": "words"}
    converge("ns_mount", {**args, "opts": "x-mount.mkdir=0710"})
    assert target.run("stat", "-c", "%a", str(tmp_path / "made")).strip() == "710"


@pytest.mark.parametrize(
    ("args", "reason", "hint"),
    [
        ({"opts": "move"}, "'move' is not a mount option here", "state: unmounted"),
        ({"opts": "nodev=vfs"}, "nodev is about the mount alone", "Write nodev."),
        ({"opts": "X-mount.nocanonicalize"}, "links in it are always followed", "Name the path"),
        ({"opts": "verity.roothash=ab"}, "no device of dm-verity is made", "veritysetup(8)"),
        ({"opts": "loop,encryption=aes"}, "is gone from the kernel", "cryptsetup(8)"),
        ({"opts": "loop,offset=half"}, "'offset=half' is no number of bytes", "1MiB"),
        ({"opts": "loop=/dev/loop3"}, "not for opts to choose", "Write loop alone"),
        ({"opts": "X-mount.noloop,loop"}, "exclude each other", "Leave one of them out"),
        (
            {"fstype": "", "opts": "bind,ro=fs", "src": "/usr"},
            "a bind mount takes no file-system option: ro=fs",
            "change that mount",
        ),
        (
            {"fstype": "", "opts": "bind,X-mount.idmap=u:0:100000:65536", "src": "/usr"},
            "maps users and no groups: the kernel takes no such map",
            "g:0:0:4294967295",
        ),
    ],
)
def test_words_that_are_refused(
    args: dict[str, str],
    reason: str,
    hint: str,
    run_module: RunModule,
    target: Unshared,
    tmp_path: pathlib.Path,
) -> None:
    table = target.mountinfo()
    base = {"pid": target.pid, "path": str(tmp_path), "fstype": "tmpfs", "src": "words"}
    is_failure(run_module("ns_mount", {**base, **args}), reason, hint)
    assert target.mountinfo() == table


def test_an_id_map_of_users_alone(
    converge: Converge, target: Unshared, tmp_path: pathlib.Path
) -> None:
    """What the hint says of it is a map that the kernel takes."""
    (tmp_path / "src").mkdir()
    (tmp_path / "mnt").mkdir()
    args = {"pid": target.pid, "path": str(tmp_path / "mnt"), "src": str(tmp_path / "src")}
    idmap = "X-mount.idmap=u:0:3000:65536 g:0:0:4294967295"
    converge("ns_mount", {**args, "opts": f"bind,{idmap}"})
    assert target.run("stat", "-c", "%u %g", str(tmp_path / "mnt")).strip() == "3000 0"
