# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_mount: whatever a mount was made with, it comes to what is asked for next, and stays there."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import typing as t

import pytest
from results import RunModule
from unshared_process import Unshared

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

# Of each file system, options that are asked for one after the other, and the first once more: those
# that are changed in place, and those that take a new mount.
OPTIONS = {
    "tmpfs": ["", "ro", "rw", "size=1m", "size=0", "size=2m,nr_inodes=100", "nr_inodes=0", "nr_inodes=9",
              "mode=0700", "uid=7", "noswap", "noswap,ro", "huge=always", "inode32", "inode64", "ro,size=3m",
              "nosuid,noexec"],
    "ramfs": ["", "ro", "nodev"],
    "proc": ["", "ro", "hidepid=2", "hidepid=invisible,gid=5", "subset=pid", "nosuid"],
    "sysfs": ["", "ro", "nosuid"],
    "devpts": ["", "ro", "mode=0600", "gid=5,mode=0620", "ptmxmode=0666", "max=10"],
    "mqueue": ["", "ro", "nosuid"],
    "ext4": ["loop", "loop,ro", "loop,noatime", "loop,ro,sync", "loop,errors=remount-ro", "loop,commit=30",
             "loop,ro", "loop,nobarrier", "loop,lazytime"],
    "overlay": ["{upper}", "{upper},ro", "{lower}", "{upper},nosuid"],
    "bind": ["bind", "bind,ro", "bind,rw", "bind,nosuid,nodev", "rbind", "rbind,ro=recursive", "bind,noatime"],
    "bind of what can only be read": ["bind", "bind,ro", "bind,rw", "bind,noexec"],
}  # fmt: skip


@pytest.fixture
def here(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("place", "source", "lower", "upper", "work"):
        (tmp_path / name).mkdir()
    return tmp_path


def arguments(kind: str, here: pathlib.Path, pid: int) -> dict[str, t.Any]:
    args: dict[str, t.Any] = {"pid": pid, "path": f"{here}/place", "fstype": kind}
    if kind == "ext4":
        command = ["mkfs.ext4", "-q", f"{here}/image", "8m"]
        subprocess.run(command, check=True, capture_output=True)
        args["src"] = f"{here}/image"
    if kind.startswith("bind"):
        args.update(fstype="", src=f"{here}/source")
    return args


def written(opts: str, here: pathlib.Path) -> str:
    lower = f"lowerdir={here}/lower"
    return opts.format(
        lower=f"{lower}:{here}/source", upper=f"{lower},upperdir={here}/upper,workdir={here}/work"
    )


@pytest.mark.parametrize("kind", OPTIONS)
def test_one_after_the_other(
    kind: str, run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    args = arguments(kind, here, target.pid)
    with contextlib.ExitStack() as stack:
        if kind == "bind of what can only be read":
            mounts.mount("x", f"{here}/source", fstype="tmpfs", flags=mounts.MS_RDONLY)
            stack.callback(mounts.umount, f"{here}/source")
        for opts in [*OPTIONS[kind], OPTIONS[kind][0]]:
            asked = {**args, "opts": written(opts, here)}
            result = run_module("ns_mount", asked)
            assert not result.get("failed"), (opts, result["msg"])
            again = run_module("ns_mount", asked)
            assert not again.get("failed"), (opts, again["msg"])
            assert again["actions"] == [], opts
            assert len(target.mounted_on(f"{here}/place")) == 1


ANEW = "unmounted first (state: unmounted)"


@pytest.mark.parametrize(
    ("kind", "one", "other", "reason", "hint"),
    [
        ("ext4", "loop", "loop,data=journal", "Cannot change data mode on remount", ANEW),
        ("ext4", "loop", "loop,dax=never", "can't change dax mount option while remounting", ANEW),
        ("overlay", "{upper}", "{upper},index=on", "in use by another overlay", "(state: unmounted)"),
    ],
)  # fmt: skip
def test_what_takes_another_mount_says_so(
    kind: str,
    one: str,
    other: str,
    reason: str,
    hint: str,
    run_module: RunModule,
    target: Unshared,
    here: pathlib.Path,
) -> None:
    args = arguments(kind, here, target.pid)
    assert not run_module("ns_mount", {**args, "opts": written(one, here)}).get("failed")
    wanted = {**args, "opts": written(other, here)}
    before = target.mounted_on(f"{here}/place")
    failure = run_module("ns_mount", wanted)
    assert failure["failed"]
    # Without the right to read the kernel's log it is told in general.
    general = f"the kernel does not change this of a mounted {kind}"
    assert reason in failure["reason"] or failure["reason"] == general
    assert hint in failure["hint"]
    assert target.mounted_on(f"{here}/place") == before
    # As it says.
    gone = {"pid": target.pid, "path": f"{here}/place", "state": "unmounted"}
    assert not run_module("ns_mount", gone).get("failed")
    assert not run_module("ns_mount", wanted).get("failed")
