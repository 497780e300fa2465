# SPDX-License-Identifier: GPL-3.0-or-later
"""Roots that do not want us well, beside a canary on the host: before a pivot into them, and after."""

from __future__ import annotations

import os
import pathlib
import subprocess
import threading
import typing as t

import pytest
from unshared_process import Unshared, UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.model import (
    Definition,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.properties import (
    Properties,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.steps import (
    MountStep,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import lock, pins

NAME = "test-hostile"
# The options of an overlay of a root {0} with a directory {1} in it.
LAYERS = {
    "lower": "lowerdir={0}/{1}:{0}/real",
    "lowest": "lowerdir={0}/real:{0}/{1}",
    "one by one": "lowerdir+={0}/real,lowerdir+={0}/{1}",
    "upper": "lowerdir={0}/real,upperdir={0}/{1},workdir={0}/work",
    "work": "lowerdir={0}/real,upperdir={0}/upper,workdir={0}/{1}",
}


class Place(t.NamedTuple):
    """A root on the host's file system, and what lies beside it and must stay as it is."""

    root: pathlib.Path
    canary: pathlib.Path

    def is_untouched(self) -> bool:
        found = sorted(path.name for path in self.canary.rglob("*"))
        return found == ["directory", "file"] and (self.canary / "file").read_text() == "canary"


@pytest.fixture
def place(tmp_path: pathlib.Path) -> t.Iterator[Place]:
    root, canary = tmp_path / "root", tmp_path / "canary"
    for directory in (root / "mnt", root / "real", root / "run", canary / "directory"):
        directory.mkdir(parents=True)
    (canary / "file").write_text("canary")
    found = Place(root, canary)
    yield found
    assert found.is_untouched()


@pytest.fixture
def jailed(unshared_process: UnsharedProcess, place: Place) -> Unshared:
    """A process whose mount namespace has ``place.root`` as its root."""
    process = unshared_process()
    (place.root / "old").mkdir()
    process.run("sh", "-euc", f"""
        mount --bind '{place.root}' '{place.root}'; cd '{place.root}'
        mkdir -p bin lib lib64 usr proc; for d in bin lib lib64 usr; do mount --rbind /$d $d; done
        mount -t proc proc proc; pivot_root . old
    """)  # fmt: skip
    process.run("umount", "-l", "/old")
    return process


@pytest.fixture
def unpivoted(unshared_process: UnsharedProcess, place: Place) -> t.Iterator[Unshared]:
    """A process in the named namespace NAME, whose definition mounts ``place.root`` on /srv."""
    name = NAME
    process = unshared_process()
    process.run("mount", "--bind", str(place.root), "/srv")
    step = MountStep("/srv", str(place.root), words=("bind",))
    try:
        with lock.held(name, timeout=5):
            pins.prepare(name)
            pins.pin(name, "mnt", process.pid)
            definitions.save(Definition(name, Properties(), persistent=False, volatile=(step,)))
        yield process
    finally:
        with lock.held(name, timeout=5):
            pins.discard(name)


class Hostile(t.NamedTuple):
    """A target with a hostile root below ``prefix``, and the options that name it."""

    process: Unshared
    options: dict[str, t.Any]
    prefix: str

    def has_only_mounts_inside(self, place: Place) -> bool:
        """Whether no mount of the target lies on what is outside of the root.

        After the pivot there is nothing outside, and such a path is one in the root.
        """
        paths = [line.split(" ")[4] for line in self.process.mountinfo()]
        outside = [path for path in paths if path.startswith(str(place.canary))]
        return not self.prefix or not outside


@pytest.fixture(params=["before the pivot", "after the pivot"])
def hostile(request: pytest.FixtureRequest) -> Hostile:
    if request.param == "before the pivot":
        return Hostile(request.getfixturevalue("unpivoted"), {"namespace": NAME}, "/srv")
    jailed = request.getfixturevalue("jailed")
    return Hostile(jailed, {"pid": jailed.pid}, "")


class Racer:
    """Swaps a directory and a link over and over, in the background."""

    def __init__(self, path: pathlib.Path, target: str) -> None:
        self._path, self._stop, self.swaps = path, threading.Event(), 0
        self._link = path.with_name(f"{path.name}.link")
        self._link.symlink_to(target)
        script = f"""
import ctypes, os, select
rename = ctypes.CDLL(None).renameat2
swaps = 0
while not select.select([0], [], [], 0)[0]:
    for _each in range(50):
        rename(-100, {os.fsencode(path)!r}, -100, {os.fsencode(self._link)!r}, 2)
        swaps += 1
print(swaps)
"""
        self._process = subprocess.Popen(
            ["python3", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> Racer:
        return self

    def __exit__(self, *_exception: object) -> None:
        output, _errors = self._process.communicate(b"")
        self.swaps = int(output)


@pytest.fixture
def filled(place: Place) -> Place:
    """The root, with directories for an overlay in it."""
    for name in ("upper", "work"):
        (place.root / name).mkdir()
    (place.root / "real/file").write_text("inside")
    return place


def seen_in(target: Unshared, path: str) -> list[str]:
    """The names that processes of the target find there."""
    return sorted(os.listdir(f"/proc/{target.pid}/root{path}"))
