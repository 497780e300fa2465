# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds a file system, for the tests of nsctl why."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys
import time
import typing as t

from command import Nsctl
from results import RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

Make = t.Callable[..., str]
Found = dict[str, t.Any]


@contextlib.contextmanager
def mounted(path: pathlib.Path, source: str = "none", **options: t.Any) -> t.Iterator[pathlib.Path]:
    """A mount on the host for the block: a tmpfs, unless it says otherwise."""
    path.mkdir(exist_ok=True)
    if not options:
        options = {"fstype": "tmpfs"}
    mounts.mount(source, str(path), **options)
    try:
        yield path
    finally:
        mounts.umount(str(path), flags=mounts.MNT_DETACH)


@contextlib.contextmanager
def running(script: str, *words: str, **options: t.Any) -> t.Iterator[int]:
    """A Python program that prints a line once it has done what it is to do, and then waits; its pid."""
    argv = [
        *words,
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import signal\n{script}\nprint(flush=True)\nsignal.pause()",
    ]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, **options) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"\n", argv
            yield process.pid
        finally:
            process.kill()


def uses_of(found: Found, pid: int) -> list[Found]:
    (process,) = [each for each in found["processes"] if each["pid"] == pid]
    uses: list[Found] = process["uses"]
    return uses


def text_of(nsctl: Nsctl, path: str | os.PathLike[str]) -> str:
    """What it says of the path where there is room for it."""
    return nsctl("why", os.fspath(path), env={**os.environ, "COLUMNS": ""}).stdout


def bind(nsctl_run: RunModule, name: str, src: object, path: object, *words: str) -> None:
    args = {"namespace": name, "path": str(path), "src": str(src), "opts": ["bind", *words]}
    assert nsctl_run("ns_mount", args)["changed"]


def mount_in(found: Found, name: str) -> Found:
    (mount,) = [each for each in found["mounts"] if each["namespace"] == name]
    assert isinstance(mount, dict)
    return mount


def wait_for_uses(nsctl: Nsctl, path: pathlib.Path, pid: int) -> list[Found]:
    deadline = time.monotonic() + 5
    while True:
        found = nsctl.data("why", str(path))
        if any(each["pid"] == pid for each in found["processes"]):
            return uses_of(found, pid)
        assert time.monotonic() < deadline
