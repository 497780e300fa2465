# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_mount: propagation, mount points that are missing, remounting, unmounting, the result."""

from __future__ import annotations

import pathlib
import subprocess

import pytest
from mounted import lines_on, peers_on, words_on
from results import Converge, Result, RunModule
from unshared_process import Unshared

Kernel = dict[str, str]


@pytest.fixture
def here(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("mnt", "src/inner"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file").write_text("a file")
    return tmp_path


# Propagation

PROPAGATIONS = {
    "private": [],
    "shared": ["shared"],
    "slave": [],  # a slave of nothing is private
    "unbindable": ["unbindable"],
}


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("word", PROPAGATIONS)
def test_propagation(
    word: str,
    recursive: bool,
    kernel: Kernel,
    converge: Converge,
    target: Unshared,
    here: pathlib.Path,
) -> None:
    place, below = here / "mnt", here / "mnt/below"
    base = {"pid": target.pid, "path": str(place), "src": "x", "fstype": "tmpfs"}
    converge("ns_mount", base, env=kernel)
    target.run("sh", "-c", f"mkdir '{below}'; mount -t tmpfs below '{below}'")
    other = "private" if word != "private" else "shared"
    target.run("mount", f"--make-r{other}", str(place))
    start = peers_on(target, below)
    args = {**base, "propagation": f"r{word}" if recursive else word}
    changes = PROPAGATIONS[word] != PROPAGATIONS[other]
    assert converge("ns_mount", args, env=kernel)["changed"] is changes
    assert peers_on(target, place) == PROPAGATIONS[word]
    assert peers_on(target, below) == (PROPAGATIONS[word] if recursive else start)
    # When it is not asked for it is left alone.
    assert not converge("ns_mount", base, env=kernel)["changed"]


def test_a_new_mount_has_the_propagation_asked_for(
    kernel: Kernel, converge: Converge, target: Unshared, here: pathlib.Path
) -> None:
    args = {"pid": target.pid, "path": str(here / "mnt"), "fstype": "tmpfs"}
    converge("ns_mount", {**args, "propagation": "shared"}, env=kernel)
    assert peers_on(target, here / "mnt") == ["shared"]


@pytest.mark.parametrize(
    ("propagation", "peers", "seen_inside", "seen_on_host"),
    [
        (None, [], False, False),
        ("private", [], False, False),
        ("slave", ["master"], True, False),
        ("shared", ["shared"], True, True),
        ("rslave", ["master"], True, False),
        ("unbindable", ["unbindable"], False, False),
    ],
)
def test_a_bind_is_cut_off_from_the_host_unless_asked_otherwise(
    propagation: str | None,
    peers: list[str],
    seen_inside: bool,
    seen_on_host: bool,
    kernel: Kernel,
    converge: Converge,
    target: Unshared,
    here: pathlib.Path,
) -> None:
    args = {"pid": target.pid, "path": str(here / "mnt"), "src": str(here / "src"), "opts": "rbind"}
    if propagation:
        args["propagation"] = propagation
    converge("ns_mount", args, env=kernel)
    assert peers_on(target, here / "mnt") == peers
    on_host = here / "src/inner"
    subprocess.run(["mount", "-t", "tmpfs", "later", on_host], check=True)
    try:
        assert bool(lines_on(target, here / "mnt/inner")) is seen_inside
    finally:
        subprocess.run(["umount", on_host], check=True)
    target.run("mount", "-t", "tmpfs", "from-inside", f"{here}/mnt/inner")
    try:
        table = pathlib.Path("/proc/self/mountinfo").read_text()
        assert (f" {on_host} " in table) is seen_on_host
    finally:
        target.run("umount", f"{here}/mnt/inner")


# Mount points that are missing


def test_the_mount_point_is_made(
    kernel: Kernel, converge: Converge, target: Unshared, here: pathlib.Path
) -> None:
    deep, file = here / "mnt/a/b", here / "mnt/c/file"
    args = {"pid": target.pid, "path": str(deep), "fstype": "tmpfs"}
    converge("ns_mount", {**args, "opts": "X-mount.mkdir=0700"}, env=kernel)
    assert [oct(path.stat().st_mode & 0o777) for path in (deep.parent, deep)] == ["0o700"] * 2
    args = {"pid": target.pid, "path": str(file), "src": str(here / "file")}
    converge("ns_mount", {**args, "opts": "bind,X-mount.mkdir"}, env=kernel)
    assert target.run("cat", str(file)) == "a file"
    assert file.stat().st_mode & 0o777 == 0o644
    assert file.parent.stat().st_mode & 0o777 == 0o755


# Remounting and unmounting


def test_remounted(
    kernel: Kernel, converge: Converge, target: Unshared, here: pathlib.Path
) -> None:
    place = here / "mnt"
    target.run("mount", "-t", "tmpfs", "-o", "size=1m,nosuid", "theirs", str(place))
    args = {"pid": target.pid, "path": str(place), "state": "remounted"}
    converge("ns_mount", {**args, "opts": "ro"}, env=kernel)
    assert {"ro", "nosuid", "size=1024k"} <= words_on(target, place)
    # Of the mount alone: the file system behind it can still be written elsewhere.
    assert "- tmpfs theirs rw" in lines_on(target, place)[0]
    converge("ns_mount", {**args, "opts": "rw,noatime,size=2m"}, env=kernel)
    assert {"rw", "nosuid", "noatime", "size=2048k"} <= words_on(target, place)
    converge("ns_mount", {**args, "propagation": "shared"}, env=kernel)
    assert peers_on(target, place) == ["shared"]
    assert not converge("ns_mount", {**args, "opts": "nosuid"}, env=kernel)["changed"]


def test_a_remount_of_what_a_bind_shows_is_the_binds_alone(
    kernel: Kernel, converge: Converge, target: Unshared, here: pathlib.Path
) -> None:
    base = {"pid": target.pid, "path": str(here / "mnt")}
    converge("ns_mount", {**base, "src": str(here / "src"), "opts": "bind"}, env=kernel)
    converge("ns_mount", {**base, "state": "remounted", "opts": "ro,nosuid"}, env=kernel)
    assert {"ro", "nosuid"} <= words_on(target, here / "mnt")
    (here / "src/still-writable").touch()


def test_unmounting_takes_along_what_is_below(
    kernel: Kernel, converge: Converge, target: Unshared, here: pathlib.Path
) -> None:
    table = target.mountinfo()
    place = here / "mnt"
    target.run("sh", "-euc", f"""
        cd '{place}'; mount -t tmpfs one .; cd '{place}'; mkdir a a/b c
        mount -t tmpfs two a; mkdir a/b; mount -t proc three a/b; mount -t tmpfs four a/b
        mount -t tmpfs 'with space' c; mkdir "c/x y"; mount -t tmpfs five "c/x y"
        cd /; mount -t tmpfs six '{place}'
    """)  # fmt: skip
    args = {"pid": target.pid, "path": str(place), "state": "unmounted"}
    done = converge("ns_mount", args, env=kernel)
    assert done["actions"] == [f"unmount {place}"]
    assert done["mounts"] == []
    assert target.mountinfo() == table


def test_what_is_in_use_is_not_unmounted(
    kernel: Kernel, run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    place = here / "mnt"
    target.run("mount", "-t", "tmpfs", "busy", str(place))
    nsenter = ["nsenter", "--target", str(target.pid), "--mount", "--wd=" + str(place)]
    sleeper = subprocess.Popen([*nsenter, "sh", "-c", f"cd '{place}'; echo; exec sleep infinity"],
                               stdout=subprocess.PIPE)  # fmt: skip
    with sleeper:
        assert sleeper.stdout is not None
        sleeper.stdout.readline()
        args = {"pid": target.pid, "path": str(place), "state": "unmounted"}
        failed = run_module("ns_mount", args, env=kernel)
        sleeper.kill()
    assert failed["step"] == f"unmount {place}"
    assert (failed["syscall"], failed["errno"]) == ("umount2", "EBUSY")
    assert f"in use by {sleeper.pid} (sleep)" in failed["reason"]
    assert "End the processes that use it" in failed["hint"]
    assert len(lines_on(target, place)) == 1


# What is returned


def test_the_result(run_module: RunModule, target: Unshared, here: pathlib.Path) -> None:
    place = str(here / "mnt")
    args = {"pid": target.pid, "path": place, "src": "s", "fstype": "tmpfs", "opts": "size=1m,ro"}
    done = run_module("ns_mount", args)
    (line,) = target.mounted_on(place)
    fields = line.split(" ")
    assert done["mounts"] == [
        {
            "id": int(fields[0]),
            "parent": int(fields[1]),
            "device": fields[2],
            "root": "/",
            "path": place,
            "src": "s",
            "fstype": "tmpfs",
            "opts": ["ro", "relatime", "size=1024k"],
            "propagation": "private",
        }
    ]
    assert done["actions"] == [f"mount tmpfs on {place}"]
    assert done["persistent"] is False
    assert done["diff"] == {
        "before": f"{place}: not mounted\n",
        "after": f"{place}: tmpfs s size=1m,ro\n",
    }
    again: Result = run_module("ns_mount", args)
    assert again["mounts"] == done["mounts"]
    assert again["diff"]["before"] == again["diff"]["after"]
