# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_mount against the kernel: every option made, changed, left alone and taken away.

With this kernel's calls and without its newer ones (the fixture kernel). converge() runs check
mode first, then the module, then the module again.
"""

from __future__ import annotations

import pathlib
import subprocess
import typing as t

import pytest
from mounted import lines_on, words_on
from results import Converge, RunModule
from unshared_process import Unshared

Kernel = dict[str, str]
Args = dict[str, t.Any]


@pytest.fixture
def here(tmp_path: pathlib.Path) -> pathlib.Path:
    """A mount point, a directory with something in it, and a file, on the host's file system."""
    for name in ("mnt", "src/inner", "other", "lower1", "lower2", "upper", "work"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "src/file").write_text("from the host")
    (tmp_path / "lower1/one").write_text("1")
    (tmp_path / "lower2/two").write_text("2")
    (tmp_path / "file").write_text("a file")
    (tmp_path / "place").touch()
    return tmp_path


# Each option: as it is first wanted, as it is wanted then, and what shows it in either case.
# "{}" stands for the scratch directory.
LIVES: dict[str, tuple[Args, set[str], Args, set[str]]] = {
    "tmpfs": ({"fstype": "tmpfs"}, {"rw"}, {"fstype": "tmpfs", "opts": "ro"}, {"ro"}),
    "size": (
        {"fstype": "tmpfs", "opts": "size=10m"}, {"size=10240k"},
        {"fstype": "tmpfs", "opts": "size=20M"}, {"size=20480k"},
    ),
    "blocks": (
        {"fstype": "tmpfs", "opts": "nr_blocks=256"}, {"size=1024k"},
        {"fstype": "tmpfs", "opts": "nr_blocks=1k"}, {"size=4096k"},
    ),
    "percentage": (
        {"fstype": "tmpfs", "opts": "size=3%"}, {"rw"},
        {"fstype": "tmpfs", "opts": "size=5000,nr_inodes=1k"}, {"size=8k", "nr_inodes=1024"},
    ),
    "mode": (
        {"fstype": "tmpfs", "opts": "mode=0750"}, {"mode=750"},
        {"fstype": "tmpfs", "opts": "mode=700,uid=5"}, {"mode=700", "uid=5"},
    ),
    "source": (
        {"fstype": "tmpfs", "src": "one"}, {"rw"}, {"fstype": "tmpfs", "src": "two words"}, {"rw"},
    ),
    "flags": (
        {"fstype": "tmpfs", "opts": "nosuid,nodev,noexec"}, {"nosuid", "nodev", "noexec"},
        {"fstype": "tmpfs", "opts": ["ro", "nosymfollow"]}, {"ro", "nosymfollow"},
    ),
    "access times": (
        {"fstype": "tmpfs", "opts": "noatime,nodiratime"}, {"noatime", "nodiratime"},
        {"fstype": "tmpfs", "opts": "strictatime"}, {"rw"},
    ),
    "words of fstab": (
        {"fstype": "tmpfs", "opts": "defaults,user,nofail,x-test"}, {"nosuid", "nodev", "noexec"},
        {"fstype": "tmpfs", "opts": "owner,noauto"}, {"nosuid", "nodev"},
    ),
    "ramfs": ({"fstype": "ramfs"}, {"rw"}, {"fstype": "tmpfs"}, {"rw"}),
    "proc": (
        {"fstype": "proc", "opts": "nosuid,hidepid=2"}, {"nosuid", "hidepid=invisible"},
        {"fstype": "proc", "opts": "hidepid=noaccess"}, {"hidepid=noaccess"},
    ),
    "proc with its pids only": (
        {"fstype": "proc", "opts": "subset=pid"}, {"subset=pid"},
        {"fstype": "tmpfs"}, {"rw"},
    ),
    "sysfs": ({"fstype": "sysfs", "opts": "ro"}, {"ro"}, {"fstype": "sysfs"}, {"rw"}),
    "devpts": (
        {"fstype": "devpts", "opts": "newinstance,ptmxmode=0666,mode=0620"},
        {"mode=620", "ptmxmode=666"},
        {"fstype": "devpts", "opts": "newinstance,ptmxmode=0666,mode=600"}, {"mode=600"},
    ),
    "mqueue": ({"fstype": "mqueue"}, {"rw"}, {"fstype": "mqueue", "opts": "noexec"}, {"noexec"}),
    "cgroup2": (
        {"fstype": "cgroup2"}, {"rw"}, {"fstype": "cgroup2", "opts": "ro,nosuid"}, {"ro", "nosuid"},
    ),
    "bind": (
        {"src": "{}/src", "opts": "bind"}, {"rw"},
        {"src": "{}/src", "opts": "bind,ro,noexec"}, {"ro", "noexec"},
    ),
    "bind of something else": (
        {"src": "{}/src", "opts": "bind,ro"}, {"ro"}, {"src": "{}/other", "opts": "bind"}, {"rw"},
    ),
    "bind of something inside": (
        {"src": "/proc", "opts": "bind", "src_in": "namespace"}, {"rw"},
        {"src": "/sys", "opts": "bind,nosuid", "src_in": "namespace"}, {"nosuid"},
    ),
    "recursive bind": (
        {"src": "/sys", "opts": "rbind"}, {"rw"},
        {"src": "/sys", "opts": "rbind,ro=recursive"}, {"ro"},
    ),
    "recursive bind of something inside": (
        {"src": "/sys", "opts": "rbind,ro=recursive", "src_in": "namespace"}, {"ro"},
        {"src": "/sys", "opts": "rbind,rw=recursive", "src_in": "namespace"}, {"rw"},
    ),
    "a bind becomes a file system": (
        {"src": "{}/src", "opts": "bind"}, {"rw"}, {"fstype": "tmpfs", "opts": "size=1m"}, {"rw"},
    ),
    "overlay": (
        {"fstype": "overlay", "src": "overlay", "opts": ["lowerdir={}/lower1:{}/lower2"]}, {"ro"},
        {
            "fstype": "overlay", "src": "overlay",
            "opts": ["lowerdir={}/lower1", "upperdir={}/upper", "workdir={}/work"],
        },
        {"rw"},
    ),
    "overlay with its defaults": (
        {"fstype": "overlay", "src": "overlay",
         "opts": ["lowerdir={}/lower1:{}/lower2", "index=off", "metacopy=off,xino=off"]}, {"ro"},
        {"fstype": "overlay", "src": "overlay",
         "opts": ["lowerdir={}/lower1:{}/lower2", "redirect_dir=nofollow"]}, {"redirect_dir=nofollow"},
    ),
    "overlay of directories inside": (
        {"fstype": "overlay", "src": "overlay", "src_in": "namespace",
         "opts": ["lowerdir={}/lower1:{}/lower2"]}, {"ro"},
        {"fstype": "overlay", "src": "overlay", "src_in": "namespace",
         "opts": ["lowerdir={}/lower2:{}/lower1"]}, {"ro"},
    ),
}  # fmt: skip


def filled(value: t.Any, directory: pathlib.Path) -> t.Any:
    if isinstance(value, dict):
        return {key: filled(each, directory) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, directory) for each in value]
    return value.replace("{}", str(directory)) if isinstance(value, str) else value


@pytest.mark.parametrize("life", LIVES)
def test_a_life(
    life: str, kernel: Kernel, converge: Converge, target: Unshared, here: pathlib.Path
) -> None:
    first, first_words, second, second_words = LIVES[life]
    place = here / "mnt"
    base = {"pid": target.pid, "path": str(place)}
    table = target.mountinfo()
    for args, words in ((first, first_words), (second, second_words)):
        done = converge("ns_mount", {**base, **filled(args, here)}, env=kernel)
        assert done["changed"]
        assert words <= words_on(target, place)
        (record,) = done["mounts"]
        assert record["path"] == str(place)
        assert record["propagation"] == "private"
    assert converge("ns_mount", {**base, "state": "unmounted"}, env=kernel)["changed"]
    assert target.mountinfo() == table
    assert not converge("ns_mount", {**base, "state": "unmounted"}, env=kernel)["changed"]


@pytest.mark.parametrize("life", [name for name in LIVES if "bind" not in name])
def test_it_is_what_mount_8_makes_of_the_same_words(
    life: str, run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    args = filled(LIVES[life][0], here)
    ours, theirs = here / "mnt", here / "other"
    run_module("ns_mount", {"pid": target.pid, "path": str(ours), **args})
    opts = args.get("opts", "defaults")
    words = opts if isinstance(opts, str) else ",".join(opts)
    source = args.get("src") or "none"
    target.run("mount", "-t", args["fstype"], "-o", words, source, str(theirs))
    assert words_on(target, ours) == words_on(target, theirs)


# What a bind shows


def test_a_bind_of_the_host_shows_the_host(
    kernel: Kernel, converge: Converge, target: Unshared, here: pathlib.Path
) -> None:
    args = {"pid": target.pid, "path": str(here / "mnt"), "src": str(here / "src"), "opts": "bind"}
    converge("ns_mount", args, env=kernel)
    assert target.run("cat", f"{here}/mnt/file") == "from the host"
    # Also when the target covers that path with something of its own.
    target.run("mount", "-t", "tmpfs", "covered", str(here / "src"))
    assert not converge("ns_mount", args, env=kernel)["changed"]
    inside = {**args, "src_in": "namespace"}
    assert converge("ns_mount", inside, env=kernel)["changed"]
    assert target.run("ls", f"{here}/mnt") == ""
    assert converge("ns_mount", args, env=kernel)["changed"]
    assert target.run("cat", f"{here}/mnt/file") == "from the host"


def test_a_bind_of_a_file(
    kernel: Kernel, converge: Converge, target: Unshared, here: pathlib.Path
) -> None:
    place = here / "place"
    args = {"pid": target.pid, "path": str(place), "src": str(here / "file"), "opts": "bind,ro"}
    converge("ns_mount", args, env=kernel)
    assert target.run("cat", str(place)) == "a file"
    assert "ro" in words_on(target, place)
    # A file that is replaced by another one is another file.
    (here / "new").write_text("a new file")
    (here / "new").rename(here / "file")
    done = converge("ns_mount", args, env=kernel)
    assert done["actions"] == [f"replace with bind of {here}/file on {place} (differs: source)"]
    assert target.run("cat", str(place)) == "a new file"
    converge("ns_mount", {**args, "state": "unmounted"}, env=kernel)
    assert place.read_text() == ""


@pytest.mark.parametrize("src_in", ["host", "namespace"])
def test_flags_of_the_source_are_kept(
    src_in: str, kernel: Kernel, converge: Converge, target: Unshared, here: pathlib.Path
) -> None:
    # /run/tests is on a file system of this test host, /proc of any.
    args = {"pid": target.pid, "path": str(here / "mnt"), "opts": "bind", "src_in": src_in}
    target.run("mount", "-t", "tmpfs", "-o", "nosuid,noatime", "flags", str(here / "other"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nosuid,noatime", "x", here / "src"], check=True)
    try:
        src = here / ("src" if src_in == "host" else "other")
        converge("ns_mount", {**args, "src": str(src)}, env=kernel)
        assert {"nosuid", "noatime"} <= words_on(target, here / "mnt")
        converge("ns_mount", {**args, "src": str(src), "opts": "bind,suid,nodev"}, env=kernel)
        words = words_on(target, here / "mnt")
        assert {"nodev", "noatime"} <= words
        assert "nosuid" not in words
    finally:
        subprocess.run(["umount", here / "src"], check=True)


def test_recursive_flags_reach_what_is_below(
    kernel: Kernel, converge: Converge, target: Unshared, here: pathlib.Path
) -> None:
    inner = here / "src/inner"
    target.run("mount", "--bind", f"{here}/src", f"{here}/src")
    target.run("mount", "-t", "tmpfs", "-o", "nosuid", "inner", str(inner))
    args = {
        "pid": target.pid, "path": str(here / "mnt"), "src": str(here / "src"),
        "src_in": "namespace",
    }  # fmt: skip
    converge("ns_mount", {**args, "opts": "rbind,ro"}, env=kernel)
    assert {"rw", "nosuid"} <= words_on(target, here / "mnt/inner")
    converge("ns_mount", {**args, "opts": "rbind,ro=recursive,noexec=recursive"}, env=kernel)
    for path in ("mnt", "mnt/inner"):
        assert {"ro", "noexec"} <= words_on(target, here / path)
    assert "nosuid" in words_on(target, here / "mnt/inner")
    # What it was bound from is not touched.
    assert "ro" not in words_on(target, inner)
    # Somebody makes one of them writable again.
    target.run("mount", "-o", "remount,bind,rw,noexec,nosuid", str(here / "mnt/inner"))
    again = {**args, "opts": "rbind,ro=recursive,noexec=recursive"}
    assert converge("ns_mount", again, env=kernel)["changed"]
    assert "ro" in words_on(target, here / "mnt/inner")
    converge("ns_mount", {**args, "state": "unmounted"}, env=kernel)
    assert len(lines_on(target, inner)) == 1
